"""Resource requirements: quantities of limits and requests."""

from __future__ import annotations

from devstack.cluster import names, quantity
from devstack.cluster.errors import FieldError, invalid, unsupported
from devstack.cluster.objects import Object

_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_POD_LEVEL = ("cpu", "memory")
_NOT_NEGATIVE = "must be greater than or equal to 0"


def _is_huge_pages(name: str) -> bool:
    return name.startswith("hugepages-")


def _is_extended(name: str) -> bool:
    return "/" in name and not name.startswith("kubernetes.io/")


def _name_faults(name: str) -> list[str]:
    faults = names.qualified(name)
    if faults:
        return faults
    if "/" in name:
        return []
    if name in _STANDARD or _is_huge_pages(name):
        return []
    return ["must be a standard resource type or fully qualified", "must be a standard resource for containers"]


def requirements(resources: Object, field: str, pod_level: Object | None = None) -> list[FieldError]:
    """Faults of a container's resources; `pod_level`: the pod spec, whose own resources bound them."""
    errors: list[FieldError] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, values in (("limits", limits), ("requests", requests)):
        for name, text in values.items():
            here = f"{field}.{part}[{name}]"
            errors += [invalid(here, name, fault) for fault in _name_faults(name)]
            errors += _amount(name, text, here)
        if part == "limits":
            continue
        for name, text in values.items():
            errors += _against_limit(name, text, limits, f"{field}.requests")
    return errors


def _amount(name: str, text: str, field: str) -> list[FieldError]:
    value = quantity.value_of(text)
    errors: list[FieldError] = []
    if value < 0:
        errors.append(invalid(field, text, _NOT_NEGATIVE))
    if _is_extended(name) and value != value.to_integral_value():
        errors.append(invalid(field, text, "must be an integer"))
    return errors


def _against_limit(name: str, text: str, limits: Object, field: str) -> list[FieldError]:
    limit = limits.get(name)
    if limit is None:
        if _is_extended(name):
            return [invalid(field, text, f"must be equal to {name} limit of 0")]
        return []
    value, most = quantity.value_of(text), quantity.value_of(limit)
    if _is_extended(name) or _is_huge_pages(name):
        return [] if value == most else [invalid(field, text, f"must be equal to {name} limit of {limit}")]
    return [] if value <= most else [invalid(field, text, f"must be less than or equal to {name} limit of {limit}")]


def pod_level(spec: Object) -> list[FieldError]:
    """Faults of the resources of the pod as a whole."""
    resources = spec.get("resources")
    if not resources:
        return []
    errors: list[FieldError] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, values in (("limits", limits), ("requests", requests)):
        for name, text in values.items():
            here = f"spec.resources.{part}[{name}]"
            told = part == "requests" and name in limits
            if name not in _POD_LEVEL and not _is_huge_pages(name) and not told:
                errors.append(unsupported(here, name, ["cpu", "hugepages-", "memory"]))
            errors += _amount(name, text, here)
    for name, text in requests.items():
        errors += _against_limit(name, text, limits, "spec.resources.requests")
    for number, container in enumerate(spec.get("containers") or ()):
        own = (container.get("resources") or {}).get("limits") or {}
        for name, limit in limits.items():
            if name in own and quantity.value_of(own[name]) > quantity.value_of(limit):
                where = f"spec.resources.containers[{number}][{name}].limits"
                errors.append(invalid(where, own[name], f"must be less than or equal to pod limits of {limit}"))
    return errors
