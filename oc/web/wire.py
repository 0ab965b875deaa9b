"""The bytes of one connection. Nobody waits for a client but where it says so, and then for a bounded time.

A client that sends a byte every few seconds, or takes its answer so, must not keep a thread: its connection rests in
oc.web.parking until there is something to do.
"""

from __future__ import annotations

import math
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from oc.sockettimes import RECEIVE, limit_time

HEAD_SECONDS: Final = 20.0
"""For a request line and its headers."""

HASTY_SECONDS: Final = 2.0
"""For what a thread waits for while many of them do."""

BODY_SECONDS: Final = 30.0
BODY_BYTES_A_SECOND: Final = 64 * 1024
"""A body of n bytes may take BODY_SECONDS + n / BODY_BYTES_A_SECOND."""

ANSWER_SECONDS: Final = 60.0

FOLLOWING_SECONDS: Final = 0.01
"""How long a thread waits for more on a connection before it looks for other work."""

PIECE: Final = 16 * 1024
LARGE_PIECE: Final = 128 * 1024


class BusyError(OSError):
    """Too many threads wait for clients already."""


class Waiting:
    """How many worker threads wait for bytes of clients, and how much patience that leaves. Thread-safe."""

    def __init__(self, threads: int, clock: Callable[[], float] = time.monotonic) -> None:
        """threads: of the server; a quarter of them may wait patiently, another one hastily, never all."""
        self.clock = clock
        self._patient = max(1, threads // 4)
        self._hasty = max(1, min(2 * self._patient, threads - 1))
        self._waiting = 0
        self._lock = threading.Lock()

    def enter(self) -> float:
        """Begin to wait; for how many seconds at most. Raises BusyError, and nothing has begun, for none."""
        with self._lock:
            if self._waiting >= self._hasty:
                raise BusyError("too many clients are waited for")
            self._waiting += 1
            return math.inf if self._waiting <= self._patient else HASTY_SECONDS

    def leave(self) -> None:
        """End what ``enter`` began."""
        with self._lock:
            self._waiting -= 1


def limit_reads(sock: socket.socket) -> None:
    """Have the kernel end a wait for bytes after FOLLOWING_SECONDS, on this socket and on those it accepts."""
    limit_time(sock, RECEIVE, FOLLOWING_SECONDS)


class Stream:
    """A socket, what has come in and nobody took yet, and what has yet to go out.

    inbox: to be taken from its beginning. ended: the client sends no more. silence: seconds a client may do nothing.
    began: when what is under way did, by the clock of ``waiting``.
    """

    __slots__ = ("_seconds", "_silence", "_socket", "_touched", "_unsent", "_waiting", "began", "ended", "inbox")

    def __init__(self, sock: socket.socket, waiting: Waiting, silence: float) -> None:
        """sock: blocking, after ``limit_reads``."""
        self._socket = sock
        self._waiting = waiting
        self._silence = silence
        self._unsent: list[memoryview] = []
        self.inbox = bytearray()
        self.ended = False
        self.begin(HEAD_SECONDS)

    def begin(self, seconds: float) -> None:
        """From now on the client has ``seconds`` for what is under way."""
        self.began = self._touched = self._waiting.clock()
        self._seconds = seconds

    def deadline(self, silence: float | None = None) -> float:
        """When to give up, by the clock. silence: instead of the usual one."""
        return min(self.began + self._seconds, self._touched + (self._silence if silence is None else silence))

    def is_late(self) -> bool:
        """Whether what is under way takes too long."""
        return self._waiting.clock() >= self.began + self._seconds

    # -- in ----------------------------------------------------------------------------------------------------------

    def receive(self, size: int = PIECE, *, following: bool = False) -> bool:
        """Take what is there, if anything is; the end of the stream is something. Raises OSError.

        following: wait for it FOLLOWING_SECONDS.
        """
        try:
            data = self._socket.recv(size, 0 if following else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        self._touched = self._waiting.clock()
        if data:
            self.inbox += data
        else:
            self.ended = True
        return True

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end; waits for them. Raises OSError: TimeoutError, BusyError."""
        while len(self.inbox) < size and not self.ended:
            self._receive_more()
        return self._take(size)

    def readline(self, limit: int) -> bytes:
        """A line with its end, or ``limit`` bytes of it, or what there is before the end. Raises OSError."""
        end = self.inbox.find(b"\n", 0, limit)
        while end < 0 and len(self.inbox) < limit and not self.ended:
            self._receive_more()
            end = self.inbox.find(b"\n", 0, limit)
        return self._take(end + 1 if end >= 0 else limit)

    def drop(self, size: int) -> int:
        """Forget up to ``size`` bytes that have come; how many."""
        size = min(size, len(self.inbox))
        del self.inbox[:size]
        return size

    def _take(self, size: int) -> bytes:
        data = bytes(self.inbox[:size])
        del self.inbox[:size]
        return data

    def _receive_more(self) -> None:
        while not self.receive(LARGE_PIECE):
            patience = self._waiting.enter()
            try:
                self.wait(select.POLLIN, patience)
            finally:
                self._waiting.leave()

    def wait(self, event: int, patience: float = math.inf) -> None:
        """Until the client does something. patience: seconds since ``begin``. Raises TimeoutError."""
        left = min(self.deadline(), self.began + patience) - self._waiting.clock()
        poll = select.poll()
        poll.register(self._socket, event)
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError("timed out")

    # -- out ---------------------------------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes that the client has not taken yet."""
        return sum(len(piece) for piece in self._unsent)

    def send(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send as much as the client takes, after what is unsent already. Raises OSError."""
        self._unsent += (memoryview(piece) for piece in pieces)
        self.flush()

    def flush(self) -> bool:
        """Send what the client takes of the rest; whether nothing is left. Raises OSError."""
        while self._unsent:
            try:
                sent = self._transmit(self._unsent)
            except BlockingIOError:
                return False
            self._touched = self._waiting.clock()
            while self._unsent and sent >= len(self._unsent[0]):
                sent -= len(self._unsent.pop(0))
            if sent:
                self._unsent[0] = self._unsent[0][sent:]
        return True

    def _transmit(self, pieces: list[memoryview]) -> int:
        return self._socket.sendmsg(pieces, (), socket.MSG_DONTWAIT)

    def end(self) -> None:
        """Tell the client that nothing more comes."""
        self._socket.shutdown(socket.SHUT_WR)

    def deafen(self) -> None:
        """Whoever waits for the client waits no longer."""
        self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """What is unsent is lost; so is what was sent last, when the client still sends."""
        self._unsent.clear()
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()
