"""Accepts connections, and keeps those for which there is nothing to do, without a thread for each."""

from __future__ import annotations

import errno
import heapq
import logging
import math
import os
import resource
import select
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from oc.web.connection import Connection
from oc.web.wire import limit_reads

if TYPE_CHECKING:
    from oc.web.server import ApiServer

logger = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 10_000
"""That rest. More than half of the descriptors of the process are never taken for them."""

MOST_UNSENT: Final = 64 * 1024 * 1024
"""Bytes of answers that clients are slow to take."""

SWEEP_SECONDS: Final = 0.5
PAUSE_SECONDS: Final = 0.5
"""Before connections are accepted again, when there are no descriptors for them and none can be freed."""

QUIET_SECONDS: Final = 60.0
"""Without trouble, before trouble is told of again."""

_AT_ONCE: Final = 64
_CLOSED_AT_ONCE: Final = 256
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Parking:
    """Stands for cheroot's ConnectionManager, whose calls these are: ``run`` in one thread, ``put`` in any.

    While connections are too many, those that wait longest are closed: whoever comes is served.
    """

    def __init__(self, server: ApiServer, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self._clock = server.waiting.clock
        listener.setblocking(False)
        limit_reads(listener)
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._lock = threading.Lock()
        self._resting: dict[int, tuple[Connection, int]] = {}
        self._kept = 0
        self._unsent = 0
        self.most = _most(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._paused_until = -math.inf
        self._troubled = -math.inf
        self._stopping = self._closed = False
        self._ended = threading.Event()
        self._ended.set()

    # -- what the server calls ---------------------------------------------------------------------------------------

    def run(self, expiration_interval: float) -> None:
        """Until ``stop``: accept connections, hand those with something to do to the threads, close who is too slow."""
        self._ended.clear()
        try:
            sweep = self._clock() + expiration_interval
            while not self._stopping:
                self._turn(max(0.0, sweep - self._clock()))
                now = self._clock()
                if now >= sweep and not self.expire(now):
                    sweep = now + expiration_interval
        finally:
            self._ended.set()

    def put(self, connection: Connection) -> None:
        """Let it rest until there is something to do."""
        if connection.eager:
            self._server.process_conn(connection)
            return
        unsent, descriptor = connection.stream.unsent, connection.stream.fileno()
        with self._lock:
            if self._closed:
                connection.close()
                return
            self._resting[descriptor] = connection, unsent
            self._kept += connection.kept
            self._unsent += unsent
            events = connection.event | select.EPOLLONESHOT
            if connection.registered:
                self._epoll.modify(descriptor, events)
            else:
                connection.registered = True
                self._epoll.register(descriptor, events)
        if self._unsent > MOST_UNSENT:
            self._close_some("answers wait for clients that are slow to take them", unsent=True)

    @property
    def can_add_keepalive_connection(self) -> bool:
        """Whether one more connection may rest between two requests."""
        limit = self._server.keep_alive_conn_limit
        return limit is None or self._kept < limit

    def stop(self) -> None:
        """End ``run``. Who has connected by then is still served, if there is something to serve."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._ended.wait()
        self._accept(self._server.request_queue_size)

    def close(self) -> None:
        """Hand over what is under way, close all others."""
        ready = {descriptor for descriptor, _ in self._epoll.poll(0)}
        for descriptor in tuple(self._resting):
            connection = self._take(descriptor)
            if connection is None:
                continue
            if descriptor in ready or connection.amid_request:
                self._server.process_conn(connection)
            else:
                connection.close()
        with self._lock:
            self._closed = True
            self._epoll.close()
            os.close(self._wake)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _turn(self, seconds: float) -> None:
        for descriptor, _ in self._epoll.poll(seconds):
            if descriptor == self._listener.fileno():
                self._accept()
            elif (connection := self._take(descriptor)) is not None:
                self._server.process_conn(connection)

    def _take(self, descriptor: int) -> Connection | None:
        """Whoever takes a connection is the only one to work on it."""
        with self._lock:
            connection, unsent = self._resting.pop(descriptor, (None, 0))
            if connection is not None:
                self._kept -= connection.kept
                self._unsent -= unsent
            return connection

    def _accept(self, most: int = _AT_ONCE) -> None:
        for _ in range(most):
            if len(self._resting) >= self.most:
                self._close_some(f"{self.most} connections are open")
            try:
                sock, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    continue  # that client has gone already
                if not self._close_some(f"no connection can be accepted ({os.strerror(error.errno)})"):
                    self._pause()
                    return
                continue
            self.put(Connection(self._server, sock, _address(peer)))

    def _pause(self) -> None:
        """Stop asking for new connections, which would be told of again and again."""
        self._paused_until = self._clock() + PAUSE_SECONDS
        self._epoll.modify(self._listener, 0)

    def expire(self, now: float) -> bool:
        """Close connections that have rested too long; whether there are more than it takes at once."""
        if self._paused_until != -math.inf and now >= self._paused_until:
            self._paused_until = -math.inf
            self._epoll.modify(self._listener, select.EPOLLIN)
        late = [descriptor for descriptor, (connection, _) in self._snapshot() if connection.deadline <= now]
        for descriptor in late[:_CLOSED_AT_ONCE]:
            connection = self._take(descriptor)
            if connection is not None:
                connection.expire()
        return len(late) > _CLOSED_AT_ONCE

    def _snapshot(self) -> list[tuple[int, tuple[Connection, int]]]:
        with self._lock:
            return list(self._resting.items())

    def _close_some(self, why: str, *, unsent: bool = False) -> int:
        """Close one in sixteen of those that rest, at least one, the longest first; how many. unsent: of those only
        whose answers wait.
        """
        now = self._clock()
        if now - self._troubled > QUIET_SECONDS:
            logger.warning("%s: those that wait longest are closed", why)
        self._troubled = now
        resting = [one for one in self._snapshot() if one[1][1] or not unsent]
        oldest = heapq.nsmallest(max(1, len(resting) // 16), resting, key=_since)
        closed = [one for descriptor, (one, _) in oldest if self._take(descriptor) is one]
        for connection in closed:
            connection.close()
        return len(closed)


def _most(descriptors: int) -> int:
    """How many connections may rest in a process that may have so many descriptors."""
    return (
        MOST_CONNECTIONS if descriptors == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, max(8, descriptors // 2))
    )


def _since(one: tuple[int, tuple[Connection, int]]) -> float:
    return one[1][0].stream.began


def _address(peer: Any) -> tuple[str, int]:
    """Address and port; those of a UNIX socket are empty."""
    return (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else ("", 0)
