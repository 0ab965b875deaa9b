"""The listening HTTP server: JSON also where cheroot answers by itself, and threads for short and long requests."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import cherrypy
from cheroot.server import HTTPConnection
from cheroot.workers.threadpool import ThreadPool, WorkerThread
from cherrypy._cpwsgi_server import CPWSGIHTTPRequest, CPWSGIServer

from oc.od.settings import Settings
from oc.web.answers import JSON_TYPE, encode
from oc.web.exposing import LARGE_MAX_BODY

logger = logging.getLogger(__name__)

#: Above the largest body of any route, so that the API answers 413 itself; still a bound on what is read and dropped.
SERVER_MAX_BODY = LARGE_MAX_BODY + 64 * 1024
MAX_HEADERS = 128 * 1024
SOCKET_TIMEOUT = 10


class JsonHTTPRequest(CPWSGIHTTPRequest):  # type: ignore[misc]  # CherryPy has no types
    """A request that cheroot refuses before the application sees it gets the error JSON too."""

    def simple_response(self, status: Any, msg: str = "") -> None:
        text = str(status)
        code, _, reason = text.partition(" ")
        body = encode({"status": int(code), "message": msg or reason or "error"})
        head = (
            f"{self.server.protocol} {text}\r\nContent-Type: {JSON_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.close_connection = True
        try:
            self.conn.wfile.write(head.encode("iso-8859-1", "replace") + body)
        except OSError:
            # The client is gone: nobody is left to tell.
            return


class JsonConnection(HTTPConnection):
    """Connections of this server only; cheroot's own class stays as it is."""

    RequestHandlerClass = JsonHTTPRequest


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
    """CherryPy's WSGI server with the connections and the threads above."""

    def __init__(self, server_adapter: Any = cherrypy.server) -> None:
        super().__init__(server_adapter)
        self.ConnectionClass = JsonConnection
        self.requests = BoundedPool(self, min=server_adapter.thread_pool, max=server_adapter.thread_pool)


def configure_server(settings: Settings, threads: int) -> None:
    """Apply the configuration to CherryPy's server. ``threads``: see oc.web.lanes.pool_size."""
    cherrypy.config.update(
        {
            "server.max_request_header_size": MAX_HEADERS,
            "server.socket_timeout": SOCKET_TIMEOUT,
            "server.socket_queue_size": 128,
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
    cherrypy.server.httpserver = ApiServer(cherrypy.server)


def _no_time() -> str:
    """CherryPy writes its own time into each record; the formatter has one already."""
    return ""
