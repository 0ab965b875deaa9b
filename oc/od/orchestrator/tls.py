"""TLS of the connections made for one command each (exec): one context for all of them, sessions resumed."""

from __future__ import annotations

import os
import ssl
import threading
from typing import Any, Final

from kubernetes.client import Configuration

READ_BYTES: Final = 16 * 1024  # of a TLS record


class BufferedSocket(ssl.SSLSocket):
    """Reads what has come at once: the WebSocket library asks for the head of an answer byte by byte."""

    _ahead = b""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Up to ``buflen`` bytes."""
        if not self._ahead:
            if buflen >= READ_BYTES:
                return super().recv(buflen, flags)
            self._ahead = super().recv(READ_BYTES, flags)
        taken, self._ahead = self._ahead[:buflen], self._ahead[buflen:]
        return taken

    def shutdown(self, how: int) -> None:
        """Keep a new session for the next connection: its ticket came behind the handshake (RFC 8446 4.6.1)."""
        if isinstance(self.context, ResumingContext) and not self.session_reused:
            self.context.last_session = self.session
        super().shutdown(how)


class ResumingContext(ssl.SSLContext):
    """A context for one server; a connection resumes an earlier session, which spares both sides the work with
    certificates. A server that knows the session no more makes a new one.
    """

    sslsocket_class = BufferedSocket
    last_session: ssl.SSLSession | None = None

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """As any context, with the session to resume."""
        return super().wrap_socket(*arguments, **{"session": self.last_session, **options})


class ExecTls:
    """Gives the TLS options of a connection to the API server. Thread-safe."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._lock = threading.Lock()
        self._made_from: object = None
        self._context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)

    def options(self) -> dict[str, Any]:
        """The ``sslopt`` of the WebSocket library. Raises OSError for files that cannot be read."""
        found = self._configuration
        files = [path for path in (found.ssl_ca_cert, found.cert_file, found.key_file) if path]
        made_from = (found.verify_ssl, [(path, os.stat(path).st_mtime_ns) for path in files])
        with self._lock:
            if made_from != self._made_from:
                self._context, self._made_from = _context(found), made_from
            context = self._context
        verify = {} if found.verify_ssl else {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
        named = {"server_hostname": found.tls_server_name} if found.tls_server_name else {}
        return {"context": context, **verify, **named}


def _context(configuration: Configuration) -> ResumingContext:
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif configuration.ssl_ca_cert:
        context.load_verify_locations(cafile=configuration.ssl_ca_cert)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
