"""Logging in: from a request to a ``Login`` (spec auth.md 2.3, 5, 9.1). No HTTP, no Kubernetes, no database."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from oc.auth.accounts import AccountDefaults, AccountTemplates, generic_account, local_account, posix_dict, safe_uid
from oc.auth.explaining import ExplainedLogin, Question, builtin_labels, explain, login_context
from oc.auth.external import Callback, ExternalLogins, LoginPage
from oc.auth.labels import address_label
from oc.auth.managers import Managers
from oc.auth.oidc.flow import LoginFlow, UsedStore, cookie_values
from oc.auth.prelogin import PreloginGate, SessionStore
from oc.auth.providers import PROVIDER_MAKERS, Account, Attempt, Provider, ProviderContext, ProviderMaker, View
from oc.auth.providers.activedirectory import ActiveDirectoryProvider
from oc.auth.requests import LoginRequest, chosen_execute_class
from oc.auth.roles import reduce_roles
from oc.auth.rules import RuleContext, compile_rules, rule_labels
from oc.auth.rules.geography import position
from oc.auth.sha512crypt import sha512_crypt
from oc.errors import (
    AuthenticationDeniedError,
    AuthenticationError,
    BadRequestError,
    BanAuthUserError,
    InvalidCredentialsError,
)
from oc.model.acl import permits
from oc.model.identity import ClientInfo, Identity, Login, PosixAccount
from oc.model.names import is_label_value

if TYPE_CHECKING:
    from oc.od.settings import Settings

logger = logging.getLogger(__name__)

AsNumberLookup = Callable[[str], str | None]
"""Address -> digits of its autonomous system, None when unknown."""


class Bans(Protocol):
    """Who failed too often. Must neither raise nor take long."""

    def is_banned_login(self, login: str) -> bool: ...
    def fail_login(self, login: str) -> object: ...


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """What decides about a login besides its provider."""

    features_permissions: Collection[str] = ()
    executeclasses: Collection[str] = ()


class AuthService:
    """Knows the providers and logs users in. Thread-safe; built once.

    bans: logins banned and counted; None counts nothing. The address is counted by the caller, who knows it.
    sessions: gives the shared cache with prelogin sessions. used: gives the shared cache that remembers which
    external logins came back. state_key: secret bytes for their links, the same in all replicas; None makes one up.
    asnumber: look-up of autonomous systems. base: directory of the account templates and of ``img/``.
    The constructor raises OSError when an account template cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        bans: Bans | None = None,
        sessions: Callable[[], SessionStore | None] = lambda: None,
        used: Callable[[], UsedStore | None] = lambda: None,
        state_key: bytes | None = None,
        asnumber: AsNumberLookup | None = None,
        base: Path | None = None,
        makers: Mapping[str, ProviderMaker] = PROVIDER_MAKERS,
    ) -> None:
        directory = base or Path()
        account = settings.desktop.account
        oauth = settings.auth.oauth
        context = ProviderContext(
            AccountDefaults.from_settings(account), directory, oauth.insecure_transport, oauth.relax_token_scope
        )
        self.managers = Managers(settings.auth.managers, context, makers)
        self._public = self.managers.public()
        self._explicit_rules = compile_rules(settings.auth.managers["explicit"].rules, "authmanagers.explicit.rules")
        self._templates = AccountTemplates.load(account, directory)
        self._policy = AuthPolicy(settings.desktop.features_permissions, frozenset(settings.executeclasses))
        self._prelogin = PreloginGate(settings.auth.prelogin, sessions)
        self._bans = bans
        self._has_volume_rules = bool(settings.policies.rules.volumes)
        self._asnumber = asnumber
        replaceable = "submit" in self._policy.features_permissions
        flow = LoginFlow(state_key or secrets.token_bytes(32), used, replaceable=replaceable)
        self.external = ExternalLogins(self.managers, flow, replaceable=replaceable)

    def getauthconfig(self) -> dict[str, Any]:
        """The managers and providers as the login page shows them, without the links of external providers."""
        return self._public

    def login_page(self, cookie_header: str) -> LoginPage:
        """The same with links made for the browser that sent this ``Cookie`` header."""
        return self.external.login_page(self._public, cookie_values(cookie_header))

    def login(self, request: LoginRequest, client: ClientInfo, headers: Mapping[str, str]) -> Login:
        """Authenticate the user of an ``auth`` request. ``headers`` are those of the HTTP request, in any case.

        Raises AuthenticationError (401) with the documented texts. Of these, InvalidCredentialsError and
        PreloginMismatchError count for fail2ban: the login has been counted here, the address is the caller's part.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        execute_class = self._execute_class(request)
        self._prelogin.check(request, client, lowered)
        provider = self.managers.for_request(request.provider)
        if not provider.direct:
            raise AuthenticationError(f"authentication provider {provider.name} accepts no direct login")
        # without credentials the user is whoever the provider says: the request's userid means nothing
        attempt = Attempt(client)
        if provider.takes_credentials:
            attempt = Attempt(client, request.userid, request.password)
            self._refuse_banned(request.userid)
        return self._attempt(provider, attempt, request, lowered, execute_class)

    def external_login(self, callback: Callback, client: ClientInfo, headers: Mapping[str, str]) -> Login:
        """Log in a user whom an external provider sent back. ``headers``: those of the request, with its cookies.

        Raises AuthenticationError (401).
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        returned = self.external.finish(callback, cookie_values(lowered.get("cookie", "")))
        request = LoginRequest(provider=returned.provider.name, features=returned.features)
        attempt = Attempt(client, grant=returned.grant)
        return self._attempt(returned.provider, attempt, request, lowered, self._execute_class(request))

    def explain(self, question: Question, client: ClientInfo) -> ExplainedLogin:
        """Which rules give which labels to a login, and why. ``client``: who asks, whose address is the default one.

        Raises AuthenticationError for an unknown provider, BadRequestError for an address or a user that is none.
        """
        provider = self.managers.find(question.provider)
        address = question.client_ip or client.ipaddr
        if address_label(address) is None:
            raise BadRequestError("client_ip is no address")
        asnumber = question.asnumber or (self._asnumber(address) if self._asnumber else None)
        return explain(provider, question, address, asnumber)

    def active_directories(self) -> list[ActiveDirectoryProvider]:
        """The providers that know the sites of a domain."""
        known = [p for m in self.managers if m.name in ("explicit", "metaexplicit") for p in m.providers.values()]
        return [provider for provider in known if isinstance(provider, ActiveDirectoryProvider)]

    def asserted_login(self, name: object, userid: str, client: ClientInfo, headers: Mapping[str, str]) -> Login:
        """Log in a user whom a trusted site in front named, with the implicit provider ``name``.

        Raises AuthenticationError (401).
        """
        if not isinstance(name, str) or not name:
            raise AuthenticationError("missing provider parameter", doing="choose a provider")
        provider = self.managers.find(name, "implicit")
        self._refuse_banned(userid)
        lowered = {key.lower(): value for key, value in headers.items()}
        return self._attempt(provider, Attempt(client, asserted=userid), LoginRequest(provider=name), lowered, None)

    def explicit_login(self, request: LoginRequest, client: ClientInfo, headers: Mapping[str, str]) -> Login:
        """Log in with a password at an explicit provider, the one that fits when the request names none.

        Raises AuthenticationError as ``login`` does.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        self._prelogin.check(request, client, lowered)
        provider = self._explicit_provider(request.provider, client, lowered)
        self._refuse_banned(request.userid)
        return self._attempt(provider, Attempt(client, request.userid, request.password), request, lowered, None)

    def _explicit_provider(self, name: str | None, client: ClientInfo, headers: Mapping[str, str]) -> Provider:
        """The provider called ``name``; else the only one, the one the manager's rules name, or the default one."""
        if name:
            return self.managers.find(name, "explicit")
        manager = self.managers.manager("explicit")
        if manager is not None and manager.providers:
            if len(manager.providers) == 1:
                return next(iter(manager.providers.values()))
            labels = rule_labels(self._explicit_rules, RuleContext(client.ipaddr, headers))
            chosen = next(iter(labels), None) or manager.default_provider
            provider = manager.find(chosen) if chosen else None
            if provider is not None:
                return provider
        raise AuthenticationError("No authentication provider can be found", doing="choose a provider")

    def approved_login(
        self, identity: Identity, password: str, client: ClientInfo, headers: Mapping[str, str]
    ) -> Login:
        """Log a user who is known already in to the explicit provider that the user's own provider names.

        Raises AuthenticationError (401) when it names none, and as ``login`` does.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        approval = self.managers.find(identity.provider).keys.explicitproviderapproval
        if not approval:
            raise AuthenticationError(
                f"authentication provider {identity.provider} has no explicitproviderapproval",
                doing="choose a provider",
            )
        provider = self.managers.find(approval, "explicit")
        self._refuse_banned(identity.userid)
        attempt = Attempt(client, identity.userid, password)
        return self._attempt(provider, attempt, LoginRequest(provider=provider.name), lowered, None)

    def _execute_class(self, request: LoginRequest) -> str | None:
        return chosen_execute_class(request.features, self._policy.features_permissions, self._policy.executeclasses)

    def _refuse_banned(self, userid: str | None) -> None:
        if self._bans and userid and self._bans.is_banned_login(_account_name(userid)):
            raise BanAuthUserError(doing="log in")

    def _attempt(
        self,
        provider: Provider,
        attempt: Attempt,
        request: LoginRequest,
        headers: Mapping[str, str],
        execute_class: str | None,
    ) -> Login:
        try:
            with provider.open(attempt) as account:
                return self._login(provider, account, attempt.client, request, headers, execute_class)
        except InvalidCredentialsError:
            if self._bans and attempt.userid:
                self._bans.fail_login(_account_name(attempt.userid))
            raise

    def _login(
        self,
        provider: Provider,
        account: Account,
        client: ClientInfo,
        request: LoginRequest,
        headers: Mapping[str, str],
        execute_class: str | None,
    ) -> Login:
        _check_userid(account.userid)
        views = account.views or (View(provider, account),)
        served = views[0].provider
        place = position(request.geolocation)
        labels: dict[str, str] = {}
        for view in views:
            found = self._labels(view.provider, view.account, client, place, headers)
            if execute_class is not None:
                found["executeclassname"] = execute_class
            if not permits(view.provider.acl, found):
                raise AuthenticationDeniedError(doing=f"log in with provider {view.provider.name}")
            if view.labels:
                labels |= found
        posix = account.posix or _account_without_posix(served, account)
        claims = {**account.claims, "localaccount": self._local_account(served, account, posix)}
        if account.password and self._has_volume_rules:
            # the shares of volume rules are mounted with the user's own credentials (orchestration.md 5.9)
            claims["driver"] = {
                "username": account.userid,
                "password": account.password,
                "domain": account.domain or "",
            }
        return Login(
            identity=Identity(
                provider=served.name,
                providertype=served.providertype,
                userid=account.userid,
                name=account.name,
                labels=labels,
                roles=reduce_roles(account.roles, served.reduction, directory=served.directory),
                domain=account.domain,
            ),
            attributes=_attributes(account, request),
            posix=account.posix,
            claims=claims,
            protocol=account.protocol,
            display=account.display or served.displayname,
            new_user=account.new_user,
        )

    def _labels(
        self,
        provider: Provider,
        account: Account,
        client: ClientInfo,
        geolocation: Mapping[str, float] | None,
        headers: Mapping[str, str],
    ) -> dict[str, str]:
        asnumber = self._asnumber(client.ipaddr) if self._asnumber else None
        context = login_context(account, client.ipaddr, asnumber, geolocation, headers)
        return {**builtin_labels(client.ipaddr, asnumber), **rule_labels(provider.rules, context)}

    def _local_account(self, provider: Provider, account: Account, posix: PosixAccount) -> dict[str, Any]:
        sha512 = provider.default_sha512 if account.password is None else sha512_crypt(account.password)
        return local_account(posix, sha512, self._templates)


def success_message(login: Login, seconds: float) -> str:
    """The first progress step a client shows; its first two characters choose the stage."""
    return f"a.Authentication on {login.display} successful in {seconds:.2f} s"


def _account_name(userid: str) -> str:
    """A login without ``DOMAIN\\``: with and without it is one account, which must not get twice the attempts."""
    return userid.rpartition("\\")[2] or userid


def _check_userid(userid: str) -> None:
    """User ids become label values: two users must never share one."""
    if not userid or not is_label_value(userid):
        raise AuthenticationError("the user id cannot be used", doing="check the user id of a provider")


def _account_without_posix(provider: Provider, account: Account) -> PosixAccount:
    uid = account.attributes.get("uid")
    return generic_account(
        safe_uid(uid if isinstance(uid, str) and uid else account.userid),
        provider.account_defaults,
        gid=account.userid.lower(),
    )


def _attributes(account: Account, request: LoginRequest) -> dict[str, Any]:
    """The user as secrets, history and templates see it (spec auth.md 4.2)."""
    attributes: dict[str, Any] = {**account.attributes, "userid": account.userid, "name": account.name}
    if account.posix is not None:
        attributes["posix"] = posix_dict(account.posix)
    if request.geolocation is not None:
        attributes["geolocation"] = position(request.geolocation) or {}
    if isinstance(request.utctimestamp, int) and 0 <= request.utctimestamp < 2**53:
        attributes["utctimestamp"] = request.utctimestamp
    return attributes
