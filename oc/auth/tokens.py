"""The two tokens: the user token this service issues and reads, the desktop token the router reads.

Formats: spec auth.md 3.1 and 3.2; RFC 7515 (JWS), RFC 7519 (JWT), RFC 8017 7.2 (RSAES-PKCS1-v1_5).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt import PyJWS
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidSignatureError, InvalidTokenError

from oc.auth.keys import KeyFileError, check_pair, load_private_key, load_public_key
from oc.auth.labels import is_user_label
from oc.errors import AuthenticationError, ODError
from oc.model.identity import Identity

logger = logging.getLogger(__name__)

ALGORITHM: Final = "RS256"
MAX_TOKEN: Final = 8192
"""Longest user token looked at, in characters: the router's header buffer is 8 KiB."""

MAX_CLAIMS: Final = 4608
"""Largest claims document issued, in bytes; with base64, header and a 4096-bit signature it stays below MAX_TOKEN."""

MAX_NAME: Final = 256
MAX_KNOWN: Final = 2048
"""Tokens whose signature is not verified again: those of as many users, 2 kB each."""

PKCS1_V15_OVERHEAD: Final = 11
"""Bytes RSAES-PKCS1-v1_5 needs around the plain text (RFC 8017 7.2.1)."""


class TokenInvalidError(AuthenticationError):
    """Not a token of ours: garbage, a foreign signature, another algorithm, claims missing. Counts for fail2ban."""

    default_message = "user is not authenticated"


class TokenExpiredError(AuthenticationError):
    """Signed by us but outside its time, beyond the leeway. Routine after sleep: never counts for fail2ban."""

    default_message = "user is not authenticated"


class UserTokenSettings(Protocol):
    """What UserTokens reads of the configuration key ``jwt_token_user``. ``exp`` and ``leeway`` are seconds."""

    @property
    def exp(self) -> int: ...
    @property
    def leeway(self) -> int: ...
    @property
    def private_key_file(self) -> str | Path: ...
    @property
    def public_key_file(self) -> str | Path: ...
    @property
    def public_key_file_previous(self) -> str | Path | None: ...


class DesktopTokenSettings(Protocol):
    """What DesktopTokens reads of the configuration key ``jwt_token_desktop``. ``exp`` is in seconds."""

    @property
    def exp(self) -> int: ...
    @property
    def private_key_file(self) -> str | Path: ...
    @property
    def public_key_file(self) -> str | Path: ...
    @property
    def payload_public_key_file(self) -> str | Path: ...


class _AuthData(msgspec.Struct):
    domain: str | None = None
    labels: dict[str, str] = {}


class _Auth(msgspec.Struct):
    provider: str
    providertype: str
    data: _AuthData | None = None


class _User(msgspec.Struct):
    name: str | None = None
    userid: str | None = None


class _UserClaims(msgspec.Struct):
    """All five claims are required; others are ignored."""

    exp: float
    nbf: float
    auth: _Auth
    user: _User
    roles: dict[str, Any]


class _AnyLengthRSA(RSAAlgorithm):
    """RS256 that does not warn on every call about a short key: the key loader did, once."""

    def check_key_length(self, key: Any) -> str | None:
        return None


def _rs256() -> PyJWS:
    jws = PyJWS(algorithms=[ALGORITHM])
    jws.unregister_algorithm(ALGORITHM)
    jws.register_algorithm(ALGORITHM, _AnyLengthRSA(RSAAlgorithm.SHA256))
    return jws


@dataclass(frozen=True, slots=True)
class _KnownToken:
    """What is left to check of a token whose signature is ours: its time."""

    nbf: float
    exp: float
    identity: Identity


class _KnownTokens:
    """Tokens that were read lately, by their digest: pages poll with the same one. Thread-safe.

    A token that was ours once is ours as long as the keys are: they belong to the same object as this.
    """

    def __init__(self) -> None:
        self._tokens: dict[bytes, _KnownToken] = {}
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> _KnownToken | None:
        return self._tokens.get(digest)

    def add(self, digest: bytes, token: _KnownToken) -> None:
        """Remember; the oldest makes room."""
        if digest in self._tokens:
            return
        with self._lock:
            if len(self._tokens) >= MAX_KNOWN:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[digest] = token

    def forget(self, digest: bytes) -> None:
        with self._lock:
            self._tokens.pop(digest, None)


