"""TLS to the API server: one context for all connections, sessions resumed."""

from __future__ import annotations

import os
import socket
import ssl
import threading

from kubernetes.client import Configuration


class ResumingContext(ssl.SSLContext):
    """A context for one server; a connection resumes an earlier session, which spares both sides the work with
    certificates. A server that knows the session no more makes a new one.
    """

    last_session: ssl.SSLSession | None = None

    def connect(self, sock: socket.socket, name: str) -> ssl.SSLSocket:
        """Do the handshake with the server of that name. Raises OSError."""
        return self.wrap_socket(sock, server_hostname=name, session=self.last_session)

    def keep_session(self, sock: ssl.SSLSocket) -> None:
        """Keep a new session for the next connection: its ticket came behind the handshake (RFC 8446 4.6.1)."""
        if sock.session_reused is False:  # None: closed before
            self.last_session = sock.session


class ServerTls:
    """The context, made anew when a file of the configuration has changed. Thread-safe."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._lock = threading.Lock()
        self._made_from: object = None
        self._context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)

    def context(self) -> ResumingContext:
        """The context as of now. Raises OSError for files that cannot be read."""
        found = self._configuration
        files = [path for path in (found.ssl_ca_cert, found.cert_file, found.key_file) if path]
        made_from = (found.verify_ssl, [(path, os.stat(path).st_mtime_ns) for path in files])
        with self._lock:
            if made_from != self._made_from:
                self._context, self._made_from = _context(found), made_from
            return self._context


def _context(configuration: Configuration) -> ResumingContext:
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])  # a balancer that speaks more would choose
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif configuration.ssl_ca_cert or configuration.ca_cert_data:
        context.load_verify_locations(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
