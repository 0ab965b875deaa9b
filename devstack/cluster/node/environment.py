"""The environment of a container: env, envFrom, references, `$(NAME)` expansion."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from devstack.cluster.objects import Object
from devstack.cluster.quantity import value_of

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.\-][\w.\-]*)\))")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Lookup = Callable[[str, str, str], Object | None]


class ConfigError(Exception):
    """The container's configuration refers to something that is not there; the text is the kubelet's."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; unknown names stay, `$$` is a dollar sign."""

    def one(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return values.get(match[2], match[0])

    return _REFERENCE.sub(one, text)


def build_environment(pod: Object, container: Object, status: Mapping[str, str], lookup: Lookup) -> dict[str, str]:
    """The variables by name. `status` overrides fields not yet stored (`status.podIP`).

    `lookup(kind, namespace, name)` reads a Secret or ConfigMap. Raises ConfigError.
    """
    namespace = pod["metadata"]["namespace"]
    values = {
        "PATH": DEFAULT_PATH,
        "HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"],
        "HOME": "/root",
    }
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for kind, field in (("secrets", "secretRef"), ("configmaps", "configMapRef")):
            reference = source.get(field)
            if reference:
                values |= {prefix + key: text for key, text in _all_keys(kind, namespace, reference, lookup).items()}
    for variable in container.get("env") or ():
        reference = variable.get("valueFrom")
        if reference:
            text = _reference(pod, container, reference, status, lookup)
            if text is not None:
                values[variable["name"]] = text
        else:
            values[variable["name"]] = expand(variable.get("value", ""), values)
    return values


def field_value(pod: Object, path: str, status: Mapping[str, str] | None = None) -> str:
    """The text of a downward API field; an unknown one is empty."""
    match = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if match:
        return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        items = pod["metadata"].get(path.partition(".")[2]) or {}
        return "\n".join(f'{key}="{_escape(value)}"' for key, value in sorted(items.items()))
    if status and path in status:
        return status[path]
    if path == "status.podIPs":
        return ",".join(entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or ())
    value: Any = pod
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _reference(
    pod: Object, container: Object, reference: Object, status: Mapping[str, str], lookup: Lookup
) -> str | None:
    namespace = pod["metadata"]["namespace"]
    if "fieldRef" in reference:
        return field_value(pod, reference["fieldRef"]["fieldPath"], status)
    if "resourceFieldRef" in reference:
        return _resource(pod, container, reference["resourceFieldRef"])
    if "secretKeyRef" in reference:
        return _key("secrets", namespace, reference["secretKeyRef"], lookup)
    if "configMapKeyRef" in reference:
        return _key("configmaps", namespace, reference["configMapKeyRef"], lookup)
    return None


def _resource(pod: Object, container: Object, reference: Object) -> str:
    holder = container
    for other in pod["spec"].get("containers") or ():
        if other["name"] == reference.get("containerName"):
            holder = other
    where, _, name = reference["resource"].partition(".")
    quantity = ((holder.get("resources") or {}).get(where) or {}).get(name)
    if quantity is None:
        return "0"
    divisor = value_of(reference.get("divisor") or "1") or value_of("1")
    return str(math.ceil(value_of(quantity) / divisor))


def _all_keys(kind: str, namespace: str, reference: Object, lookup: Lookup) -> dict[str, str]:
    obj = lookup(kind, namespace, reference.get("name", ""))
    if obj is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{kind[:-1]} "{reference.get("name", "")}" not found')
    return {key: _text(kind, value) for key, value in (obj.get("data") or {}).items()}


def _key(kind: str, namespace: str, reference: Object, lookup: Lookup) -> str | None:
    name, key = reference.get("name", ""), reference["key"]
    obj = lookup(kind, namespace, name)
    if obj is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{kind[:-1]} "{name}" not found')
    data = obj.get("data") or {}
    if key not in data:
        if reference.get("optional"):
            return None
        title = {"secrets": "Secret", "configmaps": "ConfigMap"}[kind]
        raise ConfigError(f"couldn't find key {key} in {title} {namespace}/{name}")
    return _text(kind, data[key])


def _text(kind: str, value: Any) -> str:
    return base64.b64decode(value).decode("utf-8", "surrogateescape") if kind == "secrets" else str(value)
