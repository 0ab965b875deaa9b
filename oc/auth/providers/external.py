"""External providers: the user logs in at an OAuth 2.0 or OpenID Connect service (spec auth.md 1.4)."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import msgspec

from oc.auth.accounts import account_from_mapping
from oc.auth.oidc.discovery import WELL_KNOWN, Discovery, Metadata
from oc.auth.oidc.exchange import OAuthClient, Tokens, dialog_url, exchange_code
from oc.auth.oidc.flow import Start
from oc.auth.oidc.idtoken import Expected, read_id_token, user_claims
from oc.auth.oidc.keys import SigningKeys
from oc.auth.oidc.transport import HttpTransport, ProviderUnreachableError, Transport, secure_enough
from oc.auth.oidc.userinfo import (
    MAX_FIELDS,
    display_name,
    local_userid,
    map_userinfo,
    provider_userid,
    role_names,
)
from oc.auth.providers.base import Account, Attempt, Provider, ProviderContext, ProviderError, read_keys
from oc.errors import ExternalAuthLoginError, ExternalAuthUserError

logger = logging.getLogger(__name__)

POSIX_FIELDS: Final = (
    "cn", "uid", "gid", "uidNumber", "gidNumber", "homeDirectory", "loginShell", "description", "groups", "gecos",
)  # fmt: skip
"""Fields of the user information that describe the account in the desktop."""

LOGIN_PAGE_WAIT: Final = 2.0
"""How long the login page waits for a discovery document, in seconds; a login waits LOGIN_WAIT."""

LOGIN_WAIT: Final = 12.0
MAX_CODE: Final = 4096


class ExternalKeys(msgspec.Struct, frozen=True):
    """The keys of external providers."""

    client_id: str = ""
    client_secret: str = ""
    scope: str | list[str] = ""
    authorization_base_url: str = ""
    token_url: str = ""
    redirect_uri_prefix: str = ""
    redirect_uri_querystring: str = ""
    userinfo_auth: bool | None = None
    userinfo_url: str = ""
    userinfomap: dict[str, str] | None = None
    include_client_id: bool = False
    state: str | None = None
    encoding: str = "utf-8"
    issuer: str = ""
    discovery_url: str = ""
    jwks_url: str = ""
    pkce: bool = True
    userid_hash: bool = True
    tls_ca_file: str | None = None


class ExternalProvider(Provider):
    """One OAuth 2.0 or OpenID Connect service.

    With an issuer (key ``issuer`` or ``discovery_url``) and the scope ``openid`` the identity token is required and
    checked; without one the user is who ``userinfo_url`` says.
    """

    manager: ClassVar[str] = "external"
    default_type: ClassVar[str | None] = "oauth"

    def __init__(
        self, name: str, given: Mapping[str, Any], context: ProviderContext, transport: Transport | None = None
    ) -> None:
        super().__init__(name, given, context)
        keys = read_keys(given, ExternalKeys)
        _check_keys(keys, insecure=context.insecure_transport)
        self.external = keys
        self.client = _client(name, keys, context)
        self._transport = transport or HttpTransport(ca_file=keys.tls_ca_file, insecure=context.insecure_transport)
        self._signing_keys = SigningKeys(self._transport)
        url, self._issuer = _issuer(keys)
        self._given = Metadata(
            self._issuer, keys.authorization_base_url, keys.token_url, keys.userinfo_url, keys.jwks_url
        )
        self._discovery: Discovery | None = None
        if url and not self._complete:
            self._discovery = Discovery(url, self._issuer, self._transport, insecure=context.insecure_transport)
        if keys.state is not None:
            logger.warning("%s: the key 'state' is ignored: a state that does not change protects nobody", name)

    @property
    def _complete(self) -> bool:
        """Whether the configuration names every endpoint, so that nothing need be discovered."""
        given = self._given
        named = bool(given.authorization_endpoint and given.token_endpoint)
        return named and (not self.checks_id_token or (bool(given.jwks_uri) and bool(given.userinfo_endpoint)))

    @property
    def direct(self) -> bool:
        """Its users come back by the ``oauth`` route only."""
        return False

    @property
    def checks_id_token(self) -> bool:
        """Whether a login needs an identity token of a known issuer."""
        return bool(self._issuer) and self.client.openid

    def login_link(self, start: Start) -> str | None:
        """The address of the provider's login page; None while it is not known because discovery fails."""
        metadata = self._metadata(LOGIN_PAGE_WAIT)
        if metadata is None or not metadata.authorization_endpoint:
            return None
        return dialog_url(metadata.authorization_endpoint, self.client, start)

    def check_issuer(self, issuer: str | None) -> None:
        """Compare the ``iss`` parameter of an answer, None when there is none (RFC 9207).

        Raises ExternalAuthLoginError for that of another provider.
        """
        if not self._issuer:
            return
        metadata = self._metadata(LOGIN_WAIT)
        required = metadata is not None and metadata.issuer_in_answer
        if (issuer is None and required) or (issuer is not None and issuer != self._issuer):
            raise ExternalAuthLoginError("the answer comes from another identity provider", doing="check an issuer")

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        """Exchange the code of the attempt and read who the user is."""
        grant = attempt.grant
        if grant is None or not 0 < len(grant.code) <= MAX_CODE or not grant.code.isprintable():
            raise ExternalAuthLoginError("the identity provider sent no code", doing=f"log in with {self.name}")
        metadata = self._metadata(LOGIN_WAIT)
        if metadata is None or not metadata.token_endpoint:
            raise ProviderUnreachableError(doing=f"discover {self.name}")
        tokens = exchange_code(self._transport, metadata.token_endpoint, self.client, grant.code, grant.verifier)
        document = self._user(metadata, tokens, grant.nonce)
        yield self._anonymous() if document is None else self._account(document)

    def _metadata(self, wait: float) -> Metadata | None:
        if self._discovery is None:
            return self._given
        found = self._discovery.current(wait)
        return None if found is None else _merged(self._given, found)

    def _user(self, metadata: Metadata, tokens: Tokens, nonce: str) -> dict[str, Any] | None:
        """What the provider says about the user; None when nobody is asked."""
        claims: dict[str, Any] = {}
        if self.checks_id_token:
            claims = read_id_token(
                tokens.id_token,
                Expected(self._issuer, self.client.client_id, nonce),
                lambda algorithm, kid: self._signing_keys.find(metadata.jwks_uri, algorithm, kid),
                tokens.access_token,
            )
        asked = self.external.userinfo_auth
        if metadata.userinfo_endpoint and asked is not False:
            document = self._userinfo(metadata.userinfo_endpoint, tokens.access_token)
            if claims and document.get("sub") != claims["sub"]:
                raise ExternalAuthUserError("the user information is about another user", doing="compare subjects")
            return {**user_claims(claims), **document}
        if asked is True:
            raise ExternalAuthUserError("no user information endpoint is configured", doing=f"log in with {self.name}")
        return user_claims(claims) or None

    def _userinfo(self, url: str, access_token: str) -> dict[str, Any]:
        answer = self._transport.get(url, bearer=access_token)
        if not answer.ok:
            raise ExternalAuthUserError(
                f"the identity provider refused to describe the user: status {answer.status}", doing="read userinfo"
            )
        document = answer.document("user information", self.external.encoding)
        if len(document) > MAX_FIELDS:
            raise ExternalAuthUserError("the identity provider says too much about the user", doing="read userinfo")
        return document

    def _account(self, document: Mapping[str, Any]) -> Account:
        given = provider_userid(document, self.external.userinfomap)
        userid = local_userid(given, hashed=self.external.userid_hash)
        fields = map_userinfo(document, self.external.userinfomap)
        posix = account_from_mapping({name: fields.get(name) for name in POSIX_FIELDS}, self.account_defaults)
        return Account(
            userid=userid,
            name=display_name(fields, given),
            attributes=fields,
            roles=role_names(fields.get(self.keys.memberof_attribut_name or "groups")),
            posix=posix,
            protocol="oauth",
        )

    def _anonymous(self) -> Account:
        posix = account_from_mapping({}, self.account_defaults)
        return Account(userid=str(uuid.uuid4()), name="anonymous", posix=posix, protocol="oauth")

    def public(self) -> dict[str, Any]:
        """Without ``dialog_url`` and ``state``, which are made for each request."""
        return {**super().public(), "explicitproviderapproval": self.keys.explicitproviderapproval}


