"""Logins that leave for an external provider and come back (spec auth.md 2.2, 2.4, 10.3, O1)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from oc.auth.managers import Managers
from oc.auth.oidc.exchange import error_code
from oc.auth.oidc.flow import COOKIE, LIFETIME_SECONDS, MAX_STATE, LoginFlow, StateError
from oc.auth.providers.base import CodeGrant
from oc.auth.providers.external import MAX_CODE, ExternalProvider
from oc.errors import AuthenticationError, ExternalAuthLoginError

logger = logging.getLogger(__name__)

MANAGER: Final = "external"
COOKIE_PATH: Final = "/API/auth/"
MAX_ISSUER: Final = 2048


@dataclass(frozen=True, slots=True)
class LoginPage:
    """What the login page gets. set_cookie: value of a ``Set-Cookie`` header, None when none is needed."""

    config: dict[str, Any]
    set_cookie: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Callback:
    """The parameters an external provider sends a browser back with."""

    provider: str | None = None
    state: str = field(default="", repr=False)
    code: str = field(default="", repr=False)
    error: str | None = None
    issuer: str | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Callback:
        """From the decoded query of the address the browser was sent to."""
        return cls(
            query.get("provider"), query.get("state", ""), query.get("code", ""), query.get("error"), query.get("iss")
        )


@dataclass(frozen=True, slots=True)
class Returned:
    """A browser that came back as it should. features: what the front end asks for, None for nothing."""

    provider: ExternalProvider
    grant: CodeGrant
    features: Any = None


class ExternalLogins:
    """The links of the login page, and who comes back by them. Thread-safe."""

    def __init__(self, managers: Managers, flow: LoginFlow, *, replaceable: bool) -> None:
        self._managers = managers
        self._flow = flow
        self._replaceable = replaceable
        manager = managers.manager(MANAGER)
        providers = manager.providers.values() if manager is not None else ()
        self._providers = {provider.name: provider for provider in providers if isinstance(provider, ExternalProvider)}
        self._secure = all(provider.client.redirect_uri.startswith("https://") for provider in self._providers.values())

    def login_page(self, static: Mapping[str, Any], cookies: Iterable[str]) -> LoginPage:
        """``static``, the part that is the same for everybody, with a fresh link for each external provider.

        A provider whose login page is not known now is left out: clients cannot show one without a link.
        """
        if not self._providers:
            return LoginPage(dict(static))
        browser = self._flow.browser(cookies)
        managers = [
            {**manager, "providers": self._with_links(manager["providers"], browser)}
            if manager["name"] == MANAGER
            else manager
            for manager in static["managers"]
        ]
        return LoginPage({**static, "managers": managers}, self._cookie(self._flow.cookie(browser), LIFETIME_SECONDS))

    def _with_links(self, described: Iterable[dict[str, Any]], browser: str) -> list[dict[str, Any]]:
        complete: list[dict[str, Any]] = []
        for description in described:
            provider = self._providers[description["name"]]
            start = self._flow.start(provider.name, browser)
            link = provider.login_link(start)
            if link is not None:
                complete.append({**description, "dialog_url": link, "state": start.state})
        return complete

    def finish(self, callback: Callback, cookies: Iterable[str]) -> Returned:
        """Check who comes back. A login can come back once, whatever becomes of it.

        Raises AuthenticationError: an unknown provider, a state that is not this browser's (StateError), was used
        (UsedStateError) or belongs to another provider, a refusal of the provider (ExternalAuthLoginError).
        """
        if not callback.provider:
            raise AuthenticationError("missing provider parameter", doing="choose a provider")
        provider = self._managers.find(callback.provider, MANAGER)
        if not isinstance(provider, ExternalProvider):
            raise AuthenticationError("missing provider parameter", doing="choose a provider")
        if not 0 < len(callback.state) <= MAX_STATE:
            raise StateError(doing=f"check the state of a login with {provider.name}")
        back = self._flow.finish(provider.name, callback.state, cookies)
        self._flow.use(back.login)
        if callback.issuer is not None and len(callback.issuer) > MAX_ISSUER:
            raise ExternalAuthLoginError("the answer comes from another identity provider", doing="check an issuer")
        provider.check_issuer(callback.issuer)
        if callback.error is not None:
            reason = error_code(callback.error) or "unknown reason"
            raise ExternalAuthLoginError(
                f"the identity provider refused the login: {reason}", doing=f"log in with {provider.name}"
            )
        if not 0 < len(callback.code) <= MAX_CODE:
            raise ExternalAuthLoginError("the identity provider sent no code", doing=f"log in with {provider.name}")
        return Returned(provider, CodeGrant(callback.code, back.verifier, back.nonce), back.features)

    @property
    def spent_cookie(self) -> str | None:
        """The ``Set-Cookie`` value after a login came back: where a cookie is good for one login, it is removed."""
        return self._cookie("", 0) if self._replaceable and self._providers else None

    def _cookie(self, value: str, seconds: int) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{COOKIE}={value}; Max-Age={seconds}; Path={COOKIE_PATH}; HttpOnly; SameSite=Lax{secure}"
