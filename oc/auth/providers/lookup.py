"""Users whom a trusted site in front named, looked up in an Active Directory (spec auth.md 1.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

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
        if not attempt.asserted:
            raise AuthenticationError("authentication provider accepts no direct login", doing="look up a user")
        check_asserted(attempt.asserted)
        with self.look_up(attempt.asserted) as account:
            yield account


def make_implicit(name: str, given: Mapping[str, Any], context: ProviderContext) -> Provider:
    """The provider for an entry of the manager ``implicit``. Raises ProviderError."""
    look_up = read_keys(given, ImplicitKeys).useExplicitIdentityProvider
    return (LookupProvider if look_up else AnonymousProvider)(name, given, context)
