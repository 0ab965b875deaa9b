"""Providers of the planetexpress tree, and servers that misbehave."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devstack.peers.planetexpress import PEOPLE, SERVICE_ACCOUNT, SUFFIX
from devstack.peers.slapd import Slapd
from oc.auth.accounts import AccountDefaults
from oc.auth.providers import Account, Attempt, ProviderContext
from oc.auth.providers.ldap import LdapProvider
from oc.model.identity import ClientInfo

CLIENT = ClientInfo("10.0.2.216")
BY_UID = {"user_filter": "(&(objectClass=person)(uid=%s))", "serviceaccount": SERVICE_ACCOUNT}
"""Users log in by their uid: the service account finds their DN."""


class Directory:
    """Makes providers; ``close`` ends what they keep open."""

    def __init__(self, slapd: Slapd, base: Path) -> None:
        self.slapd = slapd
        self.base = base
        self._made: list[LdapProvider] = []

    def provider(self, **keys: Any) -> LdapProvider:
        """A provider of the plain listener; ``keys`` over the defaults, None removes one."""
        given = {"servers": [self.slapd.ldap[0]], "ldap_basedn": PEOPLE, "groups_ou": SUFFIX, **keys}
        made = LdapProvider("planet", given, ProviderContext(AccountDefaults(password="generic"), self.base))
        self._made.append(made)
        return made

    def close(self) -> None:
        for made in self._made:
            made.close()


def login(provider: LdapProvider, userid: str | None, password: str | None) -> Account:
    """The account of a user; the connection is closed again."""
    with provider.open(Attempt(CLIENT, userid, password)) as account:
        return account


Answer = Callable[[socket.socket], None]


@contextmanager
def listener(answer: Answer) -> Iterator[tuple[str, list[int]]]:
    """A server that treats each connection as ``answer`` says. Gives its address and a list of connection numbers."""
    stopping = threading.Event()
    connections: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            kept: list[socket.socket] = []
            while not stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    connections.append(len(connections))
                    kept.append(connection)
                    with contextlib.suppress(OSError):
                        answer(connection)
            for connection in kept:
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"ldap://127.0.0.1:{server.getsockname()[1]}", connections
        finally:
            stopping.set()
            thread.join(10)


def hang(connection: socket.socket) -> None:
    """Take the connection and say nothing."""


def hang_up(connection: socket.socket) -> None:
    """Close at once."""
    connection.close()


def nonsense(connection: socket.socket) -> None:
    """Answer what is no LDAP."""
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4)
    connection.close()


def dead_address() -> str:
    """An address nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"ldap://127.0.0.1:{probe.getsockname()[1]}"
