"""Logging in: from a request to a ``Login`` (spec auth.md 2.3, 5, 9.1). No HTTP, no Kubernetes, no database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from oc.auth.accounts import AccountDefaults, AccountTemplates, generic_account, local_account, posix_dict, safe_uid
from oc.auth.labels import address_label
from oc.auth.managers import Managers
from oc.auth.prelogin import PreloginGate, SessionStore
from oc.auth.providers import PROVIDER_MAKERS, Account, Attempt, Provider, ProviderContext, ProviderMaker
from oc.auth.requests import LoginRequest, chosen_execute_class
from oc.auth.roles import reduce_roles
from oc.auth.rules import RuleContext, rule_labels
from oc.auth.rules.geography import position
from oc.errors import (
    AuthenticationDeniedError,
    AuthenticationError,
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
    sessions: gives the shared cache with prelogin sessions.
    asnumber: look-up of autonomous systems. base: directory of the account templates and of ``img/``.
    The constructor raises OSError when an account template cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        bans: Bans | None = None,
        sessions: Callable[[], SessionStore | None] = lambda: None,
        asnumber: AsNumberLookup | None = None,
        base: Path | None = None,
        makers: Mapping[str, ProviderMaker] = PROVIDER_MAKERS,
    ) -> None:
        directory = base or Path()
        account = settings.desktop.account
        context = ProviderContext(AccountDefaults.from_settings(account), directory)
        self.managers = Managers(settings.auth.managers, context, makers)
        self._templates = AccountTemplates.load(account, directory)
        self._policy = AuthPolicy(settings.desktop.features_permissions, frozenset(settings.executeclasses))
        self._prelogin = PreloginGate(settings.auth.prelogin, sessions)
        self._bans = bans
        self._asnumber = asnumber

    def getauthconfig(self) -> dict[str, Any]:
        """The managers and providers as the login page shows them."""
        return self.managers.public()

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

    def _execute_class(self, request: LoginRequest) -> str | None:
        return chosen_execute_class(request.features, self._policy.features_permissions, self._policy.executeclasses)

    def _refuse_banned(self, userid: str | None) -> None:
        if self._bans and userid and self._bans.is_banned_login(userid):
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
                self._bans.fail_login(attempt.userid)
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
        labels = self._labels(provider, account, client, position(request.geolocation), headers)
        if execute_class is not None:
            labels["executeclassname"] = execute_class
        if not permits(provider.acl, labels):
            raise AuthenticationDeniedError(doing=f"log in with provider {provider.name}")
        posix = account.posix or _account_without_posix(provider, account)
        claims = {**account.claims, "localaccount": self._local_account(provider, account, posix)}
        return Login(
            identity=Identity(
                provider=provider.name,
                providertype=provider.providertype,
                userid=account.userid,
                name=account.name,
                labels=labels,
                roles=reduce_roles(account.roles, provider.reduction, directory=provider.directory),
                domain=account.domain,
            ),
            attributes=_attributes(account, request),
            posix=account.posix,
            claims=claims,
            protocol=account.protocol,
            display=account.display or provider.displayname,
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
        context = RuleContext(
            client_ip=client.ipaddr,
            headers=headers,
            roles=account.roles,
            attributes=account.attributes,
            geolocation=geolocation,
            asnumber=asnumber,
            member_of=account.member_of,
        )
        labels: dict[str, str] = {}
        source = address_label(client.ipaddr)
        if source:
            labels["ipsource"] = source
        if asnumber:
            labels["asnumber"] = asnumber
        return {**labels, **rule_labels(provider.rules, context)}

    def _local_account(self, provider: Provider, account: Account, posix: PosixAccount) -> dict[str, Any]:
        password = account.password if account.password is not None else provider.account_defaults.password
        return local_account(posix, password, self._templates)


def success_message(login: Login, seconds: float) -> str:
    """The first progress step a client shows; its first two characters choose the stage."""
    return f"a.Authentication on {login.display} successful in {seconds:.2f} s"


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
