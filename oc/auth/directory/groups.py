"""The groups of a user in a plain LDAP directory: listed by the entry, found by a walk, or asked for one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from oc.auth.directory.escaping import escape_filter, fill, is_dn
from oc.auth.directory.session import Entry, Session
from oc.auth.roles import components

logger = logging.getLogger(__name__)

MAX_DEPTH: Final = 16
"""How far a walk goes from group to group."""

MAX_GROUPS: Final = 500
"""How many groups a walk finds."""

_BATCH: Final = 50
_NO_ATTRIBUTES: Final = ("1.1",)
_DEFAULT_GROUP_FILTER: Final = (
    "(&(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=group))(cn=%s))"
)


@dataclass(frozen=True, slots=True)
class GroupSearch:
    """Where groups are. filter: with one ``%s``, for a group given by its plain name."""

    base: str
    filter: str = _DEFAULT_GROUP_FILTER
    scope: str = "SUBTREE"
    attribute: str = "memberOf"


def listed_groups(entry: Entry, search: GroupSearch) -> tuple[str, ...]:
    """The DNs of the groups the user's entry lists."""
    return entry.texts(search.attribute)


def nested_groups(session: Session, search: GroupSearch, entry: Entry) -> tuple[str, ...]:
    """The DNs of the user's groups, of their groups, and so on; each once, the nearest first.

    Groups may contain each other in a circle. Raises ServerFailedError, NotPermittedError.
    """
    found: dict[tuple[str, ...], str] = {components(dn): dn for dn in listed_groups(entry, search)}
    level = [entry.dn, *found.values()]
    for _ in range(MAX_DEPTH):
        above: list[str] = []
        for dn in _containing(session, search, level):
            key = components(dn)
            if key not in found:
                found[key] = dn
                above.append(dn)
        if len(found) >= MAX_GROUPS:
            logger.warning("a user is in more than %d groups, the others are not looked at", MAX_GROUPS)
            break
        if not above:
            break
        level = above
    return tuple(found.values())[:MAX_GROUPS]


def _containing(session: Session, search: GroupSearch, members: list[str]) -> Iterable[str]:
    """The DNs of the groups that list any of ``members``."""
    for start in range(0, len(members), _BATCH):
        names = [escape_filter(dn) for dn in members[start : start + _BATCH]]
        tests = "".join(f"(member={name})(uniqueMember={name})" for name in names)
        for group in session.search(search.base, f"(|{tests})", "SUBTREE", _NO_ATTRIBUTES, limit=MAX_GROUPS):
            yield group.dn


def is_member(session: Session, search: GroupSearch, entry: Entry, uid: str, group: str) -> bool:
    """Whether the group, a DN or a plain name, lists the user's DN, or ``uid`` as RFC 2307 does.

    The server compares, so that spelling of names and size of groups do not matter.
    Raises ServerFailedError, NotPermittedError.
    """
    dn = group if is_dn(group) else _group_dn(session, search, group)
    if dn is None:
        return False
    name = escape_filter(entry.dn)
    tests = f"(member={name})(uniqueMember={name})"
    if uid:
        tests += f"(memberUid={escape_filter(uid)})"
    return session.read(dn, _NO_ATTRIBUTES, f"(|{tests})") is not None


def _group_dn(session: Session, search: GroupSearch, name: str) -> str | None:
    found = session.search(search.base, fill(search.filter, name), search.scope, _NO_ATTRIBUTES, limit=2)
    return found[0].dn if len(found) == 1 else None
