"""HTTP/1.1 (RFC 9112) to the one API server: connections are kept, one request at a time on each.

A general client spends ten times as long on a small answer as its bytes take to read: it parses heads as e-mail, and
looks for proxies, redirects and cookies at each call. Here a head is split at its line ends, and that is all.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

READ_BYTES: Final = 16 * 1024  # a TLS record
MAX_HEAD: Final = 64 * 1024
MAX_SIZE_LINE: Final = 4096
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: .*)?")
_LENGTH = re.compile(r"[0-9]{1,15}")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_UNSAFE = re.compile(r"[\r\n\0]")


class WireError(Exception):
    """No whole answer came. ``late``: in time, that is; ``sent``: the server may have got the request."""

    def __init__(self, text: str, *, late: bool = False, sent: bool = True) -> None:
        super().__init__(text)
        self.late = late
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before a body. Names of ``fields`` are lower case; equal ones are one list (RFC 9110 5.2).

    length: of the body, None when it is chunked or ends with the connection.
    """

    status: int
    fields: Mapping[str, str]
    length: int | None
    chunked: bool
    lasting: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    fields: Mapping[str, str]
    body: bytes


def request(method: str, target: str, fields: Mapping[str, str], body: bytes | None = None) -> bytes:
    """The bytes of a request. Raises ValueError for what would be two."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if any(map(_UNSAFE.search, lines)):
        raise ValueError("a header field must not have a line end")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")


def head_of(raw: bytes) -> Head:
    """Read a head, without the empty line at its end. Raises WireError."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    status_line = _STATUS.fullmatch(first)
    if status_line is None:
        raise WireError("what answers does not speak HTTP/1.1")
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    status = int(status_line[2])
    coding = fields.get("transfer-encoding", "").lower()
    chunked = coding == "chunked"
    length: int | None = None
    if status < 200 or status in (204, 304):
        length, chunked = 0, False
    elif coding not in ("", "chunked") or fields.get("content-encoding", "identity").lower() != "identity":
        raise WireError("an answer in a coding that was not asked for")
    elif not chunked and (text := fields.get("content-length")) is not None:
        if not _LENGTH.fullmatch(text):
            raise WireError("an answer of no known length")
        length = int(text)
    wishes = [one.strip() for one in fields.get("connection", "").lower().split(",")]
    lasting = "close" not in wishes and (status_line[1] == "1" or "keep-alive" in wishes)
    return Head(status, fields, length, chunked, lasting and status >= 200 and (chunked or length is not None))


