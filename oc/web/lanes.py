"""Bounded lanes for long requests, so that they cannot take every worker thread.

The HTTP server gives each request a thread. A lane admits ``size`` requests at once and lets ``queue`` more wait, each
holding its thread; whatever comes on top is refused at once. The server is given ``server.thread_pool`` threads for
requests outside the lanes plus one thread for each place in a lane: those, liveness above all, always find a thread.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from oc.errors import UnavailableError

INSIDE, WAITING = 0, 1
TELL_SECONDS = 1.0
LAUNCH = "launch"
SHORT = "short"
"""The lane of routes that name none but ask who is calling: when what they read hangs, so do they."""


@dataclass(eq=False, slots=True)
class _Caller:
    """Who wants a place: how many of them are inside and wait, and whether that counts. turn: to be told to enter."""

    counts: list[int]
    named: bool
    turn: threading.Condition


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
        self._line: list[_Caller] = []
        self._of_user: dict[str, list[int]] = {}
        self._lock = threading.RLock()

    @property
    def capacity(self) -> int:
        """Threads that this lane can hold."""
        return self.size + self.queue

    @property
    def load(self) -> tuple[int, int]:
        """How many are inside, and how many wait."""
        with self._lock:
            return self._inside, len(self._line)

    @contextmanager
    def enter(self, user: str = "", told: Callable[[int], None] | None = None) -> Iterator[None]:
        """Hold a place. ``user``: who wants it, empty for nobody in particular. First come, first served, but for
        users who have their share.

        told: called with the place in the queue, 1 for the next, while waiting, when it changes, at most once a
        second. Raises UnavailableError (503) when the lane and its queue are full, or patience ends.
        """
        with self._lock:
            counts = self._of_user.setdefault(user, [0, 0]) if user else [0, 0]
            me = _Caller(counts, bool(user), threading.Condition(self._lock))
            try:
                if not self._may_enter(me):
                    self._wait(me, told)
            except BaseException:
                self._forget(user)
                self._call_next()
                raise
            self._inside += 1
            counts[INSIDE] += 1
            self._call_next()
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                counts[INSIDE] -= 1
                self._forget(user)
                self._call_next()

    def _may_enter(self, me: _Caller) -> bool:
        if self._inside >= self.size or self._has_share(me):
            return False
        earlier = itertools.takewhile(lambda one: one is not me, self._line)
        return all(self._has_share(one) for one in earlier)

    def _call_next(self) -> None:
        """Wake the one who may enter now, nobody else: it calls the next one when it has entered, or given up."""
        for one in self._line:
            if self._may_enter(one):
                one.turn.notify()
                return

    def _has_share(self, one: _Caller) -> bool:
        return one.named and one.counts[INSIDE] >= max(1, self.size * 3 // 4)

    def _wait(self, me: _Caller, told: Callable[[int], None] | None) -> None:
        over = me.named and sum(me.counts) >= max(1, self.capacity * 7 // 8)
        # Not by the line alone: who is in it may have a place already, and only not run yet.
        if self._inside + len(self._line) >= self.capacity or over:
            raise self._full()
        self._line.append(me)
        me.counts[WAITING] += 1
        end = time.monotonic() + self._patience
        shown = 0
        try:
            while not self._may_enter(me):
                place = self._line.index(me) + 1
                if told is not None and place != shown:
                    shown = place
                    self._tell(told, place)
                    continue  # much may have happened meanwhile
                left = end - time.monotonic()
                if left <= 0:
                    raise self._full()
                if told is None:
                    me.turn.wait(left)
                else:
                    me.turn.wait_for(lambda: self._may_enter(me), min(left, TELL_SECONDS))
        finally:
            self._line.remove(me)
            me.counts[WAITING] -= 1

    def _tell(self, told: Callable[[int], None], place: int) -> None:
        """Telling takes a round trip: not while others wait for the lock."""
        self._lock.release()
        try:
            told(place)
        finally:
            self._lock.acquire()

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
        Lane(LAUNCH, 4 * short, 4 * short),
        Lane("login", 2 * short, 2 * short, patience=20.0),
        Lane("work", short, short),
        Lane(SHORT, 4 * short, 4 * short, patience=5.0),
    )
    return MappingProxyType({lane.name: lane for lane in lanes})


def pool_size(thread_pool: int, lanes: Mapping[str, Lane]) -> int:
    """Threads the HTTP server needs: those for short requests, and one for each place in a lane."""
    return max(1, thread_pool) + sum(lane.capacity for lane in lanes.values())
