"""Login and password checked by an Active Directory domain (spec auth.md 1.7)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from oc.auth.accounts import account_from_mapping
from oc.auth.directory.attributes import user_attributes
from oc.auth.directory.binding import Authenticated, LoginMethod, UserSearch
from oc.auth.directory.dialogues import DomainSimpleMethod, ntlm_dialogue
from oc.auth.directory.escaping import escape_filter
from oc.auth.directory.posix import has_posix_account, posix_values
from oc.auth.directory.serviceaccount import Credentials, ServiceAccount
from oc.auth.directory.session import Entry, Session
from oc.auth.providers.ad_keys import GROUP_FILTER, AdKeys, AdReader
from oc.auth.providers.base import Account, Attempt, ProviderContext, ProviderError
from oc.auth.providers.ldap import LdapProvider
from oc.auth.providers.ldap_keys import LdapReader, read_all_keys
from oc.errors import InvalidCredentialsError
from oc.model.identity import PosixAccount

IN_CHAIN: Final = "1.2.840.113556.1.4.1941"
"""Matching rule: the attribute, followed from group to group by the server (MS-ADTS 3.1.1.3.4.4.3)."""

MAX_LOGIN: Final = 20
MAX_PASSWORD: Final = 255
MAX_ROLES: Final = 1000
MAX_SUBNETS: Final = 10_000
_UNSAFE_LOGIN: Final = re.compile(r'["/\[\]:;|=,+*?<>\x00-\x1f\x7f]')
_UNSAFE_PASSWORD: Final = re.compile(r"[\x00-\x1f\x7f]")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PATHS: Final = ("homeDirectory", "profilePath")


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of a site: CIDR text, DN of the site, its place."""

    subnet: str
    site_object: str
    location: str


class ActiveDirectoryProvider(LdapProvider):
    """Users of one domain. ``domain`` is its NetBIOS name in upper case."""

    default_type: ClassVar[str | None] = "activedirectory"

    def __init__(self, name: str, given: Mapping[str, Any], context: ProviderContext) -> None:
        self._ad = read_all_keys(given, AdKeys)
        fqdn = self._ad.domain_fqdn or ""
        self._domain = (self._ad.domain or fqdn.partition(".")[0] or name).upper()
        if not _DOMAIN.fullmatch(self._domain):
            raise ProviderError("domain: expected the NetBIOS name of a domain")
        super().__init__(name, {"group_filter": GROUP_FILTER, **_without_user_filter(given)}, context)

    @property
    def domain(self) -> str:
        return self._domain

    def _reader(self, given: Mapping[str, Any], context: ProviderContext) -> LdapReader:
        reader = AdReader(read_all_keys(given, AdKeys), context.base)
        self._login_attribute = reader.attribute("useridattr", "sAMAccountName")
        self._site_search = reader.site_search()
        return reader

    def _make_service_account(self, credentials: Credentials) -> ServiceAccount:
        return ServiceAccount(self._directory, credentials, bind=self._bind_service_account)

    def _bind_service_account(self, session: Session, login: str, password: str) -> None:
        """A plain login name is one of this domain."""
        plain = login.rpartition("\\")[2]
        if self._auth_type == "NTLM" and "=" not in login and "@" not in login:
            session.bind_dialogue("GSS-SPNEGO", ntlm_dialogue(session, plain, self._domain, password))
        else:
            qualified = any(mark in login for mark in "\\@=")
            session.bind_simple(login if qualified else f"{self._domain}\\{login}", password)

    def _make_method(self, users: UserSearch) -> LoginMethod | None:
        if self._auth_type == "SIMPLE":
            return DomainSimpleMethod(self._directory, users, self.service_account, self._domain)
        return super()._make_method(users)

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        login = self.account_name(attempt.userid or "")
        check_credentials(login, attempt.password or "")
        with super().open(replace(attempt, userid=login)) as account:
            yield account

    def account_name(self, login: str) -> str:
        """``login`` without the prefix of this domain. Raises InvalidCredentialsError for the prefix of another."""
        prefix, backslash, name = login.partition("\\")
        if not backslash:
            return login
        if prefix.upper() != self._domain:
            raise InvalidCredentialsError("Invalid domain", doing="compare the domain of a login")
        return name

    def _names(self, entry: Entry) -> tuple[str, str]:
        userid = entry.first(self._login_attribute) or entry.first("sAMAccountName")
        return userid, entry.first("name")

    def _attributes(self, entry: Entry) -> dict[str, Any]:
        attributes = user_attributes(entry)
        for path in _PATHS:
            if isinstance(attributes.get(path), str):
                attributes[path] = attributes[path].replace("\\", "/")
        sid = object_sid(entry)
        if sid:
            attributes["objectSid"] = sid
        attributes.pop("objectGUID", None)
        return attributes

    def _roles(self, user: Authenticated) -> tuple[str, ...]:
        if not self._ldap.recursive_search:
            return user.entry.texts(self._groups.attribute)
        wanted = f"(member:{IN_CHAIN}:={escape_filter(user.entry.dn)})"
        groups = user.session.search(self._groups.base, wanted, self._groups.scope, ("cn",), limit=MAX_ROLES)
        return tuple(dict.fromkeys(name for group in groups if (name := group.first("cn"))))

    def _posix_account(self, user: Authenticated, login: str) -> PosixAccount | None:
        """As LDAP; but ``homeDirectory`` is a share of Windows, the POSIX one has another name."""
        if not has_posix_account(user.entry):
            return None
        values = posix_values(user.session, self._posix, user.entry, login)
        values["homeDirectory"] = user.entry.first("unixHomeDirectory")
        return account_from_mapping(values, self.account_defaults)

    def subnets(self) -> list[Subnet]:
        """The subnets of the sites that have a place, read with the service account; ``[]`` without one.

        Raises AuthenticationError when the directory cannot be read.
        """
        if self.service_account is None:
            return []
        base, scope, written = self._site_search
        found = self.service_account.run(
            lambda session: session.search(base, written, scope, ("cn", "siteObject", "location"), limit=MAX_SUBNETS),
            self._directory.deadline(),
        )
        subnets = [Subnet(e.first("cn"), e.first("siteObject"), e.first("location")) for e in found]
        return [subnet for subnet in subnets if subnet.subnet and subnet.site_object and subnet.location]


def check_credentials(login: str, password: str) -> None:
    """What no account of a domain can have (texts the login page knows). Raises InvalidCredentialsError."""
    if not 1 <= len(login) <= MAX_LOGIN or not login.strip() or _UNSAFE_LOGIN.search(login) or "\\" in login:
        raise InvalidCredentialsError("Unsafe login credentials", doing="check a login")
    if not 1 <= len(password) <= MAX_PASSWORD or _UNSAFE_PASSWORD.search(password):
        raise InvalidCredentialsError("Unsafe password credentials", doing="check a password")


def object_sid(entry: Entry) -> str:
    """The security identifier as text (MS-DTYP 2.4.2.1), ``""`` when the entry has none."""
    for raw in entry.all("objectSid"):
        if len(raw) >= 8 and len(raw) == 8 + 4 * raw[1]:
            parts = struct.unpack_from(f"<{raw[1]}I", raw, 8)
            return "-".join(("S", str(raw[0]), str(int.from_bytes(raw[2:8], "big")), *map(str, parts)))
    return ""


def _without_user_filter(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != "user_filter"}
