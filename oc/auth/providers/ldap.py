"""Login and password checked by an LDAP directory (spec auth.md 1.6)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Final

from oc.auth.accounts import account_from_mapping
from oc.auth.directory.attributes import user_attributes
from oc.auth.directory.binding import METHODS, Authenticated, LoginMethod, UserSearch
from oc.auth.directory.dialogues import KerberosMethod, NtlmMethod, gssapi_available
from oc.auth.directory.directory import ALL_AWAY, Directory
from oc.auth.directory.groups import is_member, listed_groups, nested_groups
from oc.auth.directory.posix import has_posix_account, posix_values
from oc.auth.directory.servers import ServerAddress
from oc.auth.directory.serviceaccount import Credentials, ServiceAccount
from oc.auth.directory.session import Entry, Session
from oc.auth.directory.transport import DirectoryError, ServerFailedError
from oc.auth.kerberos import Kerberos
from oc.auth.providers.base import Account, Attempt, Provider, ProviderContext, ProviderError, read_keys
from oc.auth.providers.helper_keys import HelperKeys
from oc.auth.providers.ldap_keys import LdapKeys, LdapReader, read_all_keys
from oc.errors import AuthenticationError, AuthenticationFailureError
from oc.model.identity import PosixAccount

logger = logging.getLogger(__name__)

MAX_NAME: Final = 256
PROTOCOLS: Final = {"ntlm": False, "cntlm": False, "kerberos": False, "citrix": False}
"""Credentials an LDAP provider derives at login, unless ``auth_protocol`` says more."""


class LdapProvider(Provider):
    """Users of one LDAP directory. The constructor opens no connection; its ProviderError names every problem."""

    manager: ClassVar[str] = "explicit"
    takes_credentials: ClassVar[bool] = True
    directory: ClassVar[bool] = True
    default_type: ClassVar[str | None] = "ldap"
    default_reduction: ClassVar[str] = "cn"

    def __init__(self, name: str, given: Mapping[str, Any], context: ProviderContext) -> None:
        # the type of a directory is fixed: clients choose the photo attribute by it
        super().__init__(name, {key: value for key, value in given.items() if key != "type"}, context)
        where = f"authmanagers.{self.manager}.providers.{name}"
        self._helpers = read_keys(given, HelperKeys)
        self._ldap = read_all_keys(given, LdapKeys)
        reader = self._reader(given, context)
        addresses = reader.addresses()
        self._directory = reader.directory(f"provider {name}", addresses)
        self._groups = reader.groups()
        self._posix = reader.posix()
        self._name_attribute = reader.attribute("useridattr", "cn")
        self._userid_attribute = reader.attribute("useruidattr", "uid")
        self._users = users = reader.users(attributes=("*", self._groups.attribute))
        credentials = reader.credentials()
        reader.finish()
        self._auth_type = (self._ldap.auth_type or "SIMPLE").upper()
        self.service_account = self._make_service_account(credentials) if credentials else None
        self._kerberos = self._helpers.kerberos(self.domain, context.base)
        self._derived = self._helpers.derived(self.keys.auth_protocol or {}, self.domain, context.base)
        self._method = self._make_method(users)
        self._warn(where, addresses)

    @property
    def domain(self) -> str:
        """NetBIOS name of the domain, ``""`` outside Active Directory."""
        return ""

    @property
    def servers(self) -> Directory:
        """Its servers and how to reach them."""
        return self._directory

    @property
    def kerberos(self) -> Kerberos | None:
        """The realm its users get tickets from."""
        return self._kerberos

    def _reader(self, given: Mapping[str, Any], context: ProviderContext) -> LdapReader:
        """Reads the keys; another kind of directory has other defaults."""
        return LdapReader(self._ldap, context.base)

    def _make_service_account(self, credentials: Credentials) -> ServiceAccount:
        return ServiceAccount(self._directory, credentials)

    def _make_method(self, users: UserSearch) -> LoginMethod | None:
        """The class of ``auth_type``, None for an unknown one. Raises ProviderError when something else is missing."""
        if self._auth_type == "KERBEROS":
            if self._kerberos is None:
                raise ProviderError("kerberos_realm: needed by auth_type KERBEROS")
            if not self.keys.auth_only and not gssapi_available():
                raise ProviderError("auth_type: KERBEROS without auth_only needs the Python package gssapi")
            return KerberosMethod(self._directory, users, self.service_account, self._kerberos)
        if self._auth_type == "NTLM":
            return NtlmMethod(self._directory, users, self.service_account, self.domain)
        maker = METHODS.get(self._auth_type)
        return maker(self._directory, users, self.service_account) if maker else None

    def _warn(self, where: str, addresses: list[ServerAddress]) -> None:
        if self._method is None:
            logger.error("%s.auth_type: this kind of login is not known, all logins are refused", where)
        elif self.keys.auth_only and not self._method.allows_auth_only:
            logger.error("%s.auth_only: not possible with auth_type %s, all logins are refused", where, self._auth_type)
        encrypted = [address for address in addresses if address.tls or self._ldap.start_tls]
        if encrypted and not self._ldap.tls_require_cert:
            logger.warning("%s.tls_require_cert: False, anybody on the way can read passwords", where)
        for address in addresses:
            if address not in encrypted and not address.is_loopback:
                logger.warning("%s.servers: %s is not encrypted, passwords can be read on the way", where, address)

    def close(self) -> None:
        """Close the connections of the service account."""
        if self.service_account is not None:
            self.service_account.close()

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        login, password = attempt.userid or "", attempt.password or ""
        method = self._ready_method()
        method.check(login, password)
        deadline = self._directory.deadline()
        if self.keys.auth_only and isinstance(method, KerberosMethod):
            method.verify(login, password, deadline)
            yield self._bare_account(login, password)
            return
        with method.open(login, password, deadline) as user:
            yield self.describe(user, login, password)

    @contextmanager
    def look_up(self, login: str) -> Iterator[Account]:
        """What the service account reads of a user who shows no password.

        Raises AuthenticationError, also when there is no service account, or not exactly one such user.
        """
        service = self.service_account
        if service is None:
            raise AuthenticationError("the provider has no service account", doing="look up a user")
        users, deadline = self._users, self._directory.deadline()

        def read(session: Session) -> tuple[Entry, Account]:
            found = session.search(users.base, users.filter_for(login), users.scope, users.attributes, limit=2)
            if len(found) != 1:
                raise AuthenticationError("the user is not in the directory", doing="look up a user")
            return found[0], self.describe(Authenticated(session, found[0]), login, None)

        entry, account = service.run(read, deadline)

        def is_member(group: str) -> bool:
            # the connection is somebody else's by now
            return service.run(lambda session: self.is_member(Authenticated(session, entry), group), deadline)

        yield replace(account, member_of=is_member)

    def _bare_account(self, login: str, password: str) -> Account:
        """What is known of a user when the directory is not read."""
        return Account(
            userid=login,
            name=login,
            password=password,
            domain=self.domain or None,
            claims=self._derived.claims(login, password, self.domain),
            protocol={**PROTOCOLS, **(self.keys.auth_protocol or {})},
            display=self._display,
        )

    @property
    def _display(self) -> str:
        """What the success message calls the provider."""
        if self._auth_type == "KERBEROS" and self._kerberos is not None:
            return self._kerberos.realm
        return self.domain if self._auth_type == "NTLM" else ""

    def _ready_method(self) -> LoginMethod:
        if self._method is None:
            raise AuthenticationError("invalid auth_type of the provider", doing="choose a way to log in")
        if self.keys.auth_only and not self._method.allows_auth_only:
            raise AuthenticationError(
                f"auth_only is not possible with {self._auth_type}", doing="choose a way to log in"
            )
        return self._method

    def describe(self, user: Authenticated, login: str, password: str | None) -> Account:
        """The account of an entry. password: None when nobody was asked for one: then it gives no credentials.

        Raises AuthenticationFailureError.
        """
        entry = user.entry
        userid, name = self._names(entry)
        if not userid:
            raise AuthenticationFailureError(
                "the directory gives this user no user id", doing=f"read the attribute {self._userid_attribute}"
            )
        try:
            roles = self._roles(user)
            posix = self._posix_account(user, login)
        except DirectoryError as error:
            raise self._failure(error) from None
        return Account(
            userid=userid,
            name=name[:MAX_NAME] or userid,
            attributes=self._attributes(entry),
            roles=roles,
            posix=posix,
            password=password,
            domain=self.domain or None,
            claims={} if password is None else self._derived.claims(login, password, self.domain),
            protocol={**PROTOCOLS, **(self.keys.auth_protocol or {})},
            member_of=lambda group: self.is_member(user, group),
            display=self._display,
        )

    def _names(self, entry: Entry) -> tuple[str, str]:
        """User id and display name."""
        return entry.first(self._userid_attribute), entry.first(self._name_attribute)

    def _attributes(self, entry: Entry) -> dict[str, Any]:
        return user_attributes(entry)

    def _roles(self, user: Authenticated) -> tuple[str, ...]:
        """Raises DirectoryError."""
        if self._ldap.recursive_search:
            return nested_groups(user.session, self._groups, user.entry)
        return listed_groups(user.entry, self._groups)

    def _posix_account(self, user: Authenticated, login: str) -> PosixAccount | None:
        if not has_posix_account(user.entry):
            return None
        return account_from_mapping(posix_values(user.session, self._posix, user.entry, login), self.account_defaults)

    def is_member(self, user: Authenticated, group: str) -> bool:
        """Whether the user is in a group, a DN or a name. Raises AuthenticationFailureError."""
        entry: Entry = user.entry
        try:
            return is_member(user.session, self._groups, entry, entry.first("uid"), group)
        except DirectoryError as error:
            raise self._failure(error) from None

    def _failure(self, error: DirectoryError) -> AuthenticationFailureError:
        logger.error("provider %s: %s", self.name, error)
        away = isinstance(error, ServerFailedError)
        return AuthenticationFailureError(ALL_AWAY if away else "the directory does not permit to read the user")