class Connection:
    """A connection on which requests follow each other. Only ``interrupt`` may come from another thread.

    ``recv``, ``send``, ``settimeout``, ``gettimeout`` and ``fileno`` are those of a socket, for other protocols.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._seconds = sock.gettimeout()
        self._ahead = b""
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def ask(self, data: bytes, seconds: float) -> Head:
        """Send a request, read the head of its answer; the server may be silent for ``seconds`` from now on.

        Raises OSError, WireError.
        """
        self.settimeout(seconds)
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise WireError("the request was not taken", late=True, sent=False) from error
        except OSError as error:
            # A server that reads no further may have said why (413, 429); what it did not get whole it did not do.
            try:
                return self._final_head()
            except (OSError, WireError):
                raise WireError(type(error).__name__, sent=False) from error
        return self._final_head()

    def body(self, head: Head, until: float) -> bytes:
        """The whole body, if it keeps coming not longer than until this monotonic second. Raises OSError, WireError."""
        data = self._ahead
        if head.length is None or len(data) < head.length:
            return b"".join(self._in_time(head, until))
        self._ahead = data[head.length :]
        return data[: head.length]

    def parts(self, head: Head) -> Iterator[bytes]:
        """The body as it comes. Raises OSError, WireError."""
        if head.chunked:
            while size := self._chunk_size():
                yield from self._exactly(size)
                self._line_end()
            while self._until(b"\r\n", MAX_SIZE_LINE):
                pass  # trailers
        elif head.length is not None:
            yield from self._exactly(head.length)
        else:
            while data := self.recv(READ_BYTES):
                yield data

    def is_idle(self) -> bool:
        """Whether a further request can go this way: nothing came since the last answer, no end of it either."""
        return not self._ahead and not self._readable.poll(0)

    def interrupt(self) -> None:
        """End what another thread reads."""
        with contextlib.suppress(OSError):  # it has ended
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    # -- as a socket -------------------------------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes, which were read ahead or come now."""
        if not self._ahead:
            if size >= READ_BYTES:
                return self._socket.recv(size)
            self._ahead = self._socket.recv(READ_BYTES)
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return taken

    def send(self, data: bytes) -> int:
        """As a socket's."""
        return self._socket.send(data)

    def gettimeout(self) -> float | None:
        """As a socket's."""
        return self._seconds

    def settimeout(self, seconds: float | None) -> None:
        """As a socket's, without the system call when nothing changes."""
        if seconds != self._seconds:
            self._socket.settimeout(seconds)
            self._seconds = seconds

    def fileno(self) -> int:
        """As a socket's."""
        return self._socket.fileno()

    # -- reading -----------------------------------------------------------------------------------------------

    def _final_head(self) -> Head:
        while True:
            head = head_of(self._until(b"\r\n\r\n", MAX_HEAD))
            if head.status >= 200 or head.status == 101:
                return head

    def _in_time(self, head: Head, until: float) -> Iterator[bytes]:
        for part in self.parts(head):
            yield part
            if time.monotonic() > until:
                raise TimeoutError

    def _until(self, mark: bytes, limit: int) -> bytes:
        data = self._ahead
        while (end := data.find(mark)) < 0:
            if len(data) > limit:
                raise WireError("an answer without end of its head")
            data += self._more()
        self._ahead = data[end + len(mark) :]
        return data[:end]

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            data = self.recv(READ_BYTES if size >= READ_BYTES else size)
            if not data:
                raise WireError("closed within an answer")
            size -= len(data)
            yield data

    def _chunk_size(self) -> int:
        found = _SIZE.fullmatch(self._until(b"\r\n", MAX_SIZE_LINE))
        if found is None:
            raise WireError("a chunk of no known size")
        return int(found[1], 16)

    def _line_end(self) -> None:
        if self._until(b"\r\n", MAX_SIZE_LINE):
            raise WireError("a chunk longer than its size")

    def _more(self) -> bytes:
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise WireError("closed within an answer")
        return data


class Wire:
    """The connections to one server, the one used last first; what is idle is closed with it. Thread-safe.

    dial: makes a connection within so many seconds; raises OSError, WireError. kept: about so many idle ones at most.
    """

    def __init__(self, dial: Callable[[float], Connection], kept: int) -> None:
        self._dial = dial
        self._kept = kept
        self._idle: deque[Connection] = deque()
        weakref.finalize(self, _close, self._idle)

    def exchange(self, data: bytes, connect_seconds: float, seconds: float) -> Answer:
        """Send a request and read the whole answer. Raises WireError.

        seconds: the server may be silent so long, and an answer that keeps coming may take twice that.
        """
        connection = self._ready() or self._new(connect_seconds)
        until = time.monotonic() + seconds
        with _closed_on_failure(connection):
            head = connection.ask(data, seconds)
            body = connection.body(head, until)
        if head.lasting and len(self._idle) < self._kept:
            self._idle.append(connection)
        else:
            connection.close()
        return Answer(head.status, head.fields, body)

    def open(self, data: bytes, connect_seconds: float, seconds: float) -> tuple[Connection, Head]:
        """Send a request on a new connection, which is the caller's from then on. Raises WireError."""
        connection = self._new(connect_seconds)
        with _closed_on_failure(connection):
            return connection, connection.ask(data, seconds)

    def _new(self, seconds: float) -> Connection:
        try:
            return self._dial(seconds)
        except (OSError, WireError) as error:
            raise _failed(error, sent=False) from error

    def _ready(self) -> Connection | None:
        while connection := self._last():
            if connection.is_idle():
                return connection
            connection.close()
        return None

    def _last(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


@contextlib.contextmanager
def _closed_on_failure(connection: Connection) -> Iterator[None]:
    """What is under way cannot be gone on with after a failure. Raises WireError."""
    try:
        yield
    except (OSError, WireError) as error:
        connection.close()
        raise _failed(error, sent=True) from error
    except BaseException:
        connection.close()
        raise


def _close(idle: deque[Connection]) -> None:
    while idle:
        idle.pop().close()


def _failed(error: OSError | WireError, *, sent: bool) -> WireError:
    if isinstance(error, WireError):
        return WireError(str(error), late=error.late, sent=sent and error.sent)
    return WireError(type(error).__name__, late=isinstance(error, TimeoutError), sent=sent)
