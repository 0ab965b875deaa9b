"""Public keys of users who came with a client certificate, for a SSH bastion (spec auth.md 2.11, services.md 9.2).

They are in the shared cache, so that every replica answers the same. The cache cannot list its keys: each user belongs
to one of a few buckets, which hold the lines of several users.
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)

BUCKETS: Final = 16
KEEP_SECONDS: Final = 30 * 24 * 3600
"""Since the last certificate login of the bucket's users; the longest relative time memcached knows."""

LOCK_SECONDS: Final = 5
LOCK_ROUNDS: Final = 40
LOCK_PAUSE: Final = 0.05
MAX_LINE: Final = 8192
MAX_BUCKET: Final = 900_000
"""memcached refuses values of more than 1 MiB."""


class AuthorizedKeys:
    """One line a user, the last certificate wins. Thread-safe. Nothing here raises: a login never fails over it.

    defaults: the lines of the configuration key ``authorized_keys``.
    """

    def __init__(
        self,
        cache: ShareCache,
        defaults: Mapping[str, str] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cache = cache
        self._defaults = dict(defaults or {})
        self._pause = pause

    def add_key(self, userid: str, line: str) -> bool:
        """Keep the line of a user; False when it cannot be kept."""
        if not line or len(line) > MAX_LINE or not line.isascii() or not line.isprintable():
            return False
        return self._change(userid, lambda lines: {**lines, userid: line})

    def remove_key(self, userid: str) -> bool:
        """Forget the line of a user; that of the configuration stays."""
        return self._change(userid, lambda lines: {name: line for name, line in lines.items() if name != userid})

    def get_key(self, userid: str) -> str | None:
        """The line of a user, None when there is none."""
        return self._bucket(_bucket_of(userid)).get(userid) or self._defaults.get(userid)

    def clear_keys(self) -> None:
        """Back to the lines of the configuration."""
        for number in range(BUCKETS):
            self._cache.delete(_name(number))

    def as_dict(self) -> dict[str, str]:
        """User -> line."""
        lines = dict(self._defaults)
        for number in range(BUCKETS):
            lines |= self._bucket(number)
        return lines

    def lines(self) -> list[str]:
        """Every line once."""
        return list(dict.fromkeys(self.as_dict().values()))

    def _change(self, userid: str, change: Callable[[dict[str, str]], dict[str, str]]) -> bool:
        """Read, change and write one bucket; a lock in the cache keeps replicas from undoing each other's change."""
        number = _bucket_of(userid)
        lock = f"{_name(number)}:lock"
        locked = self._lock(lock)
        try:
            before = self._bucket(number)
            after = change(dict(before))
            if after == before:
                return True
            text = json.dumps(after)
            while len(text) > MAX_BUCKET:  # the oldest go: a changed line moves to the end only when it is new
                after.pop(next(iter(after)))
                text = json.dumps(after)
            return self._cache.set(_name(number), text, KEEP_SECONDS)
        finally:
            if locked:
                self._cache.delete(lock)

    def _lock(self, lock: str) -> bool:
        for _ in range(LOCK_ROUNDS):
            taken = self._cache.add(lock, "1", LOCK_SECONDS)
            if taken is not False:
                return taken is True
            self._pause(LOCK_PAUSE)
        logger.warning("authorized keys: another replica holds the lock for too long, going on without")
        return False

    def _bucket(self, number: int) -> dict[str, str]:
        try:
            document = json.loads(self._cache.get(_name(number)) or "{}")
        except ValueError:
            return {}
        if not isinstance(document, dict):
            return {}
        return {name: line for name, line in document.items() if isinstance(line, str)}


def _bucket_of(userid: str) -> int:
    return zlib.crc32(userid.encode("utf-8", "surrogatepass")) % BUCKETS


def _name(number: int) -> str:
    return f"authorizedkeys:{number}"
