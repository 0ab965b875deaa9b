"""Reading requests from the socket: strictly (RFC 9112), and in bounded time.

A proxy in front and this server must agree where a request ends, or one user's bytes become another's request. What
proxies read differently (two lengths, a length beside chunks, blanks before a colon) is therefore refused here, where
cheroot takes a guess. And a client that sends a byte every few seconds must not keep a thread.
"""

from __future__ import annotations

import io
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from cheroot.server import HeaderReader

MAX_HEADERS: Final = 200
HEAD_SECONDS: Final = 20.0
"""For a request line and its headers."""

HASTY_SECONDS: Final = 2.0
"""For the same, and for a body, while many clients are being waited for."""

BODY_SECONDS: Final = 30.0
BODY_BYTES_A_SECOND: Final = 64 * 1024
"""A body of n bytes may take BODY_SECONDS + n / BODY_BYTES_A_SECOND."""

ANSWER_SECONDS: Final = 60.0

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BLANKS: Final = b" \t"
#: Repeated, nobody knows which one counts.
_ONCE: Final = frozenset(
    {b"Host", b"Content-Length", b"Transfer-Encoding", b"Content-Type", b"Abcauthorization", b"Authorization"}
    | {b"X-Api-Key"}
)
#: Several lines are one list.
_LISTS: Final = frozenset({b"Accept", b"Accept-Language", b"Connection", b"Te", b"Via", b"X-Forwarded-For"})


