"""The load generator: many simulated clients in one thread, each a Python generator.

A client yields an ``Ask`` and is given the ``Answer``, or yields a number and goes on after so many seconds. Requests
are encoded before they are needed and go out on plain sockets that are kept alive and shared, as nginx does with its
upstream connections: the generator must cost far less than the server, else its own speed is what is measured.

Nothing is forgiven: an answer that is no success is counted under its request's name, with its text.
"""

from __future__ import annotations

import heapq
import itertools
import json
import re
import select
import socket
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_SOFT_ERROR = re.compile(rb'\{"status": ?[45]\d\d\b')
_READ = 1024 * 1024
_SWEEP_SECONDS = 0.5
_TEXTS_KEPT = 5


class LoadError(RuntimeError):
    """Requests failed; the text says which, how often and how."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the name its times are kept under, its bytes, the server (an index), statuses that are right.

    ``uncounted``: statuses that are neither a success nor a failure, as the refusal of a client that comes again.
    """

    name: str
    data: bytes
    server: int = 0
    right: tuple[int, ...] = (200,)
    seconds: float = 60.0
    uncounted: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` 0: none came; ``body`` says why then. ``milliseconds`` from the first byte sent to the last read."""

    status: int
    body: bytes
    milliseconds: float
    head: bytes = b""

    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


Script = Generator["Ask | float", "Answer | None", None]


def encode(
    method: str, path: str, body: Any = None, *, token: str = "", headers: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of a request below ``/API/``, with the headers a browser's request has after the router."""
    lines = [
        f"{method} /API/{path} HTTP/1.1",
        "Host: desktop.example.com",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Accept: */*",
        "Accept-Language: en-US,en;q=0.5",
        "Origin: https://desktop.example.com",
        "X-Forwarded-For: 127.0.0.1",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if token:
        lines.append(f"ABCAuthorization: Bearer {token}")
    data = b""
    if method == "POST":
        data = json.dumps({} if body is None else body, separators=(",", ":")).encode()
        lines += ["Content-Type: application/json; charset=utf-8", f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


@dataclass
class Tally:
    """What came of the requests of one name."""

    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0
    texts: list[str] = field(default_factory=list)


class _Connection:
    """One socket and the request under way on it."""

    __slots__ = ("ask", "began", "buffer", "fd", "fresh", "need", "open", "script", "server", "sock", "unsent")

    def __init__(self, server: int, address: tuple[str, int]) -> None:
        self.server = server
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = self.sock.fileno()
        self.open = self.sock.connect_ex(address) == 0
        self.fresh = True
        self.ask: Ask | None = None
        self.script: Script | None = None
        self.began = 0.0
        self.unsent = b""
        self.buffer = bytearray()
        self.need = -1


class Engine:
    """Runs the clients of the servers at ``ports``. One thread; not thread-safe."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.tallies: dict[str, Tally] = {}
        self.retried = 0
        """Requests sent again because the server closed an idle connection at that very moment."""
        self._addresses = [("127.0.0.1", port) for port in ports]
        self._idle: list[deque[_Connection]] = [deque() for _ in ports]
        self._connections: dict[int, _Connection] = {}
        self._epoll = select.epoll()
        self._timers: list[tuple[float, int, Script]] = []
        self._ready: deque[tuple[Script, Answer | None]] = deque()
        self._numbers = itertools.count()
        self._alive = 0
        self._swept = 0.0

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut all connections."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._epoll.close()

    def start(self, script: Script, after: float = 0.0) -> None:
        """Let a client begin ``after`` seconds from now."""
        self._alive += 1
        heapq.heappush(self._timers, (time.perf_counter() + after, next(self._numbers), script))

    def run(self, seconds: float = float("inf")) -> None:
        """Until every client has ended, or for ``seconds``: those that are left go on with the next run."""
        end = time.perf_counter() + seconds
        while self._alive:
            now = time.perf_counter()
            if now >= end:
                return
            while self._timers and self._timers[0][0] <= now:
                self._ready.append((heapq.heappop(self._timers)[2], None))
            while self._ready:
                self._resume(*self._ready.popleft())
            wake = min(end, self._timers[0][0]) if self._timers else end
            pause = min(_SWEEP_SECONDS, max(0.0, wake - time.perf_counter())) if self._alive else 0.0
            for fd, events in self._epoll.poll(pause):
                connection = self._connections.get(fd)
                if connection is not None:
                    self._happened(connection, events)
            if now - self._swept > _SWEEP_SECONDS:
                self._swept = now
                self._sweep(now)

    def abandon(self) -> None:
        """Cut every connection with a request under way and forget all clients: they have closed their browser."""
        for connection in [c for c in self._connections.values() if c.ask is not None]:
            self._drop(connection)
        self._timers.clear()
        self._ready.clear()
        self._alive = 0

    def vanish(self, script: Script) -> None:
        """One client closes its browser: its connection is cut, it never goes on."""
        for connection in [c for c in self._connections.values() if c.script is script]:
            self._drop(connection)
            self._alive -= 1

    def reset(self) -> None:
        """Forget what was measured."""
        self.tallies = {}
        self.retried = 0

    def check(self) -> None:
        """Raises LoadError when any request failed."""
        failed = {name: tally for name, tally in self.tallies.items() if tally.failed}
        if failed:
            raise LoadError("; ".join(f"{name}: {t.failed} failed, {t.texts}" for name, t in failed.items()))

    def tally(self, name: str) -> Tally:
        """What came of the requests of that name so far."""
        found = self.tallies.get(name)
        if found is None:
            found = self.tallies[name] = Tally()
        return found

    # -- one client ----------------------------------------------------------------------------------------------
    def _resume(self, script: Script, answer: Answer | None) -> None:
        try:
            wanted = next(script) if answer is None else script.send(answer)
        except StopIteration:
            self._alive -= 1
            return
        if isinstance(wanted, Ask):
            self._ask(wanted, script, time.perf_counter())
        else:
            heapq.heappush(self._timers, (time.perf_counter() + wanted, next(self._numbers), script))

    def _ask(self, ask: Ask, script: Script, began: float, *, fresh: bool = False) -> None:
        idle = self._idle[ask.server]
        if idle and not fresh:
            connection = idle.pop()
        else:
            connection = _Connection(ask.server, self._addresses[ask.server])
            self._connections[connection.fd] = connection
            self._epoll.register(connection.fd, select.EPOLLIN if connection.open else select.EPOLLIN | select.EPOLLOUT)
        connection.ask, connection.script, connection.began = ask, script, began
        connection.unsent = ask.data
        if connection.open:
            self._send(connection)

    def _send(self, connection: _Connection) -> None:
        try:
            sent = connection.sock.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broken(connection, error.strerror or "error")
            return
        connection.unsent = connection.unsent[sent:]
        if connection.unsent:
            self._epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)

    def _happened(self, connection: _Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            connection.open = True
            self._epoll.modify(connection.fd, select.EPOLLIN)
            self._send(connection)
        if (
            events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR)
            and self._connections.get(connection.fd) is connection
        ):
            try:
                data = connection.sock.recv(_READ)
            except BlockingIOError:
                return
            except OSError as error:
                self._broken(connection, error.strerror or "error")
                return
            if data:
                self._read(connection, data)
            else:
                self._broken(connection, "the server closed the connection")

    def _read(self, connection: _Connection, data: bytes) -> None:
        buffer = connection.buffer
        buffer += data
        if connection.need < 0:
            end = buffer.find(b"\r\n\r\n")
            length = _LENGTH.search(buffer, 0, end + 2) if end >= 0 else None
            if end >= 0:
                connection.need = end + 4 + (int(length[1]) if length else 0)
        if 0 <= connection.need <= len(buffer):
            self._complete(connection, bytes(buffer))

    def _complete(self, connection: _Connection, buffer: bytes) -> None:
        ask, script = connection.ask, connection.script
        if ask is None or script is None:  # an answer nobody asked for
            self._drop(connection)
            return
        took = (time.perf_counter() - connection.began) * 1000
        end = buffer.index(b"\r\n\r\n") + 4
        answer = Answer(int(buffer[9:12]), buffer[end : connection.need], took, buffer[:end])
        connection.ask = connection.script = None
        connection.buffer.clear()
        connection.need, connection.fresh = -1, False
        if _CLOSES.search(answer.head):
            self._drop(connection)
        else:
            self._idle[connection.server].append(connection)
        self._finish(ask, script, answer)

    def _finish(self, ask: Ask, script: Script, answer: Answer) -> None:
        tally = self.tally(ask.name)
        if answer.status in ask.uncounted:
            pass
        elif answer.status in ask.right and not (answer.status == 200 and _SOFT_ERROR.match(answer.body)):
            tally.milliseconds.append(answer.milliseconds)
        else:
            tally.failed += 1
            if len(tally.texts) < _TEXTS_KEPT:
                tally.texts.append(f"{answer.status} {answer.body[:200].decode('utf-8', 'replace')}")
        self._ready.append((script, answer))

    def _broken(self, connection: _Connection, why: str) -> None:
        ask, script, began = connection.ask, connection.script, connection.began
        again = not connection.fresh and not connection.buffer
        self._drop(connection)
        if ask is None or script is None:
            return
        if again:
            self.retried += 1
            self._ask(ask, script, began, fresh=True)
        else:
            self._finish(ask, script, Answer(0, why.encode(), (time.perf_counter() - began) * 1000))

    def _drop(self, connection: _Connection) -> None:
        self._connections.pop(connection.fd, None)
        self._epoll.unregister(connection.fd)
        connection.sock.close()
        if connection.ask is None and connection in self._idle[connection.server]:
            self._idle[connection.server].remove(connection)

    def _sweep(self, now: float) -> None:
        for connection in [c for c in self._connections.values() if c.ask and now - c.began > c.ask.seconds]:
            connection.fresh = True  # not to be sent again
            self._broken(connection, f"no answer in {connection.ask.seconds:g} s" if connection.ask else "")


def repeat(ask: Ask, end: float) -> Script:
    """A client that asks the same again at once, until ``time.perf_counter()`` is ``end``."""
    while time.perf_counter() < end:
        yield ask


def in_turn(asks: Sequence[Ask]) -> Script:
    """A client that asks each once."""
    for ask in asks:  # noqa: UP028 - a list takes no answers
        yield ask
