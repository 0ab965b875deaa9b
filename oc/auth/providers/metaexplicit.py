"""Logins of a forest whose accounts live in other domains (spec auth.md 1.8).

The meta forest knows for each login the account in its home domain. The home domain checks the password; the meta
forest adds groups, which list the user by the SID of the home account (foreign security principal).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from oc.auth.directory.binding import LoginMethod, UserSearch
from oc.auth.directory.dialogues import gssapi_dialogue, ntlm_dialogue, service_of
from oc.auth.directory.escaping import check_template, fill, is_dn
from oc.auth.directory.session import Entry, Session
from oc.auth.directory.transport import DirectoryError, ServerFailedError
from oc.auth.programs import ProgramError
from oc.auth.providers.activedirectory import IN_CHAIN, ActiveDirectoryProvider
from oc.auth.providers.ad_keys import AdKeys, AdReader
from oc.auth.providers.base import Account, Attempt, Provider, ProviderContext, ProviderError, View
from oc.auth.providers.ldap_keys import LdapReader, read_all_keys
from oc.errors import AuthenticationError, AuthenticationFailureError
from oc.model.deadline import Deadline

logger = logging.getLogger(__name__)

FOREIGN_FILTER: Final = "(&(objectClass=foreignSecurityPrincipal)(objectSid=%s))"
MEMBER_FILTER: Final = f"(memberof:{IN_CHAIN}:=%s)"


class MetaKeys(AdKeys, frozen=True, kw_only=True):
    """The keys by their names in the configuration, with their spelling."""

    join_key_ldapattribut: str | None = None
    foreign_basedn: str | None = None
    foreign_scope: str | None = None
    foreign_filter: str | None = None
    foreingmemberof_basedn: str | None = None
    foreingmemberof_scope: str | None = None
    foreingmemberof_filter: str | None = None
    foreignmemberof_basedn: str | None = None
    foreignmemberof_scope: str | None = None
    foreignmemberof_filter: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignSearch:
    """Where foreign security principals are; ``filter`` takes a SID, ``member_filter`` the DN of a group."""

    base: str
    scope: str
    filter: str
    member_base: str
    member_scope: str
    member_filter: str


class MetaReader(AdReader):
    """Reads them."""

    keys: MetaKeys

    def foreign(self) -> ForeignSearch:
        """How foreign security principals are found."""
        keys = self.keys
        base = keys.foreign_basedn or f"CN=ForeignSecurityPrincipals,{self.users_base}"
        scope = self._scope("scope", "SUBTREE")
        correct = "foreignmemberof_scope" if keys.foreignmemberof_scope else "foreingmemberof_scope"
        member = keys.foreignmemberof_filter or keys.foreingmemberof_filter or MEMBER_FILTER
        written = keys.foreign_filter or FOREIGN_FILTER
        return ForeignSearch(
            base=self._name_of("foreign_basedn", base),
            scope=self._scope("foreign_scope", scope),
            filter=self._checked("foreign_filter", lambda: check_template(written, 1), FOREIGN_FILTER),
            member_base=self._name_of(
                "foreingmemberof_basedn", keys.foreignmemberof_basedn or keys.foreingmemberof_basedn or base
            ),
            member_scope=self._scope(correct, scope),
            member_filter=self._checked("foreingmemberof_filter", lambda: check_template(member, 1), MEMBER_FILTER),
        )

    def _name_of(self, key: str, value: str) -> str:
        if len(value) > 1024 or not is_dn(value):
            self.problems.append(f"{key}: expected a DN")
        return value


class MetaProvider(ActiveDirectoryProvider):
    """Finds the home account of a login and merges what both forests know."""

    manager: ClassVar[str] = "metaexplicit"
    default_type: ClassVar[str | None] = "metaactivedirectory"

    def __init__(self, name: str, given: Mapping[str, Any], context: ProviderContext) -> None:
        super().__init__(name, given, context)
        if not read_all_keys(given, MetaKeys).join_key_ldapattribut:
            raise ProviderError("join_key_ldapattribut: expected the name of an attribute")
        if self.service_account is None:
            raise ProviderError("serviceaccount: needed by metaexplicit")

    def _reader(self, given: Mapping[str, Any], context: ProviderContext) -> LdapReader:
        super()._reader(given, context)
        reader = MetaReader(read_all_keys(given, MetaKeys), context.base)
        self._join_attribute = reader.attribute("join_key_ldapattribut", "join")
        self._foreign = reader.foreign()
        return reader

    def _make_method(self, users: UserSearch) -> LoginMethod | None:
        # users bind with the method of their home domain; nothing here needs a realm of its own before that
        return None if self._auth_type == "KERBEROS" and self._kerberos is None else super()._make_method(users)

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        deadline = self._directory.deadline()
        entry = self._meta_entry(attempt.userid or "", deadline)
        join = entry.first(self._join_attribute) if entry is not None else ""
        with ExitStack() as opened:
            if entry is None or not join:
                provider = self._fallback()
                account = opened.enter_context(provider.open(attempt))
                merged = replace(
                    account, views=(View(provider, account),), display=account.display or provider.displayname
                )
            else:
                home, name = self._home(join)
                at_home = replace(attempt, userid=name)
                account = opened.enter_context(home.open(at_home))
                merged = self._merged(home, account, entry, at_home, deadline, opened)
            yield merged

    def _meta_entry(self, login: str, deadline: Deadline) -> Entry | None:
        """The only entry of a login in the meta forest; None when there is none or it cannot be asked."""
        if self.service_account is None or not login or len(login) > 256:
            return None
        users = self._users
        plain = login.rpartition("\\")[2]
        attributes = (*users.attributes, self._join_attribute)

        def search(session: Session) -> list[Entry]:
            return session.search(users.base, users.filter_for(plain), users.scope, attributes, limit=2)

        try:
            found = self.service_account.run(search, deadline)
        except AuthenticationError as error:
            logger.error("provider %s: the meta forest cannot be searched: %s", self.name, error.message)
            return None
        return found[0] if len(found) == 1 else None

    def _fallback(self) -> Provider:
        provider = self.context.home(None)
        if provider is None:
            raise AuthenticationError("No authentication provider can be found", doing="log in without meta account")
        return provider

    def _home(self, join: str) -> tuple[ActiveDirectoryProvider, str]:
        """Provider of the home domain and name of the account there. Raises AuthenticationError."""
        domain, backslash, name = join.partition("\\")
        home = self.context.home(domain) if backslash and name and domain else None
        if not isinstance(home, ActiveDirectoryProvider):
            logger.error("provider %s: no explicit provider for the home domain of a user", self.name)
            raise AuthenticationError("Invalid domain: no provider for the home domain", doing="find a home domain")
        return home, name

    def _merged(
        self,
        home: ActiveDirectoryProvider,
        account: Account,
        entry: Entry,
        attempt: Attempt,
        deadline: Deadline,
        opened: ExitStack,
    ) -> Account:
        """What both know. When the meta forest does not let the user in, its ACL still applies, its rules do not."""
        meta = Account(
            userid=account.userid,
            name=account.name,
            attributes=self._attributes(entry),
            roles=entry.texts(self._groups.attribute),
        )
        display = f"{self.displayname} via {account.display or home.displayname}"
        try:
            session = self._connect_as_home_user(home, attempt, deadline)
            opened.callback(session.close)
            meta = self._with_foreign_groups(meta, session, str(account.attributes.get("objectSid") or ""))
        except (AuthenticationError, DirectoryError) as error:
            logger.warning("provider %s: the meta forest adds nothing to a login: %s", self.name, error)
            return replace(account, display=display, views=(View(home, account), View(self, meta, labels=False)))
        return replace(
            account,
            attributes={**meta.attributes, **account.attributes},
            roles=tuple(dict.fromkeys((*account.roles, *meta.roles))),
            display=display,
            views=(View(home, account), View(self, meta)),
        )

    def _connect_as_home_user(self, home: ActiveDirectoryProvider, attempt: Attempt, deadline: Deadline) -> Session:
        """A connection to the meta forest, bound with the user's account of the home domain."""
        login, password = attempt.userid or "", attempt.password or ""
        if self._auth_type == "KERBEROS":
            return self._connect_with_ticket(home, login, password, deadline)

        def bind(session: Session) -> None:
            if self._auth_type == "NTLM":
                session.bind_dialogue("GSS-SPNEGO", ntlm_dialogue(session, login, home.domain, password))
            else:
                session.bind_simple(f"{home.domain}\\{login}", password)

        return self._directory.run(bind, deadline)[0]

    def _connect_with_ticket(
        self, home: ActiveDirectoryProvider, login: str, password: str, deadline: Deadline
    ) -> Session:
        kerberos = home.kerberos or self._kerberos
        if kerberos is None:
            raise AuthenticationFailureError("kerberos_realm is not configured", doing="bind to the meta forest")
        realm = self._kerberos.realm if self._kerberos else kerberos.realm
        with kerberos.ticket(login, password, deadline) as cache:

            def bind(session: Session) -> None:
                try:
                    kerberos.service_ticket(cache, service_of(session), deadline, realm)
                except ProgramError as error:
                    raise ServerFailedError(f"{session.address}: no ticket for it: {error}") from None
                session.bind_dialogue("GSSAPI", gssapi_dialogue(session, cache, realm))

            return self._directory.run(bind, deadline)[0]

    def _with_foreign_groups(self, meta: Account, session: Session, sid: str) -> Account:
        """The groups that list the home account. Raises DirectoryError."""
        if not sid:
            return meta
        search = self._foreign
        wanted = fill(search.filter, sid)
        found = session.search(search.base, wanted, search.scope, ("cn", "distinguishedName", "memberOf"), limit=2)
        if len(found) != 1:
            return meta
        groups = found[0].texts("memberOf")
        return replace(
            meta,
            roles=tuple(dict.fromkeys((*meta.roles, *groups))),
            member_of=lambda group: self._lists_foreigner(session, wanted, group),
        )

    def _lists_foreigner(self, session: Session, principal: str, group: str) -> bool:
        """Whether a group lists the principal, itself or through other groups."""
        search = self._foreign
        wanted = f"(&{principal}{fill(search.member_filter, group)})"
        try:
            return bool(session.search(search.member_base, wanted, search.member_scope, ("1.1",), limit=1))
        except DirectoryError as error:
            raise self._failure(error) from None


def make_metaexplicit(name: str, given: Mapping[str, Any], context: ProviderContext) -> Provider:
    """The provider for an entry of the manager ``metaexplicit``. Raises ProviderError."""
    return MetaProvider(name, given, context)
