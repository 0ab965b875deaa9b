"""Environment of desktop and application containers (orchestration.md 5.7, 7.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from oc.od.orchestrator.manifests import labels as label_rules
from oc.od.orchestrator.manifests import templates
from oc.od.orchestrator.manifests.types import Json

_NAME: Final = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]{0,252}")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_VALUE: Final = 32_768
"""Longest value of one variable, in characters; a longer one is left out."""

FIELD_REFERENCES: Final = (
    ("NODE_NAME", "spec.nodeName"),
    ("POD_NAME", "metadata.name"),
    ("POD_NAMESPACE", "metadata.namespace"),
    ("POD_IP", "status.podIP"),
)


class Environment:
    """Variables in order of their first setting; a later setting of a name replaces the value in its place."""

    def __init__(self) -> None:
        self._values: dict[str, Json] = {}
        self.warnings: list[str] = []

    def configure(self, values: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        """Set configured variables, rendered; ``$(NAME)`` in them keeps its Kubernetes meaning."""
        for name, value in values.items():
            if value is not None:
                self._put(name, str(templates.render(value, context)))

    def set(self, **values: str | int | None) -> None:
        """Set variables to what they are, ``$`` included; None and nothing leave the variable out."""
        for name, value in values.items():
            if value is not None and value != "":
                self._put(name, _literal(str(value)))

    def merge(self, values: Mapping[str, Any]) -> None:
        """Set variables from outside: names are checked, None is skipped, dicts and lists become JSON."""
        for name, value in values.items():
            if value is None:
                continue
            text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            self._put(str(name), _literal(text))

    def labels(self, labels: Mapping[str, str]) -> None:
        """``ABCDESKTOP_LABEL_<label in lower case>`` for labels that make a usable name."""
        for label, value in labels.items():
            if _IDENTIFIER.fullmatch(label) and not label_rules.is_reserved(label.lower()):
                self.set(**{f"ABCDESKTOP_LABEL_{label.lower()}": str(value)})

    def references(self) -> None:
        """The variables the kubelet fills in."""
        for name, path in FIELD_REFERENCES:
            self._values[name] = {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    def _put(self, name: str, value: str) -> None:
        if _NAME.fullmatch(name) is None:
            self.warnings.append(f"environment variable {name[:80]!r} is left out: not a usable name")
        elif len(value) > MAX_VALUE:
            self.warnings.append(f"environment variable {name} is left out: longer than {MAX_VALUE} characters")
        else:
            self._values[name] = {"name": name, "value": value.replace("\0", "")}

    def manifest(self) -> list[Json]:
        """A fresh ``env`` list."""
        return [{**item} for item in self._values.values()]


def _literal(text: str) -> str:
    """Escape what Kubernetes would expand: ``$(NAME)`` is a reference and ``$$`` one dollar."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def set_locale(env: Environment, locale: str) -> None:
    """LANGUAGE, LANG and LC_ALL of a locale such as ``fr_FR``."""
    env.set(LANGUAGE=locale)
    if locale:
        env.set(LANG=f"{locale}.UTF-8", LC_ALL=f"{locale}.UTF-8")


def to_json(value: Any) -> str:
    """Compact JSON, the form the containers know."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