def make_external(name: str, given: Mapping[str, Any], context: ProviderContext) -> Provider:
    """The provider for an entry of the manager ``external``. Raises ProviderError."""
    return ExternalProvider(name, given, context)


def _check_keys(keys: ExternalKeys, *, insecure: bool) -> None:
    """Raises ProviderError naming the key that is missing or unusable."""
    required = ["client_id", "client_secret", "redirect_uri_prefix"]
    discovered = bool(keys.discovery_url or keys.issuer)
    if not discovered:
        required += ["authorization_base_url", "token_url"]
    for key in required:
        if not getattr(keys, key):
            raise ProviderError(f"{key}: missing")
    for key in (
        "authorization_base_url", "token_url", "userinfo_url", "redirect_uri_prefix", "issuer", "discovery_url",
        "jwks_url",
    ):  # fmt: skip
        url = getattr(keys, key)
        if url and not secure_enough(url, insecure=insecure):
            raise ProviderError(f"{key}: expected an https URL (OAUTHLIB_INSECURE_TRANSPORT allows http)")
    if keys.userinfo_auth and not (keys.userinfo_url or discovered):
        raise ProviderError("userinfo_url: missing, userinfo_auth is True")
    try:
        "".encode(keys.encoding)
    except (LookupError, ValueError) as error:
        raise ProviderError("encoding: unknown") from error


