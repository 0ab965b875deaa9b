"""How the API server is reached: address, proxy, TLS."""

from __future__ import annotations

import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from kubernetes.client import Configuration
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.utils.keepalive import tcp_keepalive_socket_options

from oc.errors import ODError
from oc.od.orchestrator import wire
from oc.od.orchestrator.tls import ResumingContext, ServerTls
from oc.od.orchestrator.wire import Connection, WireError

PORTS: Final = {"http": 80, "https": 443}
SOCKET_OPTIONS: Final = tcp_keepalive_socket_options()
"""As client-go's, TCP_NODELAY too: balancers forget connections that are idle, in minutes and without a word; what is
written to one then is lost. Probes keep it alive, or find out."""


class ServerConnection(Connection):
    """A connection whose TLS session the next one resumes."""

    def close(self) -> None:
        """Close it, and keep its session."""
        if isinstance(self._socket, ssl.SSLSocket) and isinstance(self._socket.context, ResumingContext):
            self._socket.context.keep_session(self._socket)
        super().close()


class Dialer:
    """Makes connections to the server of a configuration. Thread-safe.

    host: value of the Host header. origin: what is to be cut off a URL to get the target of a request.
    Raises ODError for what no connection can be made to.
    """

    def __init__(self, configuration: Configuration) -> None:
        try:
            parts = urlsplit(configuration.host)
            host, port = parts.hostname, parts.port or PORTS[parts.scheme]
        except (KeyError, ValueError):
            host, port = None, 0
        if not host:
            raise ODError("the address of the Kubernetes API is no URL", doing=f"reading {configuration.host!r}")
        self._configuration = configuration
        self._tls = ServerTls(configuration) if parts.scheme == "https" else None
        self._address = (host, port)
        self._proxy = _proxy(configuration)
        self.host = parts.netloc.rpartition("@")[2]
        self.origin = f"{parts.scheme}://{parts.netloc}"

    def dial(self, seconds: float) -> Connection:
        """A new connection, in ``seconds`` a step. Raises OSError, WireError."""
        sock = socket.create_connection(self._proxy or self._address, seconds)
        try:
            for option in SOCKET_OPTIONS:
                sock.setsockopt(*option)
            if self._proxy:
                self._tunnel(sock, seconds)
            if self._tls is None:
                return Connection(sock)
            name = self._configuration.tls_server_name or self._address[0]
            return ServerConnection(self._tls.context().connect(sock, name.rstrip(".")))
        except BaseException:
            sock.close()
            raise

    def _tunnel(self, sock: socket.socket, seconds: float) -> None:
        """Have the proxy connect to the server (RFC 9110 9.3.6)."""
        host, port = self._address
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        fields = {"Host": target, **(self._configuration.proxy_headers or {})}
        head = Connection(sock).ask(wire.request("CONNECT", target, fields), seconds)
        if not 200 <= head.status < 300:
            raise WireError(f"the proxy answers {head.status}")


def _proxy(configuration: Configuration) -> tuple[str, int] | None:
    """Address of the proxy, if any."""
    if not configuration.proxy or should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
        return None
    parts = urlsplit(configuration.proxy)
    if parts.scheme != "http" or not parts.hostname:
        raise ODError("the proxy before the Kubernetes API must be http://host:port", doing="reading its address")
    return parts.hostname, parts.port or PORTS["http"]
