"""The state of each dependency, for operators (never for liveness probes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oc.od.services import ODServices

Lanes = Mapping[str, tuple[int, int, int, int]]


def health_report(services: ODServices, lanes: Lanes) -> dict[str, Any]:
    """``dependencies``: name -> ``{"ok": bool, ...}``; ``ready``: all are; ``lanes``: how full they are.

    lanes: name -> size, queue, inside, waiting. Takes a few seconds when MongoDB is away.
    """
    dependencies = {
        "mongodb": {"ok": services.datastore.ping("applications"), "needed_for": "catalogue, store, history, bans"},
        "memcached": {"ok": services.sharecache.available, "needed_for": "progress texts, prelogin"},
        "kubernetes": _cluster(services),
    }
    return {
        "ready": all(state["ok"] for state in dependencies.values()),
        "dependencies": dependencies,
        "lanes": {
            name: {"size": size, "queue": queue, "inside": inside, "waiting": waiting}
            for name, (size, queue, inside, waiting) in lanes.items()
        },
    }


def _cluster(services: ODServices) -> dict[str, Any]:
    age = services.orchestrator.watch_age
    return {"ok": age is not None and age < 120, "watch_age_seconds": age, "needed_for": "desktops and applications"}
