"""LimitRange (defaults and bounds of pods and claims) and ResourceQuota (what a namespace may hold)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from devstack.cluster import quantity
from devstack.cluster.errors import forbidden
from devstack.cluster.objects import Object
from devstack.cluster.resources import Resource
from devstack.cluster.store import Store

_ANNOTATION = "kubernetes.io/limit-ranger"
_PLAIN_COUNTS = frozenset(
    {"pods", "secrets", "configmaps", "persistentvolumeclaims", "services", "replicationcontrollers", "resourcequotas"}
)


def _ranges(store: Store, namespace: str, kind: str) -> Iterable[Object]:
    for limit_range in store.list("limitranges", namespace):
        for item in limit_range["spec"].get("limits") or ():
            if item.get("type") == kind:
                yield item


def apply_limit_ranges(store: Store, pod: Object, namespace: str) -> None:
    """Fill in default requests and limits, then hold every container to the bounds.  Raises ApiError 403."""
    if not store.table("limitranges").items.get(namespace):
        return
    notes: list[str] = []
    spec = pod["spec"]
    groups = (("init container", spec.get("initContainers")), ("container", spec.get("containers")))
    for item in _ranges(store, namespace, "Container"):
        for title, containers in groups:
            for container in containers or ():
                notes.extend(_default(item, container, title))
    if notes:
        pod["metadata"].setdefault("annotations", {})[_ANNOTATION] = "LimitRanger plugin set: " + "; ".join(notes)
    for item in _ranges(store, namespace, "Container"):
        for _, containers in groups:
            for container in containers or ():
                _bound(item, container["resources"], "Container", pod)


def _default(item: Object, container: Object, title: str) -> list[str]:
    notes: list[str] = []
    resources = container["resources"]
    for part, defaults, word in (("requests", "defaultRequest", "request"), ("limits", "default", "limit")):
        for name, value in (item.get(defaults) or {}).items():
            values = resources.setdefault(part, {})
            if name not in values:
                values[name] = value
                notes.append(f"{name} {word} for {title} {container.get('name', '')}")
        if part in resources and not resources[part]:
            del resources[part]
    return notes


def _bound(item: Object, resources: Object, what: str, pod: Object) -> None:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, most in (item.get("max") or {}).items():
        for kind, values in (("limit", limits), ("request", requests)):
            if name in values and quantity.value_of(values[name]) > quantity.value_of(most):
                why = f"maximum {name} usage per {what} is {most}, but {kind} is {values[name]}"
                raise forbidden("pods", "", pod["metadata"].get("name", ""), why)
        if name not in limits:
            why = f"maximum {name} usage per {what} is {most}. No limit is specified"
            raise forbidden("pods", "", pod["metadata"].get("name", ""), why)
    for name, least in (item.get("min") or {}).items():
        if name in requests and quantity.value_of(requests[name]) < quantity.value_of(least):
            why = f"minimum {name} usage per {what} is {least}, but request is {requests[name]}"
            raise forbidden("pods", "", pod["metadata"].get("name", ""), why)


# -- quota -----------------------------------------------------------------------------------------------------------
def _charge(resource: Resource, obj: Object) -> dict[str, Decimal]:
    """What one object uses of everything a quota can limit."""
    suffix = f".{resource.group}" if resource.group else ""
    charge = {f"count/{resource.plural}{suffix}": Decimal(1)}
    if resource.plural in _PLAIN_COUNTS and not resource.group:
        charge[resource.plural] = Decimal(1)
    if resource.plural == "pods":
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            del charge["pods"]
            return charge
        for container in obj["spec"].get("containers") or ():
            for part in ("requests", "limits"):
                for name, value in ((container.get("resources") or {}).get(part) or {}).items():
                    number = quantity.value_of(value)
                    for key in [f"{part}.{name}"] + ([name] if part == "requests" else []):
                        charge[key] = charge.get(key, Decimal(0)) + number
    elif resource.plural == "persistentvolumeclaims":
        storage = ((obj["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
        charge["requests.storage"] = quantity.value_of(storage)
    return charge


def usage(store: Store, namespace: str, names: Iterable[str], resources: Iterable[Resource]) -> dict[str, str]:
    """What a namespace uses now of the named things; for the status of a ResourceQuota."""
    wanted = list(names)
    totals = {name: Decimal(0) for name in wanted}
    for resource in resources:
        for obj in store.list(resource.storage, namespace):
            for name, value in _charge(resource, obj).items():
                if name in totals:
                    totals[name] += value
    return {name: quantity.write(value, "decimal") for name, value in totals.items()}


def check_quota(store: Store, resource: Resource, obj: Object, namespace: str) -> None:
    """Whether a new object still fits every quota of its namespace.  Raises ApiError 403."""
    if not store.table("resourcequotas").items.get(namespace):
        return
    charge = _charge(resource, obj)
    for quota in store.list("resourcequotas", namespace):
        hard = quota["spec"].get("hard") or {}
        concerned = {name: charge[name] for name in hard if name in charge}
        if not concerned:
            continue
        used = usage(store, namespace, concerned, [resource])
        over = [n for n, c in concerned.items() if quantity.value_of(used[n]) + c > quantity.value_of(hard[n])]
        if over:
            requested = ",".join(f"{name}={quantity.write(concerned[name], 'decimal')}" for name in over)
            now = ",".join(f"{name}={used[name]}" for name in over)
            limit = ",".join(f"{name}={hard[name]}" for name in over)
            why = f"exceeded quota: {quota['metadata']['name']}, requested: {requested}, used: {now}, limited: {limit}"
            raise forbidden(resource.plural, resource.group, obj["metadata"].get("name", ""), why)
