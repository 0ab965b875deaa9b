"""The cache shared by the replicas: memcached, or an in-process one for a single replica (spec services.md 4).

Nothing here raises because of the cache: it may lose anything at any time, so an operation that cannot be done
answers what an empty cache would answer. Values are text of at most 1 MiB less a margin; times to live are seconds.
"""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from pymemcache.client.base import PooledClient
from pymemcache.exceptions import MemcacheError, MemcacheUnexpectedCloseError

from oc.sockettimes import RECEIVE, SEND, limit_time

logger = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 30.0
MAX_KEY_BYTES: Final = 200  # memcached takes 250; the rest is room for a prefix of the operator's own
MAX_VALUE_BYTES: Final = 1024 * 1024 - 1024
MAX_TTL_SECONDS: Final = 30 * 24 * 3600  # memcached reads anything above as a date
MAX_LOCAL_ENTRIES: Final = 100_000
_STALE_ATTEMPTS: Final = 32

_LEGAL_KEY = re.compile(r"[\x21-\x7e]+")
_HASHED = "hashed."


class CacheAddress(Protocol):
    """Where memcached listens (oc.od.settings has it)."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


class ShareCache(Protocol):
    """What the product asks of a cache. No method raises."""

    @property
    def available(self) -> bool:
        """False while the server is known to be away."""

    def get(self, key: str) -> str | None:
        """The text, or None when it is not there or cannot be read."""

    def set(self, key: str, value: str, ttl: int) -> bool:
        """Store for ``ttl`` seconds (0: no limit); True when stored."""

    def add(self, key: str, value: str, ttl: int) -> bool | None:
        """Store if nothing is there: True stored, False somebody was first, None the cache cannot tell."""

    def delete(self, key: str) -> bool:
        """Remove; True when something was removed."""

    def pop(self, key: str) -> str | None:
        """Read and remove at once: of two readers only one gets the text."""

    def ping(self) -> bool:
        """Ask the server now (at most one timeout); for readiness reports."""

    def close(self) -> None:
        """Close the connections."""


def legal_key(key: str) -> str:
    """``key`` itself where memcached takes it, else a digest of it; distinct keys stay distinct."""
    if len(key) <= MAX_KEY_BYTES and _LEGAL_KEY.fullmatch(key) and not key.startswith(_HASHED):
        return key
    return _HASHED + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _storable(value: str) -> bytes | None:
    """The bytes to store, or None (logged) when the value is too large or no text."""
    try:
        data = value.encode()
    except UnicodeEncodeError:
        logger.warning("a value for the shared cache is not valid text, it is not stored")
        return None
    if len(data) > MAX_VALUE_BYTES:
        logger.warning("a value of %d bytes is too large for the shared cache, it is not stored", len(data))
        return None
    return data


class _Socket(socket.socket):
    """A socket of pymemcache whose time the kernel watches: a round trip is two system calls instead of four."""

    def settimeout(self, value: float | None) -> None:
        """See socket.socket. A call that takes longer raises BlockingIOError."""
        super().settimeout(None)
        for direction in (RECEIVE, SEND):
            limit_time(self, direction, value or TIMEOUT_SECONDS)


class _Sockets:
    """The ``socket`` module for pymemcache, which only tries the first address of a name: IPv4 comes first here.

    memcached listens on 0.0.0.0 unless told otherwise, while ``localhost`` often resolves to ``::1`` first.
    """

    socket = _Socket

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)

    @staticmethod
    def getaddrinfo(*args: Any) -> list[Any]:
        return sorted(socket.getaddrinfo(*args), key=lambda info: info[0] != socket.AF_INET)


class MemcachedCache:
    """memcached. A server that does not answer costs one timeout, then every call fails at once for 30 s.

    After these 30 s a single caller tries again while the others still fail fast. Thread-safe.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retry_after: float = RETRY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = f"{host}:{port}"
        self._retry_after = retry_after
        self._clock = clock
        self._lock = threading.Lock()
        self._down_until: float | None = None
        self._client: Any = PooledClient(
            (host, port), connect_timeout=timeout, timeout=timeout, no_delay=True, socket_module=_Sockets()
        )

    @property
    def available(self) -> bool:
        """False while the server is known to be away."""
        return self._down_until is None

    def get(self, key: str) -> str | None:
        """The text, or None when it is not there or cannot be read."""
        return _text(self._call(None, lambda client: client.get(legal_key(key))))

    def set(self, key: str, value: str, ttl: int) -> bool:
        """Store for ``ttl`` seconds (0: no limit); True when stored."""
        data = _storable(value)
        if data is None or ttl < 0:
            return False
        expire = min(ttl, MAX_TTL_SECONDS)
        return bool(self._call(False, lambda client: client.set(legal_key(key), data, expire=expire, noreply=False)))

    def add(self, key: str, value: str, ttl: int) -> bool | None:
        """Store if nothing is there: True stored, False somebody was first, None the cache cannot tell."""
        data = _storable(value)
        if data is None or ttl < 0:
            return None
        expire = min(ttl, MAX_TTL_SECONDS)
        attempts = 0

        def add(client: Any) -> bool:
            nonlocal attempts
            attempts += 1
            return bool(client.add(legal_key(key), data, expire=expire, noreply=False))

        added = self._call(None, add)
        # A first attempt on a broken connection may have stored it: then "somebody was first" may be ourselves.
        return None if added is False and attempts > 1 else added

    def delete(self, key: str) -> bool:
        """Remove; True when something was removed."""
        return bool(self._call(False, lambda client: client.delete(legal_key(key), noreply=False)))

    def pop(self, key: str) -> str | None:
        """Read and remove at once: of two readers only one gets the text."""
        name = legal_key(key)

        def pop(client: Any) -> bytes | None:
            value, token = client.gets(name)
            if value is None:
                return None
            # A negative time expires the item at once: compare-and-delete in one step.
            return value if client.cas(name, b"", token, expire=-1, noreply=False) else None

        return _text(self._call(None, pop))

    def ping(self) -> bool:
        """Ask the server now (at most one timeout); for readiness reports."""
        return self._call(None, lambda client: client.version()) is not None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(self, default: T, operation: Callable[[Any], T]) -> T:
        if not self._may_try():
            return default
        for _ in range(_STALE_ATTEMPTS):
            try:
                answer = operation(self._client)
            except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, MemcacheUnexpectedCloseError):
                continue  # a pooled connection the server closed, perhaps by a restart: take the next one
            except OSError as error:
                return self._failed(default, error)
            except MemcacheError as error:
                logger.warning("memcached %s refused an operation: %s", self._address, type(error).__name__)
                return default
            self._answered()
            return answer
        return self._failed(default, ConnectionResetError("connections are closed by the server"))

    def _may_try(self) -> bool:
        if self._down_until is None:
            return True
        with self._lock:
            now = self._clock()
            if self._down_until is None:
                return True
            if now < self._down_until:
                return False
            self._down_until = now + self._retry_after  # this caller tries, the others keep failing fast
            return True

    def _failed(self, default: T, error: OSError) -> T:
        with self._lock:
            first = self._down_until is None
            self._down_until = self._clock() + self._retry_after
        level = logging.WARNING if first else logging.DEBUG
        reason = "timed out" if isinstance(error, BlockingIOError) else error
        logger.log(level, "memcached %s is away (%s), next try in %g s", self._address, reason, self._retry_after)
        return default

    def _answered(self) -> None:
        if self._down_until is None:
            return
        with self._lock:
            self._down_until = None
        logger.info("memcached %s answers again", self._address)


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