class StrictHeaderReader(HeaderReader):
    """Reads the header lines of a request. Names with ``_`` are dropped: in WSGI they would look like those with ``-``.

    Folded lines are joined by a blank (nginx sends client certificates so).
    """

    def __call__(self, rfile: Any, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        """Fill ``hdict``. Raises ValueError with a text for the client, cheroot's MaxSizeExceeded."""
        headers: dict[bytes, bytes] = {} if hdict is None else hdict
        name = b""
        for _ in range(MAX_HEADERS + 1):
            line = rfile.readline()
            if line == b"\r\n":
                return headers
            if not line.endswith(b"\r\n"):
                raise ValueError("header lines must end with CRLF")
            if _CONTROL.search(line[:-2]):
                raise ValueError("a header holds a control character")
            if line[:1] in (b" ", b"\t"):
                if not name:
                    raise ValueError("the first header line is folded")
                headers[name] = headers.get(name, b"") + b" " + line.strip()
                continue
            raw, colon, value = line[:-2].partition(b":")
            if not colon or not _NAME.fullmatch(raw):
                raise ValueError("illegal header line")
            name = raw.title()
            _add(headers, name, value.strip(_BLANKS))
            if b"_" in name:
                del headers[name]
        raise ValueError("too many headers")


def _add(headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    known = headers.get(name)
    if known is None:
        headers[name] = value
    elif name in _ONCE:
        raise ValueError(f"repeated header {name.decode('ascii')}")
    elif name in _LISTS:
        headers[name] = known + b", " + value
    else:
        headers[name] = known + b"; " + value if name == b"Cookie" else value


def framing_error(headers: dict[bytes, bytes], protocol: bytes) -> str | None:
    """Why nobody can tell for sure where the request ends; None when everybody can."""
    length = headers.get(b"Content-Length")
    if length is not None and not (length.isdigit() and len(length) < 19):
        return "invalid Content-Length"
    coding = headers.get(b"Transfer-Encoding")
    if coding is not None:
        if coding.strip(_BLANKS).lower() != b"chunked":
            return "unknown Transfer-Encoding"
        if length is not None:
            return "both Content-Length and Transfer-Encoding"
        if protocol != b"HTTP/1.1":
            return "Transfer-Encoding needs HTTP/1.1"
    return None


def keeps_connection(headers: dict[bytes, bytes], protocol: str) -> bool:
    """Whether the client wants to send another request on its connection (RFC 9112 9.3); options are of any case."""
    options = {option.strip(_BLANKS).lower() for option in headers.get(b"Connection", b"").split(b",")}
    return b"close" not in options and (protocol == "HTTP/1.1" or b"keep-alive" in options)


class Waiting:
    """How many worker threads wait for bytes of clients, and how much patience that leaves. Thread-safe."""

    def __init__(self, threads: int, clock: Callable[[], float] = time.monotonic) -> None:
        """threads: of the server; a quarter of them may wait patiently."""
        self.clock = clock
        self._patient = max(1, threads // 4)
        self._waiting = 0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Begin to wait; whether there are few enough to be patient."""
        with self._lock:
            self._waiting += 1
            return self._waiting <= self._patient

    def leave(self) -> None:
        """End what ``enter`` began."""
        with self._lock:
            self._waiting -= 1


class TimedSocket(socket.SocketIO):
    """The bytes of a connection; reading and writing raise TimeoutError when the time given by ``begin`` is over.

    idle: seconds a client may be silent at most. The kernel watches the time: Python would poll before each call, and
    give up the interpreter once more for it.
    """

    def __init__(self, sock: socket.socket, mode: Any, waiting: Waiting, idle: float) -> None:
        super().__init__(sock, mode)
        sock.settimeout(None)
        self._socket = sock
        self._option = socket.SO_RCVTIMEO if "r" in mode else socket.SO_SNDTIMEO
        self._limit = 0.0
        self._waiting = waiting
        self._idle = idle
        self._began = waiting.clock()
        self._seconds = HEAD_SECONDS
        self._following: float | None = None
        self.ended = False

    @contextmanager
    def following(self, seconds: float) -> Iterator[None]:
        """Meanwhile reading waits no longer than ``seconds``, not at all for none, and gives None when nothing came."""
        self._following = seconds
        try:
            yield
        finally:
            self._following = None

    def begin(self, seconds: float) -> None:
        """From now on everything must be done within ``seconds``."""
        self._began, self._seconds = self._waiting.clock(), seconds

    def readinto(self, buffer: Any) -> int | None:
        """See io.RawIOBase. ended: the client has sent all it will."""
        if self._following is not None:
            if not self._following:
                return None
            self._set_limit(self._following)
            count = super().readinto(buffer)
            self.ended = count == 0
            return count
        patient = self._waiting.enter()
        try:
            self._set_limit(self._left(self._seconds if patient else min(self._seconds, HASTY_SECONDS)))
            count = super().readinto(buffer)
        finally:
            self._waiting.leave()
        return _in_time(count)

    def write(self, data: Any) -> int:
        """See io.RawIOBase."""
        self._set_limit(self._left(self._seconds))
        return _in_time(super().write(data))

    def _left(self, seconds: float) -> float:
        left = self._began + seconds - self._waiting.clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return min(left, self._idle)

    def _set_limit(self, seconds: float) -> None:
        if seconds != self._limit:
            self._socket.setsockopt(socket.SOL_SOCKET, self._option, _timeval(seconds))
            self._limit = seconds


def _timeval(seconds: float) -> bytes:
    """``struct timeval``; at least a microsecond, for nothing means for ever."""
    whole, rest = divmod(max(1, int(seconds * 1_000_000)), 1_000_000)
    return struct.pack("@ll", whole, rest)


def _in_time(count: int | None) -> int:
    if count is None:
        raise TimeoutError("timed out")
    return count


class TimedReader(io.BufferedReader):
    """What cheroot reads a TimedSocket with; its own reader is written in Python and costs more than all the rest."""

    def __init__(self, raw: TimedSocket, size: int) -> None:
        super().__init__(raw, size)
        self._source = raw
        self.bytes_read = 0
        self.failed = False

    def read(self, size: int | None = -1, /) -> bytes:
        """See io.BufferedReader. failed: what had come before an error is lost, nobody knows where the next request
        begins.
        """
        try:
            return super().read(size)
        except OSError:
            self.failed = True
            raise

    def has_data(self) -> bool:
        """Whether something was read from the socket that nobody has taken yet."""
        return self.has_more(0)

    def has_more(self, seconds: float) -> bool:
        """Whether the client sends anything, or leaves, within ``seconds``."""
        with self._source.following(seconds):
            try:
                return bool(self.peek(1)) or self._source.ended
            except OSError:
                return True


class TimedWriter:
    """What cheroot writes to a TimedSocket with."""

    def __init__(self, raw: TimedSocket) -> None:
        self._raw = raw
        self.bytes_written = 0

    def write(self, data: bytes) -> None:
        """Send everything. Raises OSError, TimeoutError among them."""
        left = memoryview(data)
        while left:
            left = left[self._raw.write(left) :]
        self.bytes_written += len(data)
