"""The state of each dependency, for operators and readiness probes (never for liveness probes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from oc.od.services import ODServices

#: A watch on the cluster that says nothing for longer is taken as broken: bookmarks come every minute.
SILENT_SECONDS: Final = 120.0
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


def readiness(services: ODServices) -> tuple[bool, str]:
    """Whether requests may be sent here, and why: ``starting: kubernetes``, ``ready``, ``degraded: mongodb, ...``.

    A part that is away does not make a replica unready: all replicas miss it, and each still does what needs it not.
    Only what is known is told; nothing is asked, so it takes no time.
    """
    if services.orchestrator is None or services.orchestrator.watch_age is None:
        return False, "starting: kubernetes"
    away = [
        name
        for name, available in (
            ("mongodb", services.datastore.available),
            ("memcached", services.sharecache.available),
            ("kubernetes", _cluster(services)["ok"]),
        )
        if not available
    ]
    return True, f"degraded: {', '.join(away)}" if away else "ready"


def _cluster(services: ODServices) -> dict[str, Any]:
    age = services.orchestrator.watch_age
    return {
        "ok": age is not None and age < SILENT_SECONDS,
        "watch_age_seconds": age,
        "needed_for": "desktops and applications",
    }
