"""The signing keys of a provider (RFC 7517 JWK Set), kept; a key that is not known is looked for once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from oc.auth.oidc.transport import ProviderAnswerError, Transport
from oc.errors import ExternalAuthError

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 3600.0
REFRESH_SECONDS: Final = 30.0
"""Least time between two fetches for unknown keys, so that forged tokens cannot make us hammer the provider."""

MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048

_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *_CURVES)
"""Accepted signatures: public keys only, so neither ``none`` nor an HMAC made with a public key."""


class SigningKeys:
    """The keys at one ``jwks_uri``. Thread-safe. clock: monotonic seconds."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self._url = ""
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._fetched: float | None = None
        self._searched: float | None = None

    def find(self, url: str, algorithm: str, kid: str | None) -> Any:
        """The public key for a token with this header. ``algorithm`` is one of ALGORITHMS.

        Raises ExternalAuthError when there is none, or more than one for a token that names none.
        """
        now = self._clock()
        with self._lock:
            just_fetched = url != self._url or _older(self._fetched, now, FRESH_SECONDS)
            if just_fetched:
                self._fetch(url, now)
            found = self._matching(algorithm, kid)
            if not found and not just_fetched and _older(self._searched, now, REFRESH_SECONDS):
                self._searched = now
                self._fetch(url, now)
                found = self._matching(algorithm, kid)
        if len(found) != 1:
            raise ProviderAnswerError("the identity token is signed with an unknown key")
        return _public_key(found[0], algorithm)

    def _matching(self, algorithm: str, kid: str | None) -> list[Mapping[str, Any]]:
        return [key for key in self._keys if _fits(key, algorithm) and (kid is None or key.get("kid") == kid)]

    def _fetch(self, url: str, now: float) -> None:
        """Replace the keys. While the provider is away the known ones stay; without any, raises ExternalAuthError."""
        known = url == self._url and bool(self._keys)
        self._url, self._fetched = url, now
        try:
            answer = self._transport.get(url)
            keys = answer.document("key set").get("keys") if answer.ok else None
            if not isinstance(keys, list):
                raise ProviderAnswerError("the identity provider's key set cannot be read")
        except ExternalAuthError as error:
            if not known:
                self._keys, self._fetched = (), None
                raise
            logger.error("the key set of an identity provider is not renewed: %s", error)
            return
        self._keys = tuple(key for key in keys[:MAX_KEYS] if isinstance(key, dict))


def _older(then: float | None, now: float, seconds: float) -> bool:
    return then is None or now - then >= seconds


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    if algorithm in _CURVES:
        return key.get("kty") == "EC" and key.get("crv") == _CURVES[algorithm]
    return key.get("kty") == "RSA"


def _public_key(key: Mapping[str, Any], algorithm: str) -> Any:
    public = {name: key[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in key}
    try:
        made = PyJWK(public, algorithm=algorithm).key
    except (PyJWTError, ValueError, TypeError) as error:
        raise ProviderAnswerError("a key of the identity provider cannot be used") from error
    if isinstance(made, RSAPublicKey) and made.key_size < MIN_RSA_BITS:
        raise ProviderAnswerError(f"a key of the identity provider has less than {MIN_RSA_BITS} bits")
    return made
