"""One client's connection: its requests one after another, each read, served and answered.

A thread works on it as long as there is something to do. Meanwhile, until the client has sent a whole request, or has
taken its answer, the connection rests in oc.web.parking, and no thread waits.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
from email.utils import formatdate
from http.client import responses
from typing import TYPE_CHECKING, Final

from oc.web.answers import Reply
from oc.web.chunks import ChunkedBody
from oc.web.errors import refusal
from oc.web.exchange import Arrival, Exchange, Headers
from oc.web.exposing import LARGE_MAX_BODY
from oc.web.head import Head, RefusedHeadError, read_head
from oc.web.wire import (
    ANSWER_SECONDS,
    BODY_BYTES_A_SECOND,
    BODY_SECONDS,
    HASTY_SECONDS,
    HEAD_SECONDS,
    LARGE_PIECE,
    Stream,
)

if TYPE_CHECKING:
    from oc.web.server import ApiServer

SERVER_MAX_BODY: Final = LARGE_MAX_BODY + 64 * 1024
"""Above the largest body of any route, so that the API answers 413 itself."""

GATHERED: Final = 64 * 1024
"""Bytes of a body that are waited for without a thread. A longer one is read by the thread that serves it."""

LINGER_SECONDS: Final = 30.0
LINGER_SILENCE: Final = 3.0
LINGER_BYTES: Final = 2 * SERVER_MAX_BODY
"""A client that is refused while it sends is listened to that long: with something unread, the connection would be
reset, and the answer lost (RFC 9112 9.6)."""

_CONTROLS: Final = dict.fromkeys((*range(32), 127))
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class LengthBody:
    """A body of known length. remaining: bytes that were not read yet."""

    def __init__(self, stream: Stream, length: int) -> None:
        self._stream = stream
        self.remaining = length

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, fewer at the end. Raises OSError."""
        data = self._stream.read(min(size, self.remaining))
        self.remaining -= len(data)
        return data

    def drop(self) -> bool:
        """Forget what has come; whether that was the rest."""
        self.remaining -= self._stream.drop(self.remaining)
        return not self.remaining