class UserTokens:
    """Issues and reads user tokens. Thread-safe; parses its keys once. The constructor raises KeyFileError.

    ``clock`` returns seconds since the epoch.
    """

    def __init__(self, settings: UserTokenSettings, clock: Callable[[], float] = time.time) -> None:
        purpose = "jwt_token_user"
        self.expire_in: int = settings.exp
        self._leeway = settings.leeway
        self._clock = clock
        self._jws = _rs256()
        self._private: RSAPrivateKey = load_private_key(settings.private_key_file, purpose)
        public = load_public_key(settings.public_key_file, purpose)
        check_pair(self._private, public, purpose)
        self._public: tuple[RSAPublicKey, ...] = (public,)
        if settings.public_key_file_previous:
            self._public += (load_public_key(settings.public_key_file_previous, purpose),)
        self._known = _KnownTokens()

    def derived_secret(self, purpose: str) -> bytes:
        """32 secret bytes for another purpose: the same in every replica, because the key is."""
        encoded = self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return hmac.digest(encoded, purpose.encode(), "sha256")

    def issue(self, identity: Identity) -> str:
        """A new token for ``identity``, valid from now for ``expire_in`` seconds.

        Labels that are not valid Kubernetes labels are left out, and so are the last roles when the token would
        outgrow the router's header buffer. Raises ODError when it is too large even without roles.
        """
        now = int(self._clock())
        roles = dict.fromkeys(identity.roles)
        payload = self._payload(identity, roles, now)
        if len(payload) > MAX_CLAIMS:
            kept = _roles_that_fit(roles, MAX_CLAIMS - len(self._payload(identity, {}, now)))
            logger.warning("the token keeps %d of %d roles: it would be too large", len(kept), len(roles))
            payload = self._payload(identity, kept, now)
        if len(payload) > MAX_CLAIMS:
            raise ODError("the user token is too large", doing="issue a user token")
        return self._jws.encode(payload, self._private, algorithm=ALGORITHM)

    def _payload(self, identity: Identity, roles: Mapping[str, None], now: int) -> bytes:
        data: dict[str, Any] = {} if identity.domain is None else {"domain": identity.domain}
        data["labels"] = {key: value for key, value in identity.labels.items() if is_user_label(key, value)}
        claims = {
            "exp": now + self.expire_in,
            "nbf": now,
            "auth": {"provider": identity.provider, "providertype": identity.providertype, "data": data},
            "user": {"name": identity.name[:MAX_NAME], "userid": identity.userid},
            "roles": roles,
        }
        return msgspec.json.encode(claims)

    def decode(self, token: str) -> Identity:
        """Who ``token`` says. ``userid`` may be empty (authenticated but not identified), the rest is checked.

        Raises TokenExpiredError (ours, but outside its time) or TokenInvalidError (anything else).
        """
        if not isinstance(token, str) or not token.isascii() or len(token) > MAX_TOKEN:
            raise TokenInvalidError(doing="read a user token")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest) or self._read(token)
        now = self._clock()
        if not known.nbf - self._leeway <= now < known.exp + self._leeway:
            self._known.forget(digest)
            raise TokenExpiredError(doing="read a user token: outside its time")
        if not known.identity.provider or not known.identity.providertype:
            raise TokenInvalidError(doing="read a user token: no provider")
        self._known.add(digest, known)
        return known.identity

    def _read(self, token: str) -> _KnownToken:
        """What a token says that we signed. Raises TokenInvalidError for any other."""
        try:
            claims = msgspec.json.decode(self._verified(token), type=_UserClaims)
        except (msgspec.MsgspecError, InvalidTokenError, RecursionError) as error:
            raise TokenInvalidError(doing=f"read a user token: {type(error).__name__}") from error
        data = claims.auth.data or _AuthData()
        labels = {key: value for key, value in data.labels.items() if is_user_label(key, value)}
        identity = Identity(
            provider=claims.auth.provider,
            providertype=claims.auth.providertype,
            userid=claims.user.userid or "",
            name=claims.user.name or "",
            labels=MappingProxyType(labels),
            roles=tuple(claims.roles),
            domain=data.domain,
        )
        return _KnownToken(claims.nbf, claims.exp, identity)

    def _verified(self, token: str) -> bytes:
        """The payload of a correctly signed token. Raises InvalidTokenError."""
        for key in self._public[:-1]:
            try:
                return self._checked(token, key)
            except InvalidSignatureError:
                continue  # the previous key is tried
        return self._checked(token, self._public[-1])

    def _checked(self, token: str, key: RSAPublicKey) -> bytes:
        payload = self._jws.decode(token, key, algorithms=[ALGORITHM])
        if not isinstance(payload, bytes):  # the library's signature says Any
            raise InvalidTokenError
        return payload


def _roles_that_fit(roles: Mapping[str, None], budget: int) -> dict[str, None]:
    """The first roles whose JSON members take at most ``budget`` bytes."""
    kept: dict[str, None] = {}
    for role in roles:
        budget -= len(msgspec.json.encode(role)) + len(":null,")
        if budget < 0:
            break
        kept[role] = None
    return kept


class DesktopTokens:
    """Issues desktop tokens for the router. Thread-safe; parses its keys once. The constructor raises KeyFileError.

    ``clock`` returns seconds since the epoch.
    """

    def __init__(self, settings: DesktopTokenSettings, clock: Callable[[], float] = time.time) -> None:
        purpose = "jwt_token_desktop"
        self.expire_in: int = settings.exp
        self._clock = clock
        self._jws = _rs256()
        self._private: RSAPrivateKey = load_private_key(settings.private_key_file, purpose)
        check_pair(self._private, load_public_key(settings.public_key_file, purpose), purpose)
        self._payload_key: RSAPublicKey = load_public_key(settings.payload_public_key_file, f"{purpose} payload")
        self._room = self._payload_key.key_size // 8 - PKCS1_V15_OVERHEAD
        if self._room < 1:
            raise KeyFileError(f"{purpose}: the payload key is too short to hold anything")

    def issue(self, target: str) -> str:
        """A token that routes to ``target``, a host name or address; IPv6 addresses are put in brackets.

        Raises ODError (500) when ``target`` is no host or does not fit the payload key: it is never cut.
        """
        now = int(self._clock())
        plain = _target(target)
        if len(plain) > self._room:
            raise ODError(
                f"the desktop address has {len(plain)} characters, the payload key holds {self._room} at most",
                doing="issue a desktop token",
            )
        secret = base64.b64encode(self._payload_key.encrypt(plain, PKCS1v15())).decode()
        # "nfb" is what readers of this format know: a real nbf would be enforced by the router without leeway
        claims = {"key": 0, "nfb": now, "hash": secret, "exp": now + self.expire_in}
        return self._jws.encode(msgspec.json.encode(claims), self._private, algorithm=ALGORITHM)


def _target(target: str) -> bytes:
    try:
        if ipaddress.ip_address(target).version == 6:
            target = f"[{target}]"
    except ValueError:
        pass  # a host name
    if not target or not target.isascii() or not target.isprintable() or " " in target or "/" in target:
        raise ODError("the desktop has no valid address", doing="issue a desktop token")
    return target.encode("ascii")
