"""Network rules of a user (orchestration.md 5.9)."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from oc.od.orchestrator.manifests.executeclass import merged
from oc.od.orchestrator.manifests.types import NetworkRules
from oc.od.settings import Settings


def network_rules(settings: Settings, labels: Mapping[str, str], overlay: Any = None) -> NetworkRules:
    """Merge ``default`` and the rule of every label the user carries, in configuration order.

    overlay: the ``rules`` of an application; its ``network`` replaces the configured one as a whole.
    """
    rules: Any = settings.policies.rules.network
    if isinstance(overlay, Mapping) and isinstance(overlay.get("network"), Mapping):
        rules = overlay["network"]
    default = rules.get("default", True)
    layers = [default] if isinstance(default, Mapping) else []
    layers += [rule for label, rule in rules.items() if label != "default" and label in labels and _is_dict(rule)]
    found = _merge(layers)
    external = found.get("external_dns") or {}
    return NetworkRules(
        annotations={str(key): _annotation(value) for key, value in (found.get("annotations") or {}).items()},
        dns_config=copy.deepcopy(found.get("internal_dns")),
        external_hostname=external.get("hostname"),
        external_domain=external.get("domain"),
        websocketrouting=found.get("websocketrouting"),
        websocketrouting_interface=found.get("websocketrouting_interface"),
        webhook=copy.deepcopy(found.get("webhook") or {}),
        name=found.get("name"),
        disabled=default is False or bool(found.get("network_disabled")),
    )


def _is_dict(rule: Any) -> bool:
    return isinstance(rule, Mapping)


def _merge(layers: list[Any]) -> dict[str, Any]:
    """Later layers win key by key; annotations of all layers are kept."""
    result: dict[str, Any] = {}
    for layer in layers:
        annotations = merged(result.get("annotations"), layer.get("annotations"))
        result.update(layer)
        if annotations:
            result["annotations"] = annotations
    return result


def _annotation(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