class Connection:
    """Made by oc.web.parking; a thread of the server calls ``communicate``, then one of ``put_conn`` and ``close``.

    eager: there is something to do although nothing more may come. kept: rests between two requests.
    """

    def __init__(self, server: ApiServer, sock: socket.socket, peer: tuple[str, int]) -> None:
        self.server = server
        self.remote_addr, self.remote_port = peer
        self.stream = Stream(sock, server.waiting, server.silence)
        self.registered = False
        self.eager = False
        self.kept = False
        self._head: Head | None = None
        self._searched = 0
        self._answered = False
        self._closing = False
        self._linger = False
        self._to_drop: int | None = None

    # -- what oc.web.parking asks ------------------------------------------------------------------------------------

    @property
    def event(self) -> int:
        """What the connection rests for."""
        return select.EPOLLOUT if self.stream.unsent else select.EPOLLIN

    @property
    def deadline(self) -> float:
        """When it has rested long enough."""
        if self.kept:
            return self.stream.deadline(math.inf)
        return self.stream.deadline(None if self._to_drop is None else LINGER_SILENCE)

    @property
    def amid_request(self) -> bool:
        """Whether a part of a request has come, or a part of an answer has to go."""
        return bool(self.stream.unsent or (self._to_drop is None and (self.stream.inbox or self._head)))

    def expire(self) -> None:
        """The client was too slow: tell it, if it sent a part of a request, and close."""
        self._give_up()
        self.close()

    def close(self) -> None:
        """End it, at once."""
        self.stream.close()

    def cut_off(self) -> None:
        """End it while a thread is at work on it."""
        with contextlib.suppress(OSError):  # gone already
            self.stream.deafen()

    # -- the work ----------------------------------------------------------------------------------------------------

    def communicate(self) -> bool:
        """Do what there is to do; whether the connection is to rest then, else it is to be closed."""
        self.eager = False
        try:
            rests = self._go_on()
            while rests and self.amid_request and not self.server.ready:
                self._wait()
                rests = self._go_on()
        except TimeoutError:
            self._give_up()
            return False
        except OSError:
            return False  # the client is gone
        return rests

    def _give_up(self) -> None:
        if self.amid_request and not self.stream.unsent:
            with contextlib.suppress(OSError):  # nobody may be left to tell
                self._refuse(408, "Request Timeout")

    def _go_on(self) -> bool:
        """Serve requests as long as they follow one another closely and no other client wants this thread: each time
        a connection rests costs a wake-up of two threads.
        """
        if self._to_drop is not None:
            return self._drop()
        woken = True
        while True:
            if not self.stream.flush():
                return True
            if self._closing:
                return self._leave()
            if self._answered:
                self._rest()
            head = self._next()
            if head is not None:
                self._serve(head)
                woken = False
                if self.server.requests.qsize and self.stream.inbox and not (self._closing or self.stream.unsent):
                    self.eager = True
                    return True
            elif not self._closing:
                if (not woken and self.server.requests.qsize) or not self._receive(following=not woken):
                    return True
                woken = False

    def _rest(self) -> None:
        """Between an answer and the next request, which may have begun already."""
        self._answered = False
        self.kept = not self.stream.inbox
        self.stream.begin(self.server.timeout if self.kept else HEAD_SECONDS)

    def _receive(self, *, following: bool) -> bool:
        if not self.stream.receive(following=following):
            return False
        if self.kept:
            self.kept = False
            self.stream.begin(HEAD_SECONDS)
        elif following and self.stream.is_late():
            raise TimeoutError("timed out")
        return True

    def _wait(self) -> None:
        """For the rest of a request or an answer, while the server stops: nothing rests any more."""
        if self.stream.unsent:
            self.stream.wait(select.POLLOUT)
        else:
            self.stream.wait(select.POLLIN, HASTY_SECONDS)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _next(self) -> Head | None:
        """The head of a request that is complete with its body; of a long one with its beginning."""
        stream = self.stream
        if self._head is None and not self._read_head():
            if stream.ended and not self._closing:
                self._closing = True
                if stream.inbox:
                    self._refuse(400, "the request is incomplete")
            return None
        head = self._head
        if head is None or (len(stream.inbox) < head.length <= GATHERED and not stream.ended):
            return None
        self._head = None
        return head

    def _read_head(self) -> bool:
        """Whether there is a whole one; what is none is refused."""
        inbox, limit = self.stream.inbox, self.server.max_head
        while inbox.startswith(b"\r\n"):
            del inbox[:2]
        end = inbox.find(b"\r\n\r\n", self._searched, limit)
        if end < 0:
            self._searched = max(0, len(inbox) - 3)
            if len(inbox) >= limit:
                if b"\r\n" in inbox[:limit]:
                    self._refuse(413, "The headers sent with the request exceed the maximum allowed bytes.")
                else:
                    self._refuse(414, "The Request-URI sent with the request exceeds the maximum allowed bytes.")
            return False
        self._searched = 0
        try:
            head = read_head(bytes(inbox[:end]))
        except RefusedHeadError as error:
            self._refuse(error.status, str(error))
            return False
        del inbox[: end + 4]
        if head.length > SERVER_MAX_BODY:
            self._refuse(413, "The entity sent with the request exceeds the maximum allowed bytes.")
            return False
        self._head = head
        self.stream.begin(BODY_SECONDS + head.length / BODY_BYTES_A_SECOND)
        if head.awaits_continue and not inbox and (head.length or head.chunked):
            self.stream.send((_CONTINUE,))
        return True

    def _serve(self, head: Head) -> None:
        body: ChunkedBody | LengthBody
        body = ChunkedBody(self.stream, SERVER_MAX_BODY) if head.chunked else LengthBody(self.stream, head.length)
        arrival = Arrival(
            method=head.method,
            target=head.target,
            protocol=head.protocol,
            headers=Headers(head.fields),
            peer=(self.remote_addr, self.remote_port),
            stream=body,
        )
        exchange = Exchange(self.server.api, arrival)
        try:
            self._answer(head, body, exchange.serve())
        finally:
            exchange.end()

    # -- answers -----------------------------------------------------------------------------------------------------

    def _answer(self, head: Head, body: ChunkedBody | LengthBody, reply: Reply) -> None:
        if isinstance(body, ChunkedBody):
            # What a handler leaves unread of chunks would be read as the next request.
            self._closing, self._linger = True, not body.ended
        else:
            self._linger = not body.drop()
            keeps = head.keeps_connection and reply.status != 413 and self.server.can_add_keepalive_connection
            self._closing = self._linger or (self.stream.ended and not self.stream.inbox) or not keeps
        self.stream.begin(ANSWER_SECONDS)
        text = _head_of(reply, self._closing, head.protocol, self.server.timeout)
        self.stream.send((text,) if head.method == "HEAD" else (text, *reply.pieces))
        self._answered = True

    def _refuse(self, status: int, message: str) -> None:
        """Answer what never was a request, and end the connection: nobody knows where the next one begins."""
        self._closing = self._linger = True
        self.stream.begin(ANSWER_SECONDS)
        reply = refusal(status, message)
        self.stream.send((_head_of(reply, True, "HTTP/1.1", 0), *reply.pieces))

    def _leave(self) -> bool:
        """Everything was sent. Whether the client is still listened to."""
        if self.stream.ended or not (self._linger or self.stream.inbox):
            return False
        self.stream.end()
        self._to_drop = LINGER_BYTES
        self.stream.begin(LINGER_SECONDS)
        return self._drop()

    def _drop(self) -> bool:
        """Forget what the client sends; whether more of it may come."""
        left = self._to_drop or 0
        self.stream.inbox.clear()
        while left > 0 and self.stream.receive(LARGE_PIECE):
            if self.stream.ended:
                return False
            left -= self.stream.drop(LARGE_PIECE)
            if self.server.requests.qsize:
                break
        self._to_drop = left
        return left > 0


def _head_of(reply: Reply, closes: bool, protocol: str, seconds: float) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}"]
    lines += [f"{name}: {text.translate(_CONTROLS)}" for name, text in reply.headers.items()]
    if reply.has_body:
        lines.append(f"Content-Length: {reply.length}")
    lines += ["Server: pyos", f"Date: {formatdate(usegmt=True)}"]
    if closes:
        lines.append("Connection: close")
    elif protocol == "HTTP/1.0":
        lines += ["Connection: Keep-Alive", f"Keep-Alive: timeout={seconds}"]
    return "\r\n".join((*lines, "", "")).encode("latin-1", "replace")
