"""The output of one container: bounded, by line, with times."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

from devstack.cluster.runtime import LogOptions, RuntimeRefusedError

MAX_LINE_BYTES = 16 * 1024
NANOSECONDS = 1_000_000_000


class LogBuffer:
    """Lines of stdout and stderr in the order they came; the oldest go when `limit` bytes are passed."""

    def __init__(self, limit: int, clock: Callable[[], int] = time.time_ns) -> None:
        self.limit = limit
        self._clock = clock
        self._lines: deque[tuple[int, bytes]] = deque()
        self._size = 0
        self._dropped = 0
        self._partial: dict[str, bytes] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self.closed = False

    def write(self, stream: str, data: bytes) -> None:
        """Add output; a line is stored when it is complete (or too long)."""
        *lines, rest = (self._partial.get(stream, b"") + data).split(b"\n")
        for line in lines:
            self._append(line + b"\n")
        while len(rest) >= MAX_LINE_BYTES:
            self._append(rest[:MAX_LINE_BYTES] + b"\n")
            rest = rest[MAX_LINE_BYTES:]
        self._partial[stream] = rest
        if lines:
            self._wake()

    def close(self) -> None:
        """No more output comes: what is left of the last lines is stored, followers end."""
        for rest in self._partial.values():
            if rest:
                self._append(rest)
        self._partial.clear()
        self.closed = True
        self._wake()

    def _append(self, line: bytes) -> None:
        self._lines.append((self._clock(), line))
        self._size += len(line)
        while self._size > self.limit and len(self._lines) > 1:
            self._size -= len(self._lines.popleft()[1])
            self._dropped += 1

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _selected(self, options: LogOptions) -> list[tuple[int, bytes]]:
        lines: Iterable[tuple[int, bytes]] = self._lines
        since = _since(options, self._clock())
        if since:
            lines = [line for line in lines if line[0] >= since]
        if options.tail_lines is not None:
            tail = options.tail_lines
            lines = list(lines)[-tail:] if tail else []
        return list(lines)

    async def read(self, options: LogOptions) -> AsyncIterator[bytes]:
        """The text a log request gets; with `follow` until the container ends."""
        remaining = options.limit_bytes
        position = self._dropped + len(self._lines)
        chunk = self._selected(options)
        while True:
            text = b"".join(_render(line, options.timestamps) for line in chunk)
            if remaining is not None:
                text = text[:remaining]
                remaining -= len(text)
            if text:
                yield text
            if remaining == 0 or not options.follow:
                return
            while position >= self._dropped + len(self._lines):
                if self.closed:
                    return
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.add(waiter)
                try:
                    await waiter
                finally:
                    self._waiters.discard(waiter)
            start = max(0, position - self._dropped)
            chunk = list(self._lines)[start:]
            position = self._dropped + len(self._lines)


def _since(options: LogOptions, now: int) -> int:
    """The earliest moment wanted, in nanoseconds since the epoch; 0: all."""
    if options.since_seconds is not None:
        return now - options.since_seconds * NANOSECONDS
    if options.since_time:
        try:
            moment = datetime.datetime.fromisoformat(options.since_time.replace("Z", "+00:00"))
        except ValueError as error:
            raise RuntimeRefusedError(f"invalid sinceTime: {options.since_time[:64]!r}") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return int(moment.timestamp() * NANOSECONDS)
    return 0


def _render(line: tuple[int, bytes], timestamps: bool) -> bytes:
    if not timestamps:
        return line[1]
    seconds, nanoseconds = divmod(line[0], NANOSECONDS)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z ".encode() + line[1]
