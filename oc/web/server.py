"""The listening HTTP server: cheroot's socket and threads; oc.web.parking and oc.web.connection do the rest."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import cherrypy
from cheroot.workers.threadpool import ThreadPool, WorkerThread
from cherrypy._cpwsgi_server import CPWSGIServer

from oc.od.settings import Settings
from oc.web.application import Api
from oc.web.connection import SERVER_MAX_BODY, Connection
from oc.web.parking import SWEEP_SECONDS, Parking
from oc.web.wire import Waiting

logger = logging.getLogger(__name__)

MAX_HEADERS = 128 * 1024
SOCKET_TIMEOUT = 10
#: Connections that wait to be accepted, of a class that clicks at once; one too many is tried again after a second.
BACKLOG = 1024
#: Idle connections, of proxies mostly, that wait for their next request.
KEPT_CONNECTIONS = 256
#: How long each waits. nginx keeps them for 60 s: whoever sends the next request should also be who hangs up, or a
#: request crosses the end of its connection and is answered 502.
KEPT_SECONDS = 75


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

    @staticmethod
    def _force_close(conn: Connection | None) -> None:
        if conn is not None:
            conn.cut_off()


class ApiServer(CPWSGIServer):  # type: ignore[misc]  # CherryPy has no types
    """CherryPy's server with the connections and the threads above, which hands requests to ``api``."""

    keep_alive_conn_limit = KEPT_CONNECTIONS
    expiration_interval = SWEEP_SECONDS

    def __init__(self, api: Api, server_adapter: Any = cherrypy.server) -> None:
        """Raises ValueError for TLS, which belongs to the router."""
        if server_adapter.ssl_certificate or server_adapter.ssl_context:
            raise ValueError("server.ssl_*: TLS belongs to the router, this server speaks HTTP only")
        super().__init__(server_adapter)
        self.api = api
        self.silence: float = server_adapter.socket_timeout
        self.timeout = max(KEPT_SECONDS, self.silence)
        self.max_head: int = self.max_request_header_size or MAX_HEADERS
        self.waiting: Waiting = Waiting(server_adapter.thread_pool)
        self.requests = BoundedPool(self, min=server_adapter.thread_pool, max=server_adapter.thread_pool)

    def prepare(self) -> None:
        """Bind the port and start the threads."""
        super().prepare()
        self._connections.close()
        self._connections: Any = Parking(self, self.socket)


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
