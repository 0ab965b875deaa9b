"""Access lists of providers, containers, applications and dock entries (spec auth.md 5.5)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def permits(acl: Any, labels: Collection[str]) -> bool:
    """Tell whether somebody carrying ``labels`` passes ``acl``: ``{"permit": [label], "deny": [label]}``.

    ``all`` stands for everybody, deny wins, nothing matched denies. Anything malformed denies.
    """
    if not isinstance(acl, dict):
        return False
    deny, permit = acl.get("deny", []), acl.get("permit", [])
    for entries in (deny, permit):
        if not isinstance(entries, (list, tuple)) or not all(isinstance(entry, str) for entry in entries):
            return False
    if "all" in deny or any(label in deny for label in labels):
        return False
    return "all" in permit or any(label in permit for label in labels)
