"""Containers of pods: init, regular and ephemeral."""

from __future__ import annotations

import re
from typing import Any

from devstack.cluster import names
from devstack.cluster.errors import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid,
    not_found_field,
    required,
    unsupported,
)
from devstack.cluster.objects import Object
from devstack.cluster.validation import amounts, security

PULL_POLICIES = ["Always", "IfNotPresent", "Never"]
_MESSAGE_POLICIES = ["File", "FallbackToLogsOnError"]
_PROTOCOLS = ["SCTP", "TCP", "UDP"]
_PROPAGATIONS = ["Bidirectional", "HostToContainer", "None"]
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_EPHEMERAL_FORBIDDEN = (
    "lifecycle", "livenessProbe", "ports", "readinessProbe", "resizePolicy", "resources", "startupProbe",
)  # fmt: skip
_ENV_NAME = re.compile(r"^[ -<>-~]+$")
_FIELD_PATHS = re.compile(
    r"^(metadata\.(name|namespace|uid|labels|annotations)|metadata\.(labels|annotations)\['[^']*'\]|spec\.(nodeName|"
    r"serviceAccountName)|status\.(hostIP|hostIPs|podIP|podIPs))$"
)
_PORT_RANGE = "must be between 1 and 65535, inclusive"
_SERVICE_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])*$")


def validate_all(spec: Object, volumes: set[str]) -> list[FieldError]:
    """Faults of the containers, init containers and ephemeral containers of a pod spec."""
    if not spec.get("containers"):
        return [required("spec.containers")]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, container in enumerate(spec["containers"]):
        field = f"spec.containers[{number}]"
        errors += _common(container, field, spec, volumes)
        errors += _regular(container, field, spec)
        errors += _unique(container, field, seen)
        errors += amounts.requirements(container.get("resources") or {}, f"{field}.resources", pod_level=spec)
    errors += _across_ports(spec["containers"])
    for number, container in enumerate(spec.get("initContainers") or ()):
        field = f"spec.initContainers[{number}]"
        errors += _common(container, field, spec, volumes)
        errors += _unique(container, field, seen)
        errors += _init(container, field, spec)
        errors += amounts.requirements(container.get("resources") or {}, f"{field}.resources", pod_level=spec)
    return errors + ephemeral(spec, volumes, seen)


def ephemeral(spec: Object, volumes: set[str], seen: set[str]) -> list[FieldError]:
    """Faults of the ephemeral containers; `seen` has the names of the others."""
    errors: list[FieldError] = []
    targets = {c.get("name") for part in ("containers", "initContainers") for c in spec.get(part) or ()}
    for number, container in enumerate(spec.get("ephemeralContainers") or ()):
        field = f"spec.ephemeralContainers[{number}]"
        errors += _common(container, field, spec, volumes)
        errors += _unique(container, field, seen)
        target = container.get("targetContainerName")
        if target and target not in targets:
            errors.append(not_found_field(f"{field}.targetContainerName", target))
        errors += _ephemeral_limits(container, field)
    return errors


def _ephemeral_limits(container: Object, field: str) -> list[FieldError]:
    why = "cannot be set for an Ephemeral Container"
    errors = [forbidden_field(f"{field}.{name}", why) for name in _EPHEMERAL_FORBIDDEN if container.get(name)]
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        errors += [
            forbidden_field(f"{field}.volumeMounts[{number}].{name}", why)
            for name in ("subPath", "subPathExpr")
            if mount.get(name)
        ]
    return errors


def _unique(container: Object, field: str, seen: set[str]) -> list[FieldError]:
    name = container.get("name", "")
    if not name:
        return []
    if name in seen:
        return [duplicate(f"{field}.name", name)]
    seen.add(name)
    return []


