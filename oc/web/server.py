"""The listening HTTP server: JSON also where cheroot answers by itself, and threads for short and long requests."""

from __future__ import annotations

import logging
import re
import threading
import time
from email.utils import formatdate
from http.client import responses
from typing import Any

import cherrypy
from cheroot.server import HTTPConnection
from cheroot.workers.threadpool import ThreadPool, WorkerThread
from cherrypy._cpwsgi_server import CPWSGIHTTPRequest, CPWSGIServer

from oc.od.settings import Settings
from oc.web.answers import JSON_TYPE, Reply, encode
from oc.web.application import Api
from oc.web.bodies import Readable
from oc.web.chunks import ChunkedBody
from oc.web.exposing import LARGE_MAX_BODY
from oc.web.gateway import ApiGateway
from oc.web.wire import (
    ANSWER_SECONDS,
    BODY_BYTES_A_SECOND,
    BODY_SECONDS,
    HEAD_SECONDS,
    StrictHeaderReader,
    TimedReader,
    TimedSocket,
    TimedWriter,
    Waiting,
    framing_error,
    keeps_connection,
)

logger = logging.getLogger(__name__)

#: Above the largest body of any route, so that the API answers 413 itself; still a bound on what is read and dropped.
SERVER_MAX_BODY = LARGE_MAX_BODY + 64 * 1024
MAX_HEADERS = 128 * 1024
SOCKET_TIMEOUT = 10
#: Connections that wait to be accepted, of a class that clicks at once; one too many is tried again after a second.
BACKLOG = 1024
SHORT_SECONDS = 2.0
#: Bytes; copying a longer body behind its head costs more than a second packet.
ONE_PIECE = 16 * 1024
#: How long a thread waits for the next request on a connection before it looks for other work.
FOLLOWING_SECONDS = 0.01
#: Idle connections, of proxies mostly, that wait for their next request.
KEPT_CONNECTIONS = 256
#: How long each waits. nginx keeps them for 60 s: whoever sends the next request should also be who hangs up, or a
#: request crosses the end of its connection and is answered 502.
KEPT_SECONDS = 75
PROTOCOLS = (b"HTTP/1.0", b"HTTP/1.1")
CONTROL = re.compile(rb"[\x00-\x20\x7f]")
CONTROLS = re.compile("[\x00-\x1f\x7f]")


