"""The link to the provider's login page, and from the code it gives to tokens (RFC 6749 4.1)."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from oc.auth.oidc.flow import Start
from oc.auth.oidc.transport import ProviderAnswer, ProviderAnswerError, Transport
from oc.errors import ExternalAuthLoginError

logger = logging.getLogger(__name__)

MAX_ACCESS_TOKEN: Final = 64 * 1024
_ERROR_CODE: Final = re.compile(r"[a-z0-9_.-]{1,64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Who we are for a provider. in_body: id and secret go into the form of the token request, not into a header."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    scope: tuple[str, ...] = ()
    in_body: bool = False
    pkce: bool = True
    relaxed_scope: bool = False

    @property
    def openid(self) -> bool:
        """Whether an identity token is asked for."""
        return "openid" in self.scope


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave for a code. id_token: as received, not checked."""

    access_token: str = field(repr=False)
    id_token: object = field(default=None, repr=False)


def dialog_url(endpoint: str, client: OAuthClient, start: Start) -> str:
    """The address of the provider's login page for one login."""
    parameters = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "scope": " ".join(client.scope),
        "state": start.state,
    }
    if client.pkce:
        parameters |= {"code_challenge": start.challenge, "code_challenge_method": "S256"}
    if client.openid:
        parameters["nonce"] = start.nonce
    separator = "&" if "?" in endpoint else "?"
    return f"{endpoint}{separator}{urlencode({name: text for name, text in parameters.items() if text})}"


def exchange_code(transport: Transport, endpoint: str, client: OAuthClient, code: str, verifier: str) -> Tokens:
    """Trade a code for tokens. Raises ExternalAuthLoginError when it is refused, else another ExternalAuthError."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": client.redirect_uri}
    if client.pkce:
        form["code_verifier"] = verifier
    account: tuple[str, str] | None = (client.client_id, client.client_secret)
    if client.in_body:
        form |= {"client_id": client.client_id, "client_secret": client.client_secret}
        account = None
    answer = transport.post(endpoint, form, account=account)
    document = _token_document(answer)
    if "error" in document or not answer.ok:
        reason = error_code(document.get("error")) or f"status {answer.status}"
        raise ExternalAuthLoginError(f"the identity provider refused the login: {reason}", doing="exchange a code")
    return _tokens(document, client)


def error_code(value: object) -> str:
    """A provider's error code as users may see it, ``""`` for anything that is none."""
    return value if isinstance(value, str) and _ERROR_CODE.fullmatch(value) else ""


def _token_document(answer: ProviderAnswer) -> Mapping[str, Any]:
    """Some providers answer with a form (github without an Accept header); refusals may be no document at all."""
    if answer.media_type in ("application/x-www-form-urlencoded", "text/plain") and not answer.body.startswith(b"{"):
        return answer.form()
    try:
        return answer.document("token answer")
    except ProviderAnswerError:
        if answer.ok:
            raise
        return {}


def _tokens(document: Mapping[str, Any], client: OAuthClient) -> Tokens:
    token, kind = document.get("access_token"), document.get("token_type", "bearer")
    if not isinstance(token, str) or not 0 < len(token) <= MAX_ACCESS_TOKEN or not token.isascii():
        raise ProviderAnswerError("the identity provider sent no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ProviderAnswerError("the identity provider sent an access token of an unknown type")
    if not token.isprintable() or " " in token:
        raise ProviderAnswerError("the identity provider sent an unusable access token")
    granted = document.get("scope")
    if not client.relaxed_scope and client.scope and isinstance(granted, str) and granted:
        _check_scope(re.split(r"[ ,]+", granted.strip()), client.scope)
    return Tokens(token, document.get("id_token"))


def _check_scope(granted: Collection[str], asked: Collection[str]) -> None:
    if set(granted) != set(asked):
        logger.error("the scope of a token differs from the one asked for: OAUTHLIB_RELAX_TOKEN_SCOPE accepts it")
        raise ProviderAnswerError("the identity provider granted another scope than asked for")