def _client(name: str, keys: ExternalKeys, context: ProviderContext) -> OAuthClient:
    query = keys.redirect_uri_querystring or urlencode({"manager": "external", "provider": name})
    scope = keys.scope if isinstance(keys.scope, str) else " ".join(keys.scope)
    return OAuthClient(
        client_id=keys.client_id,
        client_secret=keys.client_secret,
        redirect_uri=f"{keys.redirect_uri_prefix}?{query}",
        scope=tuple(dict.fromkeys(scope.split())),
        in_body=keys.include_client_id,
        pkce=keys.pkce,
        relaxed_scope=context.relax_token_scope,
    )


def _issuer(keys: ExternalKeys) -> tuple[str, str]:
    """Address of the discovery document and issuer; both ``""`` for a plain OAuth 2.0 provider."""
    if keys.discovery_url and not keys.issuer and not keys.discovery_url.endswith(WELL_KNOWN):
        raise ProviderError(f"discovery_url: expected an address that ends with {WELL_KNOWN}, or the key issuer too")
    if keys.issuer:
        return keys.discovery_url or keys.issuer.rstrip("/") + WELL_KNOWN, keys.issuer
    return keys.discovery_url, keys.discovery_url.removesuffix(WELL_KNOWN)


def _merged(given: Metadata, found: Metadata) -> Metadata:
    """The discovered endpoints, with those of the configuration over them."""
    return Metadata(
        issuer=found.issuer,
        authorization_endpoint=given.authorization_endpoint or found.authorization_endpoint,
        token_endpoint=given.token_endpoint or found.token_endpoint,
        userinfo_endpoint=given.userinfo_endpoint or found.userinfo_endpoint,
        jwks_uri=given.jwks_uri or found.jwks_uri,
        issuer_in_answer=found.issuer_in_answer,
    )