class JsonHTTPRequest(CPWSGIHTTPRequest):  # type: ignore[misc]  # CherryPy has no types
    """A request that cheroot refuses before the application sees it gets the error JSON too.

    What a proxy in front could read in another way is refused: see oc.web.wire.
    """

    header_reader = StrictHeaderReader()

    def parse_request(self) -> None:
        self.conn.begin(HEAD_SECONDS)
        super().parse_request()

    def read_request_line(self) -> bool:
        try:
            known: bool = super().read_request_line()
        except ValueError:
            self.simple_response("400 Bad Request", "Malformed Request-URI")
            return False
        if known and (self.request_protocol not in PROTOCOLS or CONTROL.search(self.uri)):
            self.simple_response("400 Bad Request", "Malformed Request-Line")
            return False
        return known

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():
            return False
        problem = framing_error(self.inheaders, self.request_protocol)
        if problem is not None:
            self.simple_response("400 Bad Request", problem)
            return False
        # What a handler leaves unread of chunks would be read as the next request.
        self.close_connection = self.chunked_read or not keeps_connection(self.inheaders, self.response_protocol)
        return True

    def respond(self) -> None:
        length = int(self.inheaders.get(b"Content-Length", 0))
        self.conn.begin(BODY_SECONDS + length / BODY_BYTES_A_SECOND)
        super().respond()

    @property
    def body(self) -> Readable:
        """Where the API reads the body."""
        body: Readable = self.rfile
        return ChunkedBody(self.conn.rfile, SERVER_MAX_BODY) if self.chunked_read else body

    def answer(self, reply: Reply) -> None:
        """Send an answer of the API, head and body in one piece unless that is a large one. Raises OSError."""
        self.sent_headers = True
        self._drop_rest()
        if reply.status == 413 or not self.server.can_add_keepalive_connection:
            self.close_connection = True
        body = b"" if self.method == b"HEAD" else reply.body
        self.conn.begin(ANSWER_SECONDS)
        if len(body) > ONE_PIECE:
            self.conn.wfile.write(self._head(reply))
            self.conn.wfile.write(body)
        else:
            self.conn.wfile.write(self._head(reply) + body)

    def _head(self, reply: Reply) -> bytes:
        lines = [f"{self.server.protocol} {reply.status} {responses.get(reply.status, '')}"]
        lines += [f"{name}: {CONTROLS.sub('', text)}" for name, text in reply.headers.items()]
        if reply.has_body:
            lines.append(f"Content-Length: {len(reply.body)}")
        lines += ["Server: pyos", f"Date: {formatdate(usegmt=True)}"]
        if self.close_connection:
            lines.append("Connection: close")
        elif self.response_protocol == "HTTP/1.0":
            lines += ["Connection: Keep-Alive", f"Keep-Alive: timeout={self.server.timeout}"]
        return "\r\n".join((*lines, "", "")).encode("latin-1", "replace")

    def _drop_rest(self) -> None:
        """Read what is left of the body, piece by piece: at once it would take as much memory."""
        if self.close_connection or self.chunked_read:
            return
        if self.conn.rfile.failed:
            self.close_connection = True
            return
        try:
            while self.rfile.remaining and self.rfile.read(64 * 1024):
                pass
        except OSError:
            self.close_connection = True
        else:
            self.close_connection = self.close_connection or self.rfile.remaining > 0

    def simple_response(self, status: Any, msg: str = "") -> None:
        text = str(status)
        code, _, reason = text.partition(" ")
        body = encode({"status": int(code), "message": msg or reason or "error"})
        head = (
            f"{self.server.protocol} {text}\r\nContent-Type: {JSON_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.close_connection = True
        self.conn.begin(SHORT_SECONDS)
        try:
            self.conn.wfile.write(head.encode("iso-8859-1", "replace") + body)
        except OSError:
            # The client is gone: nobody is left to tell.
            return


class JsonConnection(HTTPConnection):
    """Connections of this server only; cheroot's own class stays as it is."""

    RequestHandlerClass = JsonHTTPRequest

    def __init__(self, server: Any, sock: Any, _makefile: object = None) -> None:
        source, sink = (TimedSocket(sock, mode, server.waiting, server.silence) for mode in ("rb", "wb"))
        self._timed = (source, sink)

        def file(_: Any, mode: str, size: int) -> TimedReader | TimedWriter:
            return TimedReader(source, size) if "r" in mode else TimedWriter(sink)

        super().__init__(server, sock, file)
        # Caches of their own methods: a connection would refer to itself and wait for the garbage collector.
        del self.resolve_peer_creds, self.get_peer_creds

    def communicate(self) -> bool:
        """Serve requests as long as they follow one another closely and no other client wants this thread; whether to
        keep the connection. A connection that is handed back costs a wake-up of two threads at its next request.
        """
        while super().communicate():  # type: ignore[no-untyped-call]  # cheroot has no types there
            if self.server.requests.qsize or not self.rfile.has_more(FOLLOWING_SECONDS):
                return True
        return False

    def begin(self, seconds: float) -> None:
        """From now on the client has ``seconds`` to send, and to take, what is under way."""
        for raw in self._timed:
            raw.begin(seconds)


class BoundedPool(ThreadPool):
    """Worker threads that never keep the process alive: a launch may block for minutes, a stop must not."""

    def _spawn_worker(self) -> Any:
        worker: Any = WorkerThread(self.server)  # type: ignore[no-untyped-call]  # cheroot has no types there
        worker.name = f"http-{worker.name}"
        worker.daemon = True
        worker.start()
        return worker

    def stop(self, timeout: float | None = 5) -> None:
        """Let running requests finish for ``timeout`` seconds, then close their connections and go on."""
        stopping = threading.Thread(target=super().stop, args=(timeout,), name="http-stop", daemon=True)
        deadline = time.monotonic() + (timeout or 0) + 1
        stopping.start()
        stopping.join(max(0.0, deadline - time.monotonic()))
        if stopping.is_alive():
            logger.warning("requests that did not finish in time were cut off")


class ApiServer(CPWSGIServer):  # type: ignore[misc]
    """CherryPy's server with the connections and the threads above, which hands requests to ``api``."""

    keep_alive_conn_limit = KEPT_CONNECTIONS

    def __init__(self, api: Api, server_adapter: Any = cherrypy.server) -> None:
        super().__init__(server_adapter)
        self.api = api
        self.silence: float = server_adapter.socket_timeout
        self.timeout = max(KEPT_SECONDS, self.silence)
        self.gateway = ApiGateway
        self.ConnectionClass = JsonConnection
        self.waiting = Waiting(server_adapter.thread_pool)
        self.requests = BoundedPool(self, min=server_adapter.thread_pool, max=server_adapter.thread_pool)


def configure_server(settings: Settings, threads: int, api: Api) -> None:
    """Apply the configuration to CherryPy's server. ``threads``: see oc.web.lanes.pool_size."""
    cherrypy.config.update(
        {
            "server.max_request_header_size": MAX_HEADERS,
            "server.socket_timeout": SOCKET_TIMEOUT,
            "server.socket_queue_size": BACKLOG,
            **settings.server.cherrypy,
            "server.socket_host": settings.server.socket_host,
            "server.socket_port": settings.server.socket_port,
            "server.thread_pool": threads,
            "server.shutdown_timeout": settings.server.shutdown_timeout,
            "server.max_request_body_size": SERVER_MAX_BODY,
            "engine.autoreload.on": False,
            "checker.on": False,
            "log.screen": False,
            "log.access_file": "",
            "log.error_file": "",
            "request.show_tracebacks": False,
        }
    )
    cherrypy.log.time = _no_time
    cherrypy.server.httpserver = ApiServer(api)


def _no_time() -> str:
    """CherryPy writes its own time into each record; the formatter has one already."""
    return ""
