"""The identity token: who logged in, said and signed by the provider (OpenID Connect Core 3.1.3.7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.exceptions import PyJWTError

from oc.auth.oidc.keys import ALGORITHMS
from oc.auth.oidc.transport import ProviderAnswerError

MAX_TOKEN: Final = 64 * 1024
MAX_SUBJECT: Final = 255
LEEWAY_SECONDS: Final = 60

FindKey = Callable[[str, str | None], Any]
"""Algorithm and key id of a token's header -> public key; raises ExternalAuthError."""

PROTOCOL_CLAIMS: Final = frozenset(
    (
        "iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash", "s_hash", "auth_time", "acr", "amr",
        "jti", "sid", "session_state", "typ",
    )
)  # fmt: skip
"""Claims about the token, not about the user."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. ``nonce`` is None when none was sent."""

    issuer: str
    client_id: str
    nonce: str | None = None


def read_id_token(token: object, expected: Expected, find_key: FindKey, access_token: str = "") -> dict[str, Any]:
    """The claims of a token that is signed by the provider and meant for this login. Raises ProviderAnswerError."""
    if not isinstance(token, str) or not token or len(token) > MAX_TOKEN:
        raise ProviderAnswerError("the identity provider sent no identity token")
    algorithm, key_id = _header(token)
    key = find_key(algorithm, key_id)
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=expected.client_id,
            issuer=expected.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat"], "verify_iat": True, "strict_aud": False},
        )
    except (PyJWTError, ValueError, TypeError) as error:
        # the library's text may quote claims; its type says what was wrong
        raise ProviderAnswerError(
            "the identity token is not acceptable", doing=f"read an identity token: {type(error).__name__}"
        ) from error
    _check_claims(claims, expected)
    _check_access_token(claims, algorithm, access_token)
    return claims


def user_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims that describe the user."""
    return {name: value for name, value in claims.items() if name not in PROTOCOL_CLAIMS}


def _header(token: str) -> tuple[str, str | None]:
    try:
        header = jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, TypeError) as error:
        raise ProviderAnswerError("the identity token cannot be read") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise ProviderAnswerError("the identity token is signed with an algorithm that is not accepted")
    if "crit" in header or not isinstance(key_id, str | None):
        raise ProviderAnswerError("the identity token has an unusable header")
    return algorithm, key_id


def _check_claims(claims: Mapping[str, Any], expected: Expected) -> None:
    audience = claims["aud"]
    party = claims.get("azp")
    several = isinstance(audience, list) and len(audience) > 1
    if (several or party is not None) and party != expected.client_id:
        raise ProviderAnswerError("the identity token was issued to another client")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise ProviderAnswerError("the identity token names no usable subject")
    if expected.nonce is not None:
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
            raise ProviderAnswerError("the identity token belongs to another login")


def _check_access_token(claims: Mapping[str, Any], algorithm: str, access_token: str) -> None:
    """``at_hash`` binds the access token to the identity token (3.1.3.8); it is optional in the code flow."""
    given = claims.get("at_hash")
    if given is None:
        return
    digest = hashlib.new(f"sha{algorithm[-3:]}", access_token.encode()).digest()
    wanted = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), wanted):
        raise ProviderAnswerError("the access token does not belong to the identity token")
