"""What Kubernetes fills into a pod (or a pod template) that its author left out."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from devstack.cluster import quantity
from devstack.cluster.objects import Object

DEFAULT_MODE = 420  # 0644
_TOKEN_LIFE_S = 3600


def containers_of(spec: Object, *, ephemeral: bool = True) -> Iterator[Object]:
    """All containers of a pod spec: init, regular, ephemeral."""
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()
    if ephemeral:
        yield from spec.get("ephemeralContainers") or ()


def default_pod(pod: Object) -> None:
    """Defaults of a Pod object."""
    spec = pod.setdefault("spec", {})
    spec.setdefault("enableServiceLinks", True)
    default_pod_spec(spec)
    for container in containers_of(spec, ephemeral=False):
        _requests_from_limits(container["resources"])
    if "resources" in spec:
        _default_pod_resources(spec)
    if spec.get("hostNetwork"):
        for container in containers_of(spec, ephemeral=False):
            for port in container.get("ports") or ():
                port.setdefault("hostPort", port.get("containerPort", 0))


def default_template(template: Object) -> None:
    """Defaults of a pod template inside a workload object."""
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name
    for container in spec.get("containers") or ():
        container.pop("restartPolicy", None)
    for container in containers_of(spec):
        default_container(container)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)
    for constraint in spec.get("topologySpreadConstraints") or ():
        constraint.setdefault("maxSkew", 1)


def default_container(container: Object) -> None:
    """Defaults of a container of any sort."""
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image", "")))
    resources = container.setdefault("resources", {})
    round_resources(resources)
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        _default_field_reference(source.get("fieldRef"))
        if "resourceFieldRef" in source:
            source["resourceFieldRef"].setdefault("divisor", "0")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _default_probe(container[name])
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _default_handler(handler)


def round_resources(resources: Object) -> None:
    """No finer grain than a thousandth, in limits and requests."""
    for part in ("limits", "requests"):
        values: Object = resources.get(part) or {}
        for name in values:
            values[name] = quantity.round_up_to_milli(values[name])


def _pull_policy(image: str) -> str:
    if "@" in image:
        return "IfNotPresent"
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _default_field_reference(reference: Object | None) -> None:
    if reference is not None:
        reference.setdefault("apiVersion", "v1")


def _default_handler(handler: Object) -> None:
    http = handler.get("httpGet")
    if http is not None:
        http.setdefault("path", "/")
        http.setdefault("scheme", "HTTP")
    if "grpc" in handler:
        handler["grpc"].setdefault("service", "")


def _default_probe(probe: Object) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    _default_handler(probe)


def _default_volume(volume: Object) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if source in volume:
            volume[source].setdefault("defaultMode", DEFAULT_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _default_field_reference(item.get("fieldRef"))
    for part in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in part:
            part["serviceAccountToken"].setdefault("expirationSeconds", _TOKEN_LIFE_S)
        for item in (part.get("downwardAPI") or {}).get("items") or ():
            _default_field_reference(item.get("fieldRef"))
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if template is not None:
        template.setdefault("metadata", {})
        claim = template.setdefault("spec", {})
        claim.setdefault("volumeMode", "Filesystem")
        claim.setdefault("resources", {})
    if "iscsi" in volume:
        volume["iscsi"].setdefault("iscsiInterface", "default")


def _requests_from_limits(resources: Object) -> None:
    limits = resources.get("limits")
    if not limits:
        return
    requests = resources.setdefault("requests", {})
    for name, value in limits.items():
        requests.setdefault(name, value)
    resources["requests"] = dict(sorted(requests.items()))


_POD_LEVEL = ("cpu", "memory")


def _default_pod_resources(spec: Object) -> None:
    """Requests of the pod: what the containers request together, else the pod's limit."""
    resources = spec["resources"]
    round_resources(resources)
    limits = resources.get("limits") or {}
    if not limits and not resources.get("requests"):
        return
    requests = resources.setdefault("requests", {})
    sums = _sum_requests(spec)
    for name, value in sums.items():
        if (name in _POD_LEVEL or name.startswith("hugepages-")) and name not in requests:
            requests[name] = value
    for name, value in limits.items():
        requests.setdefault(name, value)


def _sum_requests(spec: Object) -> dict[str, str]:
    totals: dict[str, tuple[Decimal, str]] = {}
    for container in spec.get("containers") or ():
        for name, text in (container["resources"].get("requests") or {}).items():
            value, form = quantity.parse(text)
            total, first_form = totals.get(name, (Decimal(0), form))
            totals[name] = (total + value, first_form)
    return {name: quantity.write(value, form) for name, (value, form) in totals.items()}


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort."""
    level: Object | None = spec.get("resources")
    if level and (level.get("limits") or level.get("requests")):
        parts: list[Object] = [level]
    else:
        parts = [container.get("resources") or {} for container in containers_of(spec, ephemeral=False)]
    guaranteed, anything = bool(parts), False
    for part in parts:
        limits, requests = _compute(part.get("limits")), _compute(part.get("requests"))
        anything = anything or bool(limits or requests)
        equal = all(requests.get(name, limits.get(name)) == limits.get(name) for name in _POD_LEVEL)
        guaranteed = guaranteed and set(limits) >= set(_POD_LEVEL) and equal
    if not anything:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _compute(values: Any) -> dict[str, Decimal]:
    parsed = {name: quantity.value_of(value) for name, value in (values or {}).items() if name in _POD_LEVEL}
    return {name: value for name, value in parsed.items() if value}
