"""Connections that cannot hang: TLS as the standard library checks it, time and size limits on every read."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from oc.auth.directory.library import LDAPExceptionError, ldap3
from oc.auth.directory.servers import ServerAddress
from oc.errors import DeadlineExceededError
from oc.model.deadline import Deadline

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Largest answer to one request: entries with photos fit, an endless stream does not."""

MAX_ADDRESSES: Final = 3
"""How many addresses of one host name are tried."""

IP_MODES: Final = ("IP_SYSTEM_DEFAULT", "IP_V4_ONLY", "IP_V6_ONLY", "IP_V4_PREFERRED", "IP_V6_PREFERRED")


class DirectoryError(Exception):
    """A request to a directory failed. ``str()`` is for the log."""


class ServerFailedError(DirectoryError):
    """This server did not answer, or not as LDAP demands: another one may."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How to reach servers. Times in seconds. context: TLS of ldaps and StartTLS, made once."""

    context: ssl.SSLContext
    connect_seconds: float = 5.0
    receive_seconds: float = 15.0
    start_tls: bool = False
    ip_mode: str = "IP_V4_PREFERRED"


def tls_context(ca_file: Path | None, *, verify: bool) -> ssl.SSLContext:
    """What is demanded of a server's certificate.

    verify: it must be valid for the server's name. ca_file: PEM file of the authorities to trust instead of the
    system's. Raises OSError (ssl.SSLError among them) when the file cannot be used.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class BoundedSocket:
    """A socket whose reads and writes end in time and whose answers end somewhere.

    A deadline alone bounds also a server that sends one byte now and then, which no time-out of a single read does.
    """

    def __init__(self, raw: socket.socket, deadline: Deadline, seconds: float) -> None:
        self.raw = raw
        self.deadline = deadline
        self._seconds = seconds
        self._received = 0

    def recv(self, size: int) -> bytes:
        self._arm()
        data = self.raw.recv(size)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self._received += len(data)
        if self._received > MAX_ANSWER_BYTES:
            raise OSError("the answer is too large")
        return data

    def sendall(self, data: bytes) -> None:
        self._arm()
        self._received = 0
        self.raw.sendall(data)

    def _arm(self) -> None:
        try:
            self.raw.settimeout(self.deadline.cap(self._seconds))
        except DeadlineExceededError as error:
            raise TimeoutError("no time is left") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


class _Tls(ldap3.Tls):  # type: ignore[misc]
    """TLS by a ready context: names and addresses of certificates are checked by OpenSSL, SNI is sent."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(validate=context.verify_mode)
        self._context = context

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        current = connection.socket
        raw = current.raw if isinstance(current, BoundedSocket) else current
        wrapped = self._context.wrap_socket(raw, server_hostname=connection.server.host)
        if isinstance(current, BoundedSocket):
            current.raw = wrapped
        else:
            connection.socket = wrapped


class _Server(ldap3.Server):  # type: ignore[misc]
    """A server whose name may stand for many addresses, of which a few are tried."""

    def candidate_addresses(self) -> list[Any]:
        found: list[Any] = super().candidate_addresses()
        return found[:MAX_ADDRESSES]


def open_connection(address: ServerAddress, options: TransportOptions, deadline: Deadline) -> Any:
    """An ldap3 connection that is connected, encrypted as configured, and not bound.

    Referrals are never followed: they would carry the user's password to a server nobody configured.
    Raises ServerFailedError.
    """
    try:
        connect = deadline.cap(options.connect_seconds)
    except DeadlineExceededError as error:
        raise ServerFailedError(f"{address}: no time is left") from error
    connection: Any = None
    try:
        server = _Server(
            address.host,
            port=address.port,
            use_ssl=address.tls,
            tls=_Tls(options.context),
            get_info=ldap3.NONE,
            mode=options.ip_mode,
            connect_timeout=connect,
        )
        connection = ldap3.Connection(
            server,
            client_strategy=ldap3.SYNC,
            auto_referrals=False,
            raise_exceptions=False,
            check_names=False,
            auto_escape=False,
        )
        _close_failed_sockets(connection)
        connection.open(read_server_info=False)
        connection.socket = BoundedSocket(connection.socket, deadline, options.receive_seconds)
        if options.start_tls and not address.tls:
            connection.start_tls(read_server_info=False)
            if not isinstance(connection.socket.raw, ssl.SSLSocket):
                raise ServerFailedError(f"{address}: the connection is not encrypted")
    except (LDAPExceptionError, OSError) as error:
        if connection is not None:
            connection.strategy.close()
        raise ServerFailedError(f"{address}: {printable(error)}") from None
    except BaseException:
        if connection is not None:
            connection.strategy.close()
        raise
    return connection


def _close_failed_sockets(connection: Any) -> None:
    """The library forgets the socket of an address that did not answer."""
    open_socket = connection.strategy._open_socket

    def open_or_close(*arguments: Any, **options: Any) -> None:
        try:
            open_socket(*arguments, **options)
        except BaseException:
            if connection.socket is not None:
                connection.socket.close()
            raise

    connection.strategy._open_socket = open_or_close


def printable(text: object, length: int = 200) -> str:
    """Text of a server or a library as a log line may hold it."""
    return "".join(character if character.isprintable() else " " for character in str(text)[:length])
