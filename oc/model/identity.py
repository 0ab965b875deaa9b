"""Who somebody is: what the user token carries, and what a login adds to it for a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PosixGroup:
    """One entry of a POSIX account's supplementary groups (RFC 2307 posixGroup)."""

    cn: str
    gidNumber: int  # noqa: N815 - RFC 2307 name
    memberUid: tuple[str, ...] = ()  # noqa: N815


@dataclass(frozen=True, slots=True)
class PosixAccount:
    """RFC 2307 posixAccount of a user; ``gid`` is the name of the primary group (spec auth.md 4.3)."""

    cn: str
    uid: str
    gid: str
    uidNumber: int  # noqa: N815
    gidNumber: int  # noqa: N815
    homeDirectory: str  # noqa: N815
    loginShell: str = "/bin/bash"  # noqa: N815
    description: str = ""
    gecos: str = ""
    groups: tuple[PosixGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """What the user token says: the only thing later requests know of a login (spec auth.md 3.1)."""

    provider: str
    providertype: str
    userid: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A successful login, before its secrets are written and its token is issued. Never stored, never logged.

    attributes: what the provider returned about the user (JSON-like values; bytes allowed), without passwords.
    claims: secret kind -> its data (``localaccount``, ``kerberos``, ``ntlm``, ``citrix``; spec auth.md 4.5).
    display: provider name shown in the success message. new_user: the user id was made up for this login, so that
    nothing can be there of an earlier one.
    """

    identity: Identity
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    posix: PosixAccount | None = None
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    protocol: Mapping[str, bool] | str | None = None
    display: str = ""
    new_user: bool = False


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """Where a request comes from, after the proxy rules of http-api.md 2.8.

    ipaddr: text of an IPv4 or IPv6 address. os_family: ``linux``, ``macosx``, ``windows`` or ``""``.
    host: host name of the requested URL; origin: the Origin header, if any. timezone: a valid IANA name or ``""``.
    """

    ipaddr: str
    useragent: str = ""
    os_family: str = ""
    locale: str = "en_US"
    host: str = ""
    origin: str | None = None
    timezone: str = ""
