"""One point in time that travels down an operation, so that its steps share one budget."""

from __future__ import annotations

import time
from collections.abc import Callable

from oc.errors import DeadlineExceededError


class Deadline:
    """A monotonic point in time. ``seconds`` from now; ``clock`` returns monotonic seconds (a test gives its own)."""

    __slots__ = ("_at", "_clock")

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - self._clock())

    @property
    def expired(self) -> bool:
        """True when no time is left."""
        return self._clock() >= self._at

    def cap(self, seconds: float) -> float:
        """Time-out for one step: ``seconds``, or what is left if that is less.

        Raises DeadlineExceededError when nothing is left.
        """
        left = self.remaining()
        if left <= 0:
            raise DeadlineExceededError
        return min(seconds, left)

    def sub(self, seconds: float) -> Deadline:
        """A deadline ``seconds`` from now, but never later than this one."""
        return Deadline(min(seconds, self.remaining()), self._clock)
