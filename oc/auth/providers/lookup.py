"""Users whom a trusted site in front named, looked up in an Active Directory (spec auth.md 1.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

from oc.auth.directory.binding import Authenticated
from oc.auth.directory.session import Entry, Session
from oc.auth.providers.activedirectory import ActiveDirectoryProvider
from oc.auth.providers.base import Account, Attempt, Provider, ProviderContext, ProviderError, read_keys
from oc.auth.providers.implicit import AnonymousProvider, ImplicitKeys, check_asserted
from oc.errors import AuthenticationError


class LookupProvider(ActiveDirectoryProvider):
    """Asks nobody for a password: without the site in front there is no login, and no credentials can be derived."""

    manager: ClassVar[str] = "implicit"
    takes_credentials: ClassVar[bool] = False

    def __init__(self, name: str, given: Mapping[str, Any], context: ProviderContext) -> None:
        super().__init__(name, given, context)
        self.dialog_url = read_keys(given, ImplicitKeys).dialog_url
        if self.service_account is None:
            raise ProviderError("serviceaccount: needed by useExplicitIdentityProvider")

    @property
    def direct(self) -> bool:
        return False

    def public(self) -> dict[str, Any]:
        description = super().public()
        if self.dialog_url is not None:
            description["dialog_url"] = self.dialog_url
        return description

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        if not attempt.asserted or self.service_account is None:
            raise AuthenticationError("authentication provider accepts no direct login", doing="look up a user")
        login = attempt.asserted
        check_asserted(login)

        def look_up(session: Session) -> tuple[Entry, Account]:
            entry = self._only_entry(session, login)
            return entry, self.describe(Authenticated(session, entry), login, None)

        service, deadline = self.service_account, self._directory.deadline()
        entry, account = service.run(look_up, deadline)

        def is_member(group: str) -> bool:
            # the connection is somebody else's by now
            return service.run(lambda session: self.is_member(Authenticated(session, entry), group), deadline)

        yield replace(account, member_of=is_member)

    def _only_entry(self, session: Session, login: str) -> Entry:
        """Raises AuthenticationError when there is none, or more than one."""
        users = self._users
        found = session.search(users.base, users.filter_for(login), users.scope, users.attributes, limit=2)
        if len(found) != 1:
            raise AuthenticationError("the user is not in the directory", doing="look up an asserted user")
        return found[0]


def make_implicit(name: str, given: Mapping[str, Any], context: ProviderContext) -> Provider:
    """The provider for an entry of the manager ``implicit``. Raises ProviderError."""
    look_up = read_keys(given, ImplicitKeys).useExplicitIdentityProvider
    return (LookupProvider if look_up else AnonymousProvider)(name, given, context)
