"""State, PKCE verifier and nonce of a login, bound to the browser that started it (RFC 9700 4.7, RFC 7636).

Nothing is kept on the server. The login page gets a cookie with a random secret, signed by us. Each login link carries
a signed ``state``; verifier and nonce are derived from our key, the cookie's secret and the state's id, so that only
this service can name them, and only for this browser. All replicas share the key.

Some front ends put their own base64 JSON object in place of our state. Where the configuration allows that
(``replaceable``), the id in the state is a function of cookie and provider: one login per cookie and provider.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from oc.errors import ExternalAuthError

COOKIE: Final = "abcdesktop_oauth"
LIFETIME_SECONDS: Final = 600
MAX_STATE: Final = 4096
MAX_COOKIES: Final = 4
"""Cookies of our name that are looked at: a neighbouring host of the domain may have set one too."""

MAX_USED: Final = 100_000
_SECRET_BYTES: Final = 32


class StateError(ExternalAuthError):
    """The answer does not belong to a login that this browser started here, or it comes too late."""

    default_message = "this login was not started in this browser or took too long, please try again"


class UsedStateError(ExternalAuthError):
    """The answer was already used."""

    default_message = "this login was already used, please try again"


class UsedStore(Protocol):
    """The part of the shared cache that remembers used states."""

    def add(self, key: str, value: str, ttl: int) -> bool | None: ...


class _Payload(msgspec.Struct, frozen=True):
    """What a state says. p: provider, j: id of the login, e: end of its life (seconds since the epoch)."""

    p: str
    j: str
    e: int


class _Cookie(msgspec.Struct, frozen=True):
    """What the cookie says. s: the browser's secret, e: end of its life."""

    s: str
    e: int


@dataclass(frozen=True, slots=True)
class Start:
    """What a login link needs."""

    state: str
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)

    @property
    def challenge(self) -> str:
        """``code_challenge`` for the method S256."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())


@dataclass(frozen=True, slots=True)
class Return:
    """A login that came back. features: what the front end put in place of the state, None when it left it alone."""

    login: str
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    features: Any = None


class LoginFlow:
    """Starts and checks logins. Thread-safe.

    key: secret bytes, the same in all replicas. used: gives the shared cache, or None. clock: seconds since the epoch.
    """

    def __init__(
        self,
        key: bytes,
        used: Callable[[], UsedStore | None] = lambda: None,
        *,
        replaceable: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = hashlib.sha256(b"external login\0" + key).digest()
        self._used = used
        self._replaceable = replaceable
        self._clock = clock
        self._own = _OwnMemory(clock)

    def browser(self, cookies: Iterable[str]) -> str:
        """The secret of the browser that sent these cookies, a new one when none of them is ours and alive."""
        return next(self._secrets(cookies), "") or _text(secrets.token_bytes(_SECRET_BYTES))

    def cookie(self, browser: str) -> str:
        """The value of the cookie for a browser's secret."""
        return self._signed("cookie", "", _Cookie(browser, int(self._clock()) + LIFETIME_SECONDS))

    def start(self, provider: str, browser: str) -> Start:
        """A new login with ``provider``."""
        login = self._fixed_login(provider, browser) if self._replaceable else _text(secrets.token_bytes(16))
        payload = _Payload(provider, login, int(self._clock()) + LIFETIME_SECONDS)
        verifier, nonce = self._derived(provider, login, browser)
        return Start(self._signed("state", browser, payload), verifier, nonce)

    def finish(self, provider: str, state: str, cookies: Iterable[str]) -> Return:
        """Check an answer that came to ``provider``'s address. It is not used up yet: see ``use``.

        Raises StateError.
        """
        for browser in self._secrets(cookies):
            payload = self._read("state", browser, state, _Payload)
            if payload is not None and payload.p == provider and self._clock() < payload.e:
                return self._back(provider, payload.j, browser, None)
        features = _json_object(state) if self._replaceable else None
        browser = next(self._secrets(cookies), "")
        if features is None or not browser:
            raise StateError(doing=f"check the state of a login with {provider}")
        return self._back(provider, self._fixed_login(provider, browser), browser, features)

    def use(self, login: str) -> None:
        """Take a login's id out of use, in all replicas while the shared cache is there. Raises UsedStateError."""
        store = self._used()
        shared = store.add(f"oauth.login.{login}", "used", 2 * LIFETIME_SECONDS) if store is not None else None
        if not self._own.add(login) or shared is False:
            raise UsedStateError(doing="check the state of a login")

    def _back(self, provider: str, login: str, browser: str, features: Any) -> Return:
        verifier, nonce = self._derived(provider, login, browser)
        return Return(login, verifier, nonce, features)

    def _secrets(self, cookies: Iterable[str]) -> Iterator[str]:
        for value in list(cookies)[:MAX_COOKIES]:
            cookie = self._read("cookie", "", value, _Cookie)
            if cookie is not None and self._clock() < cookie.e:
                yield cookie.s

    def _fixed_login(self, provider: str, browser: str) -> str:
        return _text(self._mac("login", browser, provider)[:16])

    def _derived(self, provider: str, login: str, browser: str) -> tuple[str, str]:
        verifier, nonce = (_text(self._mac(purpose, browser, provider, login)) for purpose in ("verifier", "nonce"))
        return verifier, nonce

    def _mac(self, *parts: str) -> bytes:
        return hmac.digest(self._key, msgspec.json.encode(parts), "sha256")

    def _signed(self, purpose: str, browser: str, payload: msgspec.Struct) -> str:
        body = _text(msgspec.json.encode(payload))
        return f"{body}.{_text(self._mac(purpose, browser, body))}"

    def _read(self, purpose: str, browser: str, signed: str, kind: type[Any]) -> Any:
        """The payload of a value that we signed for ``purpose``, else None."""
        body, dot, mac = signed.partition(".")
        if not dot or len(signed) > MAX_STATE:
            return None
        if not hmac.compare_digest(mac.encode("utf-8", "replace"), _text(self._mac(purpose, browser, body)).encode()):
            return None
        return msgspec.json.decode(_bytes(body), type=kind)


class _OwnMemory:
    """Logins used in this process: refuses replays while the shared cache is away. Bounded, the oldest goes first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}

    def add(self, login: str) -> bool:
        """False when it was there."""
        now = self._clock()
        with self._lock:
            while self._ends and (len(self._ends) >= MAX_USED or next(iter(self._ends.values())) <= now):
                del self._ends[next(iter(self._ends))]
            if login in self._ends:
                return False
            self._ends[login] = now + 2 * LIFETIME_SECONDS
            return True


def cookie_values(header: str, name: str = COOKIE) -> list[str]:
    """The values of the cookies called ``name`` in a ``Cookie`` header (RFC 6265 4.2)."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value.strip().strip('"') for key, _, value in pairs if key == name]


def _json_object(state: str) -> dict[str, Any] | None:
    """The object in base64 JSON text of either alphabet, else None."""
    if not state or len(state) > MAX_STATE:
        return None
    try:
        value = msgspec.json.decode(_bytes(state.rstrip("=").replace("+", "-").replace("/", "_").replace(" ", "-")))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii", "replace") + b"=" * (-len(text) % 4))
