"""The resources a pod asks for, as exact numbers in base units (cores, bytes)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from devstack.cluster.quantity import value_of


def add(total: dict[str, Decimal], more: Mapping[str, Any]) -> None:
    """Add resource by resource, in place."""
    for name, value in more.items():
        total[name] = total.get(name, Decimal(0)) + _number(value)


def pod_requests(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """What the scheduler reserves: containers and side cars together, or the largest init container; then overhead.

    Requests of the pod as a whole (`spec.resources`) stand in place of the sum.
    """
    total: dict[str, Decimal] = {}
    peak: dict[str, Decimal] = {}
    for container in spec.get("containers") or ():
        add(total, _requests(container))
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            add(total, _requests(container))
            continue
        for name, value in _requests(container).items():
            peak[name] = max(peak.get(name, Decimal(0)), _number(value))
    for name, value in peak.items():
        total[name] = max(total.get(name, Decimal(0)), value)
    for name, value in _requests(spec).items():
        total[name] = _number(value)
    add(total, spec.get("overhead") or {})
    return {name: value for name, value in total.items() if value}


def _requests(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    resources = holder.get("resources") or {}
    # A limit without a request counts as the request.
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def _number(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else value_of(value)
