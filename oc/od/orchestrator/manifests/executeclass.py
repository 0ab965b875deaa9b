"""Execute classes: where a pod runs and what it may use (orchestration.md 5.6)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from oc.od.settings import Settings
from oc.od.settings.policies import ExecuteClass

LABEL: Final = "executeclassname"


@dataclass(frozen=True, slots=True)
class Selected:
    """The class that applies. ``warning`` is set when another one was asked for."""

    name: str
    execute_class: ExecuteClass
    warning: str | None = None


def select(settings: Settings, labels: Mapping[str, str], wanted: str | None = None) -> Selected:
    """The class of an application (``wanted``) or of a user: ``wanted``, else the user's label, else ``default``."""
    asked = wanted or labels.get(LABEL)
    name, found = settings.execute_class(asked)
    warning = None if asked in (None, name) else f"execute class {asked[:80]!r} does not exist, default is used"
    return Selected(name, found, warning)


def merged(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Deep merge into fresh dicts; later layers win, lists are replaced."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in (layer or {}).items():
            if isinstance(value, Mapping):
                under = result.get(key)
                result[key] = merged(under if isinstance(under, Mapping) else None, value)
            else:
                result[key] = copy.deepcopy(value)
    return result


def container_resources(selected: Selected, entry: str, configured: Mapping[str, Any] | None) -> dict[str, Any]:
    """Resources of one container: the class's for this entry under the configured ones; empty when none."""
    of_class = selected.execute_class.containers.get(entry, {}).get("resources")
    return _without_empty(merged(of_class, configured))


def split_pod_resources(selected: Selected) -> tuple[dict[str, Any], dict[str, Any]]:
    """The class's resources as (pod level, rest): a pod takes CPU, memory and huge pages, but no devices."""
    pod: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for part, amounts in (selected.execute_class.resources or {}).items():
        if part not in ("requests", "limits"):
            rest[part] = copy.deepcopy(amounts)
            continue
        for name, amount in (amounts or {}).items():
            target = pod if name in ("cpu", "memory") or name.startswith("hugepages-") else rest
            target.setdefault(part, {})[name] = amount
    return pod, rest


def class_resources(selected: Selected) -> dict[str, Any]:
    """The class's resources as they go on one container."""
    return _without_empty(merged(selected.execute_class.resources))


def node_selector(settings: Settings, selected: Selected, *more: Mapping[str, str]) -> dict[str, str]:
    """``desktop.nodeselector`` with the class's labels over it, then ``more``."""
    return merged(settings.desktop.nodeselector, selected.execute_class.node_selector, *more)


def pod_fields(selected: Selected) -> dict[str, Any]:
    """The class's scheduling fields that replace those of the pod; tolerations are not among them: they add up."""
    found = selected.execute_class
    fields = {
        "runtimeClassName": found.runtime_class_name,
        "priorityClassName": found.priority_class_name,
        "schedulerName": found.scheduler_name,
        "affinity": merged(found.affinity) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def tolerations(selected: Selected, *configured: Any) -> list[dict[str, Any]]:
    """The configured tolerations followed by the class's, each once."""
    result: list[dict[str, Any]] = []
    for item in (*(one for many in configured for one in many or ()), *(selected.execute_class.tolerations or ())):
        if dict(item) not in result:
            result.append(copy.deepcopy(dict(item)))
    return result


def _without_empty(resources: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resources.items() if value}
