"""Security contexts: rendered, and each field at the level where Kubernetes knows it (orchestration.md 5.5)."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

from oc.model.identity import PosixAccount
from oc.od.orchestrator.manifests import templates
from oc.od.orchestrator.manifests.posix import MAX_ID
from oc.od.orchestrator.manifests.types import ManifestError

POD_ONLY: Final = frozenset(
    {
        "supplementalGroups",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "supplementalGroupsPolicy",
        "seLinuxChangePolicy",
    }
)
CONTAINER_ONLY: Final = frozenset(
    {"allowPrivilegeEscalation", "capabilities", "privileged", "procMount", "readOnlyRootFilesystem"}
)
BOTH: Final = frozenset(
    {"runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile", "seLinuxOptions", "appArmorProfile", "windowsOptions"}
)
_IDS: Final = ("runAsUser", "runAsGroup", "fsGroup")
_GROUPS: Final = re.compile(r"\{\{\{?\s*&?\s*supplementalGroups\s*\}?\}\}")
_REFUSED_TO_APPLICATIONS: Final = frozenset({"privileged", "procMount", "sysctls", "windowsOptions"})


def rendered(configured: Mapping[str, Any] | None, posix: PosixAccount) -> dict[str, Any]:
    """A copy of a configured context with the user's numbers in it.

    Raises ManifestError when an id is no number, or when a template would make a user root: an account of a directory
    must not become root in a container; root is written as the number 0 in the configuration.
    """
    context = templates.posix_context(posix)
    result: dict[str, Any] = {}
    for key, value in (configured or {}).items():
        if value is None:
            continue
        if key in _IDS:
            result[key] = _number(key, value, context)
        elif key == "supplementalGroups":
            result[key] = _groups(value, posix, context)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _number(key: str, value: Any, context: Mapping[str, Any]) -> int:
    templated = isinstance(value, str)
    text = str(templates.render(value, context)).strip()
    if not text.isascii() or not text.isdigit() or int(text) > MAX_ID:
        raise ManifestError(f"{key} of a security context is not a number")
    if templated and key == "runAsUser" and int(text) == 0:
        raise ManifestError("your account has the user number of root, no desktop is started for it")
    return int(text)


def _groups(items: Any, posix: PosixAccount, context: Mapping[str, Any]) -> list[int]:
    result: list[int] = []
    for item in items if isinstance(items, (list, tuple)) else [items]:
        if isinstance(item, str) and _GROUPS.fullmatch(item.strip()):
            result.extend(group.gidNumber for group in posix.groups)
        elif not isinstance(item, str) or templates.render(item, context).strip():
            result.append(_number("supplementalGroups", item, context))
    return list(dict.fromkeys(result))


def pod_level(context: Mapping[str, Any], *, with_shared: bool = True) -> dict[str, Any]:
    """The fields a pod knows; ``with_shared``: those a container knows as well are included."""
    return {k: v for k, v in context.items() if k in POD_ONLY or (with_shared and k in BOTH)}


def container_level(context: Mapping[str, Any], *, with_shared: bool = True) -> dict[str, Any]:
    """The fields a container knows; ``with_shared``: those a pod knows as well are included."""
    return {k: v for k, v in context.items() if k in CONTAINER_ONLY or (with_shared and k in BOTH)}


def with_groups(context: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """``context`` with the supplemental groups of a container's ``other`` context merged in."""
    if "supplementalGroups" not in context and "supplementalGroups" not in other:
        return context
    groups = [*context.get("supplementalGroups", ()), *other.get("supplementalGroups", ())]
    return {**context, "supplementalGroups": list(dict.fromkeys(groups))}


def for_application(
    configured: Mapping[str, Any] | None, of_application: Any, posix: PosixAccount
) -> tuple[dict[str, Any], list[str]]:
    """The context of an application: the configured one with the catalogue entry's fields over it, and warnings.

    The entry comes from an image label: what would hand over the node (``privileged`` and the like) is not taken.
    """
    given = of_application if isinstance(of_application, Mapping) else {}
    known = POD_ONLY | CONTAINER_ONLY | BOTH
    usable = {key: value for key, value in given.items() if key in known and key not in _REFUSED_TO_APPLICATIONS}
    warnings = [f"securitycontext field {str(key)[:80]!r} is not taken" for key in given if key not in usable]
    return rendered({**(configured or {}), **usable}, posix), warnings