def _common(container: Object, field: str, spec: Object, volumes: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    name, image = container.get("name", ""), container.get("image", "")
    if not name:
        errors.append(required(f"{field}.name"))
    else:
        errors += [invalid(f"{field}.name", name, fault) for fault in names.label(name)]
    if not image:
        errors.append(required(f"{field}.image"))
    elif image.strip() != image:
        errors.append(invalid(f"{field}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy")
    if policy not in (*_MESSAGE_POLICIES, "", None):
        errors.append(unsupported(f"{field}.terminationMessagePolicy", policy, _MESSAGE_POLICIES))
    errors += _ports(container.get("ports") or (), f"{field}.ports")
    errors += _environment(container.get("env") or (), f"{field}.env")
    errors += _environment_sources(container.get("envFrom") or (), f"{field}.envFrom")
    errors += _mounts(container.get("volumeMounts") or (), volumes, f"{field}.volumeMounts")
    pull = container.get("imagePullPolicy")
    if pull not in PULL_POLICIES:
        errors.append(unsupported(f"{field}.imagePullPolicy", pull, PULL_POLICIES))
    return errors + security.container_context(container.get("securityContext"), spec, f"{field}.securityContext")


def _regular(container: Object, field: str, spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for hook in ("postStart", "preStop"):
        if hook in (container.get("lifecycle") or {}):
            errors += _handler(container["lifecycle"][hook], f"{field}.lifecycle.{hook}")
    for name in _PROBES:
        if name in container:
            errors += _probe(container[name], name, f"{field}.{name}", spec)
    return errors


def _init(container: Object, field: str, spec: Object) -> list[FieldError]:
    restart = container.get("restartPolicy")
    if restart == "Always":
        return _regular(container, field, spec)
    errors: list[FieldError] = []
    if restart is not None:
        errors.append(unsupported(f"{field}.restartPolicy", restart, ["Always"]))
    why = "may not be set for init containers without restartPolicy=Always"
    return errors + [forbidden_field(f"{field}.{n}", why) for n in ("lifecycle", *_PROBES) if n in container]


# -- ports -----------------------------------------------------------------------------------------------------------
def port_name_faults(name: str) -> list[str]:
    """Faults of an IANA service name."""
    faults: list[str] = []
    if len(name) > 15:
        faults.append("must be no more than 15 characters")
    elif not re.fullmatch(r"[a-z0-9-]+", name):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if len(name) <= 15:
        if not re.search(r"[a-z]", name):
            faults.append("must contain at least one letter (a-z)")
        if "--" in name:
            faults.append("must not contain consecutive hyphens")
        if name.startswith("-") or name.endswith("-"):
            faults.append("must not begin or end with a hyphen")
    return faults


def _ports(ports: Any, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, port in enumerate(ports):
        here = f"{field}[{number}]"
        name = port.get("name", "")
        if name:
            faults = port_name_faults(name)
            errors += [invalid(f"{here}.name", name, fault) for fault in faults]
            if not faults and name in seen:
                errors.append(duplicate(f"{here}.name", name))
            seen.add(name)
        value = port.get("containerPort", 0)
        if not value:
            errors.append(required(f"{here}.containerPort"))
        elif not 1 <= value <= 65535:
            errors.append(invalid(f"{here}.containerPort", value, _PORT_RANGE))
        host = port.get("hostPort", 0)
        if host and not 1 <= host <= 65535:
            errors.append(invalid(f"{here}.hostPort", host, _PORT_RANGE))
        if port.get("protocol") not in _PROTOCOLS:
            errors.append(unsupported(f"{here}.protocol", port.get("protocol"), _PROTOCOLS))
    return errors


def _across_ports(containers: list[Object]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                key = f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}"
                if key in seen:
                    errors.append(duplicate(f"spec.containers[{index}].ports[{number}].hostPort", key))
                seen.add(key)
    return errors


# -- environment -----------------------------------------------------------------------------------------------------
def _environment(entries: Any, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, entry in enumerate(entries):
        here, name = f"{field}[{number}]", entry.get("name", "")
        if not name:
            errors.append(required(f"{here}.name"))
        elif not _ENV_NAME.match(name):
            why = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            errors.append(invalid(f"{here}.name", name, why))
        if "valueFrom" in entry:
            errors += _value_from(entry, f"{here}.valueFrom")
    return errors


def _value_from(entry: Object, field: str) -> list[FieldError]:
    source = entry["valueFrom"]
    errors: list[FieldError] = []
    if "fieldRef" in source:
        path = source["fieldRef"].get("fieldPath", "")
        here = f"{field}.fieldRef.fieldPath"
        if not path:
            errors.append(required(here))
        elif not _FIELD_PATHS.match(path):
            errors.append(invalid(here, path, f"error converting fieldPath: field label not supported: {path}"))
    for kind in ("configMapKeyRef", "secretKeyRef"):
        reference = source.get(kind)
        if reference is not None:
            errors += [required(f"{field}.{kind}.{n}") for n in ("name", "key") if not reference.get(n)]
    if "resourceFieldRef" in source and not source["resourceFieldRef"].get("resource"):
        errors.append(required(f"{field}.resourceFieldRef.resource"))
    if not source:
        errors.append(
            invalid(
                field, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            )
        )
    elif entry.get("value"):
        errors.append(invalid(field, "", "may not be specified when `value` is not empty"))
    elif len(source) > 1:
        errors.append(invalid(field, "", "may not have more than one field specified at a time"))
    return errors


def _environment_sources(entries: Any, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for entry in entries:
        kinds = [kind for kind in ("configMapRef", "secretRef") if kind in entry]
        errors += [required(f"{field}.{kind}.name") for kind in kinds if not entry[kind].get("name")]
        if not kinds:
            errors.append(invalid(field, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(kinds) > 1:
            errors.append(invalid(field, "", "may not have more than one field specified at a time"))
    return errors


# -- mounts ----------------------------------------------------------------------------------------------------------
def path_faults(path: str) -> list[str]:
    """Faults of a path that must stay inside."""
    if path.startswith("/"):
        return ["must be a relative path"]
    return ["must not contain '..'"] if ".." in path.split("/") else []


def _mounts(mounts: Any, volumes: set[str], field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, mount in enumerate(mounts):
        here, name, path = f"{field}[{number}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(required(f"{here}.name"))
        if name not in volumes:
            errors.append(not_found_field(f"{here}.name", name))
        if not path:
            errors.append(required(f"{here}.mountPath"))
        if path in seen:
            errors.append(invalid(f"{here}.mountPath", path, "must be unique"))
        seen.add(path)
        sub, expression = mount.get("subPath", ""), mount.get("subPathExpr", "")
        errors += [invalid(f"{field}.subPath", sub, fault) for fault in path_faults(sub)]
        if expression:
            if sub:
                why = "subPathExpr and subPath are mutually exclusive"
                errors.append(invalid(f"{here}.subPathExpr", expression, why))
            errors += [invalid(f"{field}.subPathExpr", expression, fault) for fault in path_faults(expression)]
        propagation = mount.get("mountPropagation")
        if propagation is not None and propagation not in _PROPAGATIONS:
            errors.append(unsupported(f"{field}.mountPropagation", propagation, _PROPAGATIONS))
    return errors


# -- probes ----------------------------------------------------------------------------------------------------------
def _probe(probe: Object, name: str, field: str, spec: Object) -> list[FieldError]:
    errors = _handler(probe, field)
    for number in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if probe.get(number, 0) < 0:
            errors.append(invalid(f"{field}.{number}", probe[number], "must be greater than or equal to 0"))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        errors.append(invalid(f"{field}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        errors.append(invalid(f"{field}.successThreshold", probe["successThreshold"], "must be 1"))
    return errors


def _handler(handler: Object, field: str) -> list[FieldError]:
    kinds = [kind for kind in _HANDLERS if kind in handler]
    errors: list[FieldError] = []
    for number, kind in enumerate(kinds):
        here = f"{field}.{kind}"
        if number:
            errors.append(forbidden_field(here, "may not specify more than 1 handler type"))
        elif kind == "exec" and not handler["exec"].get("command"):
            errors.append(required(f"{here}.command"))
        elif kind == "httpGet":
            errors += _http(handler["httpGet"], here)
        elif kind == "tcpSocket":
            errors += _port_or_name(handler["tcpSocket"].get("port", 0), f"{here}.port")
    if not kinds:
        errors.append(required(field, "must specify a handler type"))
    return errors


def _http(get: Object, field: str) -> list[FieldError]:
    errors = [] if get.get("path") else [required(f"{field}.path")]
    errors += _port_or_name(get.get("port", 0), f"{field}.port")
    if get.get("scheme") not in ("HTTP", "HTTPS"):
        errors.append(unsupported(f"{field}.scheme", get.get("scheme"), ["HTTP", "HTTPS"]))
    return errors


def _port_or_name(port: Any, field: str) -> list[FieldError]:
    if isinstance(port, int):
        return [] if 1 <= port <= 65535 else [invalid(field, port, _PORT_RANGE)]
    return [invalid(field, port, fault) for fault in port_name_faults(port)]
