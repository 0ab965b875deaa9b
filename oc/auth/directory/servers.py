"""The servers of a directory: how the configuration writes them, and in which order they are tried."""

from __future__ import annotations

import ipaddress
import random
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

LDAP_PORT: Final = 389
LDAPS_PORT: Final = 636
MAX_SERVERS: Final = 32
AVOID_SECONDS: Final = 30.0
"""How long a server that failed is tried after the others."""

_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One server. ``host`` without brackets; ``tls``: TLS from the first byte (ldaps)."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.tls else 'ldap'}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_server(text: str, *, secure: bool = False) -> ServerAddress:
    """``host``, ``host:port``, ``ldap://host[:port]`` or ``ldaps://host[:port]``; IPv6 in brackets.

    secure: servers without a scheme use TLS. Raises ValueError saying what is wrong.
    """
    scheme, separator, rest = text.strip().rpartition("://")
    scheme = scheme.lower() if separator else ("ldaps" if secure else "ldap")
    if scheme not in ("ldap", "ldaps"):
        raise ValueError(f"unknown scheme {scheme[:20]!r}, expected ldap:// or ldaps://")
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:/]+))(?::([0-9]{1,5}))?/?", rest)
    if found is None:
        raise ValueError("expected host, ldap://host[:port] or ldaps://host[:port]")
    host = found[1] or found[2]
    if found[1]:
        ipaddress.IPv6Address(found[1])
    elif not _HOST.fullmatch(host):
        raise ValueError("the host name has characters a host name cannot have")
    port = int(found[3]) if found[3] else (LDAPS_PORT if scheme == "ldaps" else LDAP_PORT)
    if not 0 < port < 65536:
        raise ValueError("the port is not in 1..65535")
    return ServerAddress(host, port, scheme == "ldaps")


class ServerList:
    """Servers in a new random order each time; those that failed lately come last. Thread-safe.

    A hanging server so costs its time-out once in ``AVOID_SECONDS``, not at every login.
    """

    def __init__(
        self,
        servers: Iterable[ServerAddress],
        *,
        shuffle: Callable[[list[ServerAddress]], None] = random.shuffle,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.servers = tuple(dict.fromkeys(servers))
        self._shuffle = shuffle
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: dict[ServerAddress, float] = {}

    def __len__(self) -> int:
        return len(self.servers)

    def order(self) -> list[ServerAddress]:
        """The servers as the next attempt tries them."""
        servers = list(self.servers)
        self._shuffle(servers)
        now = self._clock()
        with self._lock:
            avoided = {server for server, until in self._failed.items() if until > now}
        return [server for server in servers if server not in avoided] + [s for s in servers if s in avoided]

    def failed(self, server: ServerAddress) -> None:
        """``server`` did not answer."""
        with self._lock:
            self._failed[server] = self._clock() + AVOID_SECONDS

    def answered(self, server: ServerAddress) -> None:
        """``server`` works."""
        with self._lock:
            self._failed.pop(server, None)