class LocalCache:
    """The same in this process, for a single replica. Bounded: the oldest entry goes first. Thread-safe.

    clock: monotonic seconds.
    """

    available = True

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_entries: int = MAX_LOCAL_ENTRIES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[str, float | None]] = {}

    def get(self, key: str) -> str | None:
        """The text, or None when it is not there."""
        with self._lock:
            return self._live(legal_key(key))

    def set(self, key: str, value: str, ttl: int) -> bool:
        """Store for ``ttl`` seconds (0: no limit); True when stored."""
        if _storable(value) is None or ttl < 0:
            return False
        with self._lock:
            self._store(legal_key(key), value, ttl)
        return True

    def add(self, key: str, value: str, ttl: int) -> bool | None:
        """Store if nothing is there: True stored, False somebody was first, None refused."""
        if _storable(value) is None or ttl < 0:
            return None
        name = legal_key(key)
        with self._lock:
            if self._live(name) is not None:
                return False
            self._store(name, value, ttl)
        return True

    def delete(self, key: str) -> bool:
        """Remove; True when something was removed."""
        return self.pop(key) is not None

    def pop(self, key: str) -> str | None:
        """Read and remove at once: of two readers only one gets the text."""
        name = legal_key(key)
        with self._lock:
            value = self._live(name)
            self._entries.pop(name, None)
        return value

    def ping(self) -> bool:
        """Always True."""
        return True

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def _live(self, name: str) -> str | None:
        value, expires = self._entries.get(name, (None, None))
        if expires is not None and self._clock() >= expires:
            del self._entries[name]
            return None
        return value

    def _store(self, name: str, value: str, ttl: int) -> None:
        self._entries.pop(name, None)
        if len(self._entries) >= self._max_entries:
            self._make_room()
        self._entries[name] = (value, self._clock() + min(ttl, MAX_TTL_SECONDS) if ttl else None)

    def _make_room(self) -> None:
        now = self._clock()
        for name in [name for name, (_, expires) in self._entries.items() if expires is not None and now >= expires]:
            del self._entries[name]
        if len(self._entries) >= self._max_entries:
            del self._entries[next(iter(self._entries))]


def open_cache(address: CacheAddress) -> ShareCache:
    """The cache of the configuration; connects at the first use. Host ``local`` is the in-process cache."""
    if address.host == "local":
        return LocalCache()
    return MemcachedCache(address.host, address.port)
