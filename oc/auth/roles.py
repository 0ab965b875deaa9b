"""Groups of a user: how a rule compares them, and their short form for the token (spec auth.md 1.3, 5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_COMMA = re.compile(r"(?<!\\)((?:\\\\)*),")


def components(name: str) -> tuple[str, ...]:
    """A DN as its RDNs, in lower case and without blanks around ``,`` and ``=``; a plain name as one component."""
    parts = _COMMA.sub("\\1\0", name).split("\0")
    return tuple("=".join(side.strip() for side in part.split("=", 1)).casefold() for part in parts)


def role_matches(role: str, value: str) -> bool:
    """Whether ``role`` is ``value`` or lies below it: whole RDNs from the left, so ``cn=ad`` is not ``cn=admins``."""
    wanted = components(value)
    return bool(value.strip()) and components(role)[: len(wanted)] == wanted


def reduce_roles(roles: Iterable[str], how: str | None, *, directory: bool) -> tuple[str, ...]:
    """The roles a token carries: ``raw`` unchanged, ``cn`` the value of the first RDN of each DN, else none.

    Only directory providers have DNs: for others (``directory`` False) anything but ``raw`` gives none.
    """
    mode = (how or "none").casefold()
    if mode == "raw":
        return tuple(dict.fromkeys(roles))
    if mode == "cn" and directory:
        return tuple(dict.fromkeys(_first_value(role) for role in roles))
    return ()


def _first_value(role: str) -> str:
    first = _COMMA.sub("\\1\0", role).split("\0", 1)[0]
    _, equals, value = first.partition("=")
    return re.sub(r"\\(.)", r"\1", value.strip()) if equals else role
