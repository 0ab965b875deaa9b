"""A server that plays a script, byte for byte, and what is asked of it in tests."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from kubernetes.client import Configuration

from oc.od.orchestrator import KubernetesClient, wire
from oc.od.orchestrator.wire import Connection, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EMPTY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"items":[]}'
Play = bytes | Callable[[bytes], Iterable[bytes]]
"""What is sent after a request: bytes, or pieces made from the request."""


class Server:
    """Plays a script: for each connection, what to send after each request, at most ``pieces`` bytes at a time.

    hang_up: the connection ends behind the last answer, not when the client leaves. hasty: the answer follows the head
    of a request, its body is not read. ``asked``: the requests, by connection. ``over``: set when a client has left.
    """

    def __init__(
        self,
        script: list[list[Play]],
        pieces: int | None = None,
        *,
        hang_up: bool = False,
        hasty: bool = False,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._script = script
        self._pieces = pieces
        self._hang_up = hang_up
        self._hasty = hasty
        self._tls = tls
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[list[bytes]] = []
        self.alpn: list[str | None] = []
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for answers in self._script:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError), self._secured(connection) as secured:
                secured.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._converse(secured, answers)
            self.over.set()

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True)
        self.alpn.append(secured.selected_alpn_protocol())
        return secured

    def _converse(self, connection: socket.socket, answers: list[Play]) -> None:
        asked: list[bytes] = []
        self.asked.append(asked)
        for answer in answers:
            asked.append(self._request(connection))
            for piece in (answer,) if isinstance(answer, bytes) else answer(asked[-1]):
                step = self._pieces or max(1, len(piece))
                for start in range(0, len(piece), step):
                    connection.sendall(piece[start : start + step])
        connection.settimeout(10)
        while not self._hang_up and connection.recv(1024):
            pass

    def _request(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536) or b"\r\n\r\n"
        length = int(next((line[15:] for line in data.split(b"\r\n") if line.startswith(b"Content-Length:")), b"0"))
        while not self._hasty and len(data.partition(b"\r\n\r\n")[2]) < length:
            data += connection.recv(65536)
        return data

    def close(self) -> None:
        self._listener.close()


def wire_to(server: Server, kept: int = 4) -> Wire:
    return Wire(lambda seconds: Connection(socket.create_connection(("127.0.0.1", server.port), seconds)), kept)


def client_of(server: Server) -> KubernetesClient:
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{server.port}"
    configuration.proxy = None
    return KubernetesClient(configuration, "abcdesktop", sleep=lambda seconds: None)


def ask(subject: Wire, seconds: float = 5.0) -> wire.Answer:
    return subject.exchange(wire.request("GET", "/x", {"Host": "h"}), 5.0, seconds)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
