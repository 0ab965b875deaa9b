"""The keys of LDAP providers (spec auth.md 1.6), checked once: every problem of a provider is reported at a time."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from oc.auth.directory.binding import UserSearch
from oc.auth.directory.directory import Directory
from oc.auth.directory.escaping import TemplateError, check_template, is_dn
from oc.auth.directory.groups import GroupSearch
from oc.auth.directory.posix import ACCOUNT_ATTRIBUTES, GROUP_ATTRIBUTES, PosixSearch
from oc.auth.directory.servers import MAX_SERVERS, ServerAddress, ServerList, parse_server
from oc.auth.directory.serviceaccount import Credentials
from oc.auth.directory.session import SCOPES
from oc.auth.directory.transport import IP_MODES, TransportOptions, tls_context
from oc.auth.providers.base import ProviderError

T = TypeVar("T")
K = TypeVar("K", bound="LdapKeys")

CONNECT_SECONDS: Final = 5
RECEIVE_SECONDS: Final = 15
LONGEST_CONNECT: Final = 20
LONGEST_RECEIVE: Final = 50
DEFAULT_USER_FILTER: Final = "(&(objectClass=Person)(cn=%s))"
_SCOPE_NAMES: Final = {"ONELEVEL": "LEVEL", "ONE": "LEVEL", "SUB": "SUBTREE"}


class ServiceAccountKeys(msgspec.Struct, frozen=True):
    """Each may be ``file:///path``."""

    login: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return "ServiceAccountKeys()"


class LdapKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys by their names in the configuration, ``None`` for absent ones. Keys of helper programs are not here."""

    servers: list[str] | str | None = None
    ldap_basedn: str | None = None
    basedn: str | None = None
    users_ou: str | None = None
    groups_ou: str | None = None
    goups_ou: str | None = None
    scope: str | None = None
    auth_type: str | None = None
    user_filter: str | None = None
    filter: str | None = None
    user_attrs: list[str] | str | None = None
    useridattr: str | None = None
    useruidattr: str | None = None
    usercnattr: str | None = None
    group_filter: str | None = None
    group_scope: str | None = None
    group_attrs: list[str] | str | None = None
    recursive_search: bool = False
    posixAccount_filter: str | None = None  # noqa: N815 - names of configuration keys
    posixAccount_scope: str | None = None  # noqa: N815
    posixAccount_attrs: list[str] | str | None = None  # noqa: N815
    posixAccountGroup_filter: str | None = None  # noqa: N815
    posixGroup_filter: str | None = None  # noqa: N815
    posixGroup_scope: str | None = None  # noqa: N815
    posixGroup_attrs: list[str] | str | None = None  # noqa: N815
    serviceaccount: ServiceAccountKeys | None = None
    ldap_connect_timeout: int | None = None
    ldap_timeout: int | None = None
    ldap_ip_mode: str | None = None
    ldap_protocol: str | None = None
    secure: bool = False
    start_tls: bool = False
    tls_require_cert: bool = True
    tls_ca_file: str | None = None
    memberof_attribut_name: str | None = None


def read_all_keys(given: Mapping[str, Any], kind: type[K]) -> K:
    """As ``read_keys``, but ProviderError names every key of a wrong type, not only the first."""
    known = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in given.items():
        if key in known and value is not None:
            try:
                values[key] = msgspec.convert(value, known[key])
            except msgspec.ValidationError as error:
                problems.append(f"{key}: {error}")
    if problems:
        raise ProviderError("; ".join(problems))
    return kind(**values)


class LdapReader:
    """Turns keys into the parts of a provider and collects what is wrong; ``finish`` raises it all.

    directory: where relative paths start. user_filter: what another kind of directory defaults to.
    """

    def __init__(self, keys: LdapKeys, directory: Path, *, user_filter: str = DEFAULT_USER_FILTER) -> None:
        self.keys = keys
        self.problems: list[str] = []
        self._directory = directory
        self._user_filter = user_filter
        self.users_base = self._base("users_ou", "ldap_basedn", "basedn")
        self.groups_base = self._base("groups_ou", "goups_ou", "ldap_basedn", "basedn", "users_ou")

    def finish(self) -> None:
        """Raises ProviderError naming every problem found so far."""
        if self.problems:
            raise ProviderError("; ".join(self.problems))

    def addresses(self) -> list[ServerAddress]:
        """The servers of the key ``servers``."""
        secure = self.keys.secure or (self.keys.ldap_protocol or "").lower() == "ldaps"
        given = _list(self.keys.servers)
        if not given:
            self.problems.append("servers: expected at least one server")
        if len(given) > MAX_SERVERS:
            self.problems.append(f"servers: expected at most {MAX_SERVERS} servers")
        found: list[ServerAddress] = []
        for text in given[:MAX_SERVERS]:
            try:
                found.append(parse_server(text, secure=secure))
            except ValueError as error:
                self.problems.append(f"servers: {error}")
        return found

    def directory(self, name: str, addresses: list[ServerAddress]) -> Directory:
        """The directory these servers make."""
        return Directory(name, ServerList(addresses), self._options())

    def _options(self) -> TransportOptions:
        keys = self.keys
        mode = (keys.ldap_ip_mode or "IP_V4_PREFERRED").upper()
        if mode not in IP_MODES:
            self.problems.append(f"ldap_ip_mode: expected one of {', '.join(IP_MODES)}")
        return TransportOptions(
            context=self._context(),
            connect_seconds=self._seconds("ldap_connect_timeout", CONNECT_SECONDS, LONGEST_CONNECT),
            receive_seconds=self._seconds("ldap_timeout", RECEIVE_SECONDS, LONGEST_RECEIVE),
            start_tls=keys.start_tls,
            ip_mode=mode,
        )

    def _context(self) -> ssl.SSLContext:
        file = self._directory / self.keys.tls_ca_file if self.keys.tls_ca_file else None
        try:
            return tls_context(file, verify=self.keys.tls_require_cert)
        except (OSError, ValueError) as error:
            reason = "no certificate in it" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
            self.problems.append(f"tls_ca_file: cannot be used: {reason or type(error).__name__}")
            return tls_context(None, verify=True)

    def _seconds(self, key: str, default: int, most: int) -> int:
        """A time-out; 0 stands for the default, and no configuration makes a login wait for minutes."""
        value = getattr(self.keys, key)
        if value is not None and value < 0:
            self.problems.append(f"{key}: expected a number of seconds")
        return min(value or default, most)

    def users(self, *, attributes: tuple[str, ...]) -> UserSearch:
        """How users are found."""
        keys = self.keys
        key = "user_filter" if keys.user_filter else "filter"
        return UserSearch(
            base=self.users_base,
            scope=self._scope("scope", "SUBTREE"),
            filter=self._template(key, keys.user_filter or keys.filter, self._user_filter, 1),
            rdn=self._attribute("usercnattr", "cn"),
            attributes=attributes,
        )

    def groups(self, attribute: str = "memberOf") -> GroupSearch:
        """How groups are found; ``attribute`` of a user lists them."""
        default = GroupSearch("")
        return GroupSearch(
            base=self.groups_base,
            filter=self._template("group_filter", self.keys.group_filter, default.filter, 1),
            scope=self._scope("group_scope", self._scope("scope", "SUBTREE")),
            attribute=self._attribute("memberof_attribut_name", attribute),
        )

    def posix(self) -> PosixSearch:
        """How POSIX accounts and groups are found."""
        keys, default = self.keys, PosixSearch("", "")
        account = keys.posixAccount_filter
        return PosixSearch(
            users_base=self.users_base,
            groups_base=self.groups_base,
            account_filter=self._template("posixAccount_filter", account, "", 1) if account else None,
            account_scope=self._scope("posixAccount_scope", "SUBTREE"),
            account_attributes=tuple(_list(keys.posixAccount_attrs)) or ACCOUNT_ATTRIBUTES,
            primary_group_filter=self._template(
                "posixAccountGroup_filter", keys.posixAccountGroup_filter, default.primary_group_filter, 1
            ),
            groups_filter=self._template("posixGroup_filter", keys.posixGroup_filter, default.groups_filter, 2),
            groups_scope=self._scope("posixGroup_scope", "SUBTREE"),
            groups_attributes=tuple(_list(keys.posixGroup_attrs)) or GROUP_ATTRIBUTES,
        )

    def credentials(self) -> Credentials | None:
        """The service account, None when none is configured."""
        account = self.keys.serviceaccount
        if account is None or not account.login or not account.password:
            return None
        return Credentials(account.login, account.password)

    def attribute(self, key: str, default: str) -> str:
        """The attribute named by a key."""
        return self._attribute(key, default)

    def _attribute(self, key: str, default: str) -> str:
        name: str = getattr(self.keys, key) or default
        if not name.replace("-", "").replace(".", "").isalnum() or not name.isascii() or len(name) > 128:
            self.problems.append(f"{key}: expected the name of an attribute")
            return default
        return name

    def _base(self, *keys: str) -> str:
        """The first DN these keys give."""
        given = [(key, value) for key in keys if (value := getattr(self.keys, key))]
        key, value = given[0] if given else ("ldap_basedn", "")
        if len(value) <= 1024 and is_dn(value):
            return value
        self._once(f"{key}: expected a DN")
        return ""

    def _scope(self, key: str, default: str) -> str:
        value = getattr(self.keys, key)
        if value is None:
            return default
        written: str = value.upper().removeprefix("SCOPE_")
        name = _SCOPE_NAMES.get(written, written)
        if name not in SCOPES:
            self._once(f"{key}: expected BASE, LEVEL or SUBTREE")
            return default
        return name

    def _template(self, key: str, value: str | None, default: str, places: int) -> str:
        if value is None or not value:
            return default
        return self._checked(key, lambda: check_template(value, places), default)

    def _checked(self, key: str, make: Callable[[], T], default: T) -> T:
        try:
            return make()
        except TemplateError as error:
            self._once(f"{key}: {error}")
            return default

    def _once(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _list(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
