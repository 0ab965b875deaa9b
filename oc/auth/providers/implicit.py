"""Implicit providers: nobody is asked for a password (spec auth.md 1.5).

Anonymous: each login is a new user with a random id. Asserted: a trusted service in front named the user.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import msgspec

from oc.auth.accounts import AccountError, generic_account, safe_uid
from oc.auth.providers.base import Account, Attempt, Provider, ProviderContext, ProviderError, read_keys
from oc.errors import AuthenticationError
from oc.model.identity import PosixAccount

_ASSERTED: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


class ImplicitKeys(msgspec.Struct, frozen=True):
    """The keys of implicit providers. ``userid``, present in every sample file, is not read: see AnonymousProvider."""

    uid: str | None = None
    username: str | None = None
    dialog_url: str | None = None
    useExplicitIdentityProvider: bool = False  # noqa: N815 - name of the configuration key


class AnonymousProvider(Provider):
    """Lets everybody in. What the request says about the user is ignored: it would be an invitation to impersonate."""

    manager: ClassVar[str] = "implicit"

    def __init__(self, name: str, given: Mapping[str, Any], context: ProviderContext) -> None:
        super().__init__(name, given, context)
        keys = read_keys(given, ImplicitKeys)
        self.dialog_url = keys.dialog_url
        self.username: str = keys.username or name
        try:
            self.posix = self._account(keys.uid or name)
        except AccountError as error:
            raise ProviderError(f"uid or default account: {error.message}") from error

    @property
    def direct(self) -> bool:
        """A ``dialog_url`` leads to a site that names the user: without that site there is no login."""
        return self.dialog_url is None

    def public(self) -> dict[str, Any]:
        description = super().public()
        if self.dialog_url is not None:
            description["dialog_url"] = self.dialog_url
        return description

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        if attempt.asserted is None:
            yield Account(userid=str(uuid.uuid4()), name=self.username, posix=self.posix, new_user=True)
            return
        check_asserted(attempt.asserted)
        yield Account(userid=attempt.asserted, name=attempt.asserted, posix=self._account(attempt.asserted))

    def _account(self, login: str) -> PosixAccount:
        return generic_account(
            safe_uid(login),
            self.account_defaults,
            gecos="anonymous user",
            description="abcdesktop anonymous account",
        )


def check_asserted(userid: str) -> None:
    """Raises AuthenticationError for what cannot be a user id, whoever says it."""
    if len(userid) > 63 or not _ASSERTED.fullmatch(userid):
        raise AuthenticationError("invalid user id", doing="check an asserted user id")
