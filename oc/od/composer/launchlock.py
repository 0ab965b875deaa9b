"""One launch at a time for a user: spares work, decides nothing (the API server is the arbiter)."""

from __future__ import annotations

import contextlib
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator

from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
KEY_SECONDS = 5.0
"""Longest wait for the key of another replica. A launch that lives has its pod, which ends the wait, sooner; the key of
a replica that died stands for minutes, and nothing depends on it.
"""


class LaunchLock:
    """A lock per user: threads of this process wait on each other, replicas on a key of the shared cache.

    With the cache away, or its holder dead until the key expires, a launch goes on without the key: the orchestrator
    still gives exactly one desktop.
    """

    def __init__(
        self, cache: ShareCache, sleep: Callable[[float], None] = time.sleep, *, family: str = "launch"
    ) -> None:
        """family: locks of another family do not wait on each other."""
        self._family = family
        self._cache = cache
        self._sleep = sleep
        self._guard = threading.Lock()
        self._locals: dict[str, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def hold(self, identity: Identity, deadline: Deadline, progressed: Callable[[], bool]) -> Iterator[None]:
        """Hold the user's lock inside the ``with``.

        progressed: asked while another replica holds the key; True (its desktop is there to be joined) ends the wait.
        Raises DeadlineExceededError when another thread of this process holds the lock until the deadline.
        """
        key = f"{self._family}:{identity.provider}:{identity.userid}"
        with self._thread_lock(key, deadline):
            token = secrets.token_hex(8)
            mine = self._acquire(key, token, deadline, progressed)
            try:
                yield
            finally:
                if mine and self._cache.get(key) == token:
                    self._cache.delete(key)

    def _acquire(self, key: str, token: str, deadline: Deadline, progressed: Callable[[], bool]) -> bool:
        ttl = int(deadline.remaining()) + 60
        patience = deadline.sub(min(KEY_SECONDS, deadline.remaining() / 4))
        while True:
            added = self._cache.add(key, token, ttl)
            if added is None:
                return False
            if added:
                return True
            if progressed() or patience.expired:
                logger.info("another replica is launching this user's desktop, or died doing it: going on")
                return False
            self._sleep(min(_POLL_SECONDS * (0.5 + random.random()), max(patience.remaining(), 0.01)))

    @contextlib.contextmanager
    def _thread_lock(self, key: str, deadline: Deadline) -> Iterator[None]:
        with self._guard:
            lock, users = self._locals.get(key, (threading.Lock(), 0))
            self._locals[key] = (lock, users + 1)
        try:
            if not lock.acquire(timeout=deadline.remaining()):
                deadline.cap(0)  # raises: no time is left
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                lock, users = self._locals[key]
                if users == 1:
                    del self._locals[key]
                else:
                    self._locals[key] = (lock, users - 1)
