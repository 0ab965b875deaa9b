"""The controller policy: address filter, API key, refused methods (http-api.md 2.10)."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from oc.errors import AccessDeniedError
from oc.model.filevalue import path_of, read_value
from oc.od.settings.controllers import ControllerPolicy
from oc.web.address import contains, parse_address

logger = logging.getLogger(__name__)

INVALID_CONFIGURATION = "403.10 - Invalid configuration"
ADDRESS_DENIED = "403.7 - IP address access denied"
EXECUTE_FORBIDDEN = "403.1 - Execute access forbidden"
MAPPER_DENIED = "403.12 - Mapper denied access. Invalid request"
SITE_DENIED = "403.8 - Site access denied"
#: What the console sends while it has no key.
NO_KEY = ("", "null", "undefined")


class KeyThrottle:
    """Stops guessing of API keys: after ``limit`` wrong keys in ``window`` seconds an address is not listened to.

    The answer stays the same 403.1; even the right key is refused until the window has passed.
    """

    def __init__(
        self, limit: int = 10, window: float = 60.0, clock: Callable[[], float] = time.monotonic, most: int = 4096
    ) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        self._most = most
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def is_blocked(self, address: str) -> bool:
        """True while ``address`` has too many recent failures."""
        with self._lock:
            count, since = self._failures.get(address, (0, 0.0))
            return count >= self._limit and self._clock() - since < self._window

    def failed(self, address: str) -> None:
        """Count one wrong key."""
        now = self._clock()
        with self._lock:
            count, since = self._failures.pop(address, (0, now))
            if now - since >= self._window:
                count, since = 0, now
            self._failures[address] = (count + 1, since)
            while len(self._failures) > self._most:
                self._failures.popitem(last=False)


def check_policy(
    policy: ControllerPolicy, segments: tuple[str, ...], address: str, key: str | None, throttle: KeyThrottle
) -> None:
    """Refuse a call that the policy of its controller does not allow. Raises AccessDeniedError.

    segments: of the URL below the controller. key: the ``X-API-Key`` header.
    """
    if not policy.enable:
        raise AccessDeniedError(INVALID_CONFIGURATION)
    if policy.permitip is not None:
        client = parse_address(address)
        if client is None or not contains(policy.permitip, client):
            raise AccessDeniedError(ADDRESS_DENIED)
    if policy.apikey is not None:
        _check_key(policy.apikey, address, key, throttle)
    if not segments:
        raise AccessDeniedError(MAPPER_DENIED)
    if policy.requestsallowed.get(segments[0]) is False:
        raise AccessDeniedError(SITE_DENIED)


def _check_key(keys: Iterable[str], address: str, key: str | None, throttle: KeyThrottle) -> None:
    if throttle.is_blocked(address):
        raise AccessDeniedError(EXECUTE_FORBIDDEN)
    if key is None or not is_one_of(key, keys):
        if key is not None and key not in NO_KEY:
            throttle.failed(address)
        raise AccessDeniedError(EXECUTE_FORBIDDEN)


def is_one_of(given: str, keys: Iterable[str]) -> bool:
    """Compare with every key in constant time; neither length nor position of a match shows in the duration.

    keys: as configured. Each may be ``file:///path``, read here: a key that is exchanged counts at once.
    """
    digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    found = False
    for key in _readable(keys):
        found |= hmac.compare_digest(digest, hashlib.sha256(key.encode()).digest())
    return found


def _readable(keys: Iterable[str]) -> Iterator[str]:
    """The keys themselves; one whose file holds none admits nobody, and is told of."""
    for entry in keys:
        try:
            key = read_value(entry)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no UTF-8 text"
            logger.error("the key in %s cannot be read: %s", path_of(entry), reason)
            continue
        if key:
            yield key
        else:
            logger.error("the key in %s cannot be read: the first line is empty", path_of(entry))
