"""Bounded lanes for long requests, so that they cannot take every worker thread.

The HTTP server gives each request a thread. A lane admits ``size`` requests at once and lets ``queue`` more wait, each
holding its thread; whatever comes on top is refused at once. The server is given ``server.thread_pool`` threads for
requests outside the lanes plus one thread for each place in a lane: those, liveness above all, always find a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from oc.errors import UnavailableError

INSIDE, WAITING = 0, 1
SHORT = "short"
"""The lane of routes that name none but ask who is calling: when what they read hangs, so do they."""


class Lane:
    """At most ``size`` callers inside, at most ``queue`` waiting, each for at most ``patience`` seconds.

    Nobody may have it all: one user gets three quarters of the places inside and seven eighths of all. Who clicks
    more often than that waits, and is refused, while others go on.
    """

    def __init__(self, name: str, size: int, queue: int, patience: float = 60.0, retry_after: int = 5) -> None:
        self.name = name
        self.size = size
        self.queue = queue
        self._patience = patience
        self._retry_after = retry_after
        self._inside = 0
        self._waiting = 0
        self._of_user: dict[str, list[int]] = {}
        self._condition = threading.Condition()

    @property
    def capacity(self) -> int:
        """Threads that this lane can hold."""
        return self.size + self.queue

    @property
    def load(self) -> tuple[int, int]:
        """How many are inside, and how many wait."""
        with self._condition:
            return self._inside, self._waiting

    @contextmanager
    def enter(self, user: str = "") -> Iterator[None]:
        """Hold a place. ``user``: who wants it, empty for nobody in particular.

        Raises UnavailableError (503) when the lane and its queue are full, or patience ends.
        """
        with self._condition:
            counts = self._of_user.setdefault(user, [0, 0]) if user else [0, 0]
            try:
                if not self._is_free(counts, user):
                    self._wait(counts, user)
            except BaseException:
                self._forget(user)
                raise
            self._inside += 1
            counts[INSIDE] += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                counts[INSIDE] -= 1
                self._forget(user)
                # One waiting may be over its share while the next is not.
                self._condition.notify_all()

    def _is_free(self, counts: list[int], user: str) -> bool:
        return self._inside < self.size and (not user or counts[INSIDE] < max(1, self.size * 3 // 4))

    def _wait(self, counts: list[int], user: str) -> None:
        over = bool(user) and sum(counts) >= max(1, self.capacity * 7 // 8)
        if self._waiting >= self.queue or over:
            raise self._full()
        self._waiting += 1
        counts[WAITING] += 1
        try:
            if not self._condition.wait_for(lambda: self._is_free(counts, user), self._patience):
                raise self._full()
        finally:
            self._waiting -= 1
            counts[WAITING] -= 1

    def _forget(self, user: str) -> None:
        if user and not any(self._of_user[user]):
            del self._of_user[user]

    def _full(self) -> UnavailableError:
        return UnavailableError("the service is busy, please try again", retry_after=self._retry_after)


LaunchLane = Lane


def default_lanes(thread_pool: int) -> Mapping[str, Lane]:
    """The lanes of the API, sized from ``server.thread_pool`` (the threads kept for short requests).

    launch: desktops and applications, which block for minutes while the cluster works: 4 x running, 4 x waiting.
    login: directories and authorization servers, which may block for seconds. work: operators' long requests.
    short: everything else of users and operators, short as long as database and cluster answer.
    """
    short = max(1, thread_pool)
    lanes = (
        Lane("launch", 4 * short, 4 * short),
        Lane("login", 2 * short, 2 * short, patience=20.0),
        Lane("work", short, short),
        Lane(SHORT, 4 * short, 4 * short, patience=5.0),
    )
    return MappingProxyType({lane.name: lane for lane in lanes})


def pool_size(thread_pool: int, lanes: Mapping[str, Lane]) -> int:
    """Threads the HTTP server needs: those for short requests, and one for each place in a lane."""
    return max(1, thread_pool) + sum(lane.capacity for lane in lanes.values())
