"""The POSIX account of a user and its groups (RFC 2307), from the directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from oc.auth.directory.escaping import fill
from oc.auth.directory.session import Entry, Session

ACCOUNT_CLASS: Final = "posixaccount"
ACCOUNT_ATTRIBUTES: Final = (
    "objectClass",
    "cn",
    "uid",
    "uidNumber",
    "gidNumber",
    "homeDirectory",
    "loginShell",
    "description",
    "gecos",
)
GROUP_ATTRIBUTES: Final = ("objectClass", "cn", "gidNumber", "memberUid", "description")
MAX_GROUPS: Final = 500


@dataclass(frozen=True, slots=True)
class PosixSearch:
    """Where accounts and groups are. Filters: account one ``%s`` (login), primary_group one (gidNumber), groups two
    (gidNumber, uid). account_filter None: the user's own entry is the account.
    """

    users_base: str
    groups_base: str
    account_filter: str | None = None
    account_scope: str = "SUBTREE"
    account_attributes: tuple[str, ...] = ACCOUNT_ATTRIBUTES
    primary_group_filter: str = "(&(objectClass=posixGroup)(gidNumber=%s))"
    groups_filter: str = "(&(objectClass=posixGroup)(!(gidNumber=%s))(memberUid=%s))"
    groups_scope: str = "SUBTREE"
    groups_attributes: tuple[str, ...] = GROUP_ATTRIBUTES


def has_posix_account(entry: Entry) -> bool:
    """Whether the user's entry is a posixAccount."""
    return any(name.lower() == ACCOUNT_CLASS for name in entry.texts("objectClass"))


def posix_values(session: Session, search: PosixSearch, entry: Entry, login: str) -> dict[str, Any]:
    """The fields of an RFC 2307 account as ``oc.auth.accounts.account_from_mapping`` takes them.

    Raises ServerFailedError, NotPermittedError.
    """
    account = _account_entry(session, search, entry, login)
    values: dict[str, Any] = {
        name: account.first(name)
        for name in ("cn", "uid", "uidNumber", "gidNumber", "homeDirectory", "loginShell", "description", "gecos")
    }
    number, uid = account.first("gidNumber"), account.first("uid")
    if number:
        wanted = fill(search.primary_group_filter, number)
        primary = session.search(search.groups_base, wanted, search.groups_scope, ("cn",), limit=1)
        values["gid"] = primary[0].first("cn") if primary else ""
    values["groups"] = _groups(session, search, number, uid) if uid else []
    return values


def _account_entry(session: Session, search: PosixSearch, entry: Entry, login: str) -> Entry:
    if search.account_filter is None:
        return entry
    wanted = fill(search.account_filter, login)
    found = session.search(search.users_base, wanted, search.account_scope, search.account_attributes, limit=2)
    return found[0] if len(found) == 1 else entry


def _groups(session: Session, search: PosixSearch, number: str, uid: str) -> list[Mapping[str, Any]]:
    wanted = fill(search.groups_filter, number, uid)
    found = session.search(search.groups_base, wanted, search.groups_scope, search.groups_attributes, limit=MAX_GROUPS)
    return [
        {"cn": group.first("cn"), "gidNumber": group.first("gidNumber"), "memberUid": group.texts("memberUid")}
        for group in found
    ]
