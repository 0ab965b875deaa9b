"""Domain controllers found in DNS: the SRV records of ``_ldap._tcp.<domain>``, looked up again when they are old."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.resolver

from oc.auth.directory.servers import AVOID_SECONDS, LDAPS_PORT, MAX_SERVERS, ServerAddress, ServerList

logger = logging.getLogger(__name__)

LOOKUP_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 30.0
"""How long a failed look-up is not repeated."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


Lookup = Callable[[str], list[ServiceRecord]]


def look_up(domain: str) -> list[ServiceRecord]:
    """The records of a domain, ``[]`` when there are none or the DNS does not answer. UDP first, then TCP."""
    name = f"_ldap._tcp.{domain.rstrip('.')}."
    try:
        resolver = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError) as error:
        logger.error("the configuration of the DNS resolver cannot be read: %s", type(error).__name__)
        return []
    for tcp in (False, True):
        try:
            answer = resolver.resolve(name, "SRV", tcp=tcp, lifetime=LOOKUP_SECONDS, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            break
        except (dns.exception.DNSException, OSError) as error:
            logger.warning("DNS does not answer for %s by %s: %s", name, "TCP" if tcp else "UDP", type(error).__name__)
        else:
            records = [
                ServiceRecord(item.priority, item.weight, item.port, item.target.to_text(omit_final_dot=True))
                for item in answer
            ]
            return [record for record in records if record.target]  # a target "." says: no such service
    return []


class DomainControllers(ServerList):
    """The controllers of a domain, in the order of RFC 2782; those that failed lately come last. Thread-safe.

    Records older than ``max_age`` seconds are looked up again by the next login; while DNS is away the last known
    ones stay in use. given: servers of the configuration, used until DNS knows better.
    """

    def __init__(
        self,
        domain: str,
        *,
        secure: bool,
        max_age: float,
        given: tuple[ServerAddress, ...] = (),
        lookup: Lookup = look_up,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(given, clock=clock)
        self._domain = domain
        self._secure = secure
        self._max_age = max_age
        self._lookup = lookup
        self._refreshing = threading.Lock()
        self._records: list[ServiceRecord] = []
        self._next = float("-inf")

    def __len__(self) -> int:
        return max(1, len(self._records) or len(self.servers))

    def order(self) -> list[ServerAddress]:
        self._refresh()
        records = self._records
        if not records:
            return super().order()
        wanted = [self._address(record) for record in in_order(records)]
        avoided = self._avoided()
        servers = list(dict.fromkeys(wanted))[:MAX_SERVERS]
        return [server for server in servers if server not in avoided] + [s for s in servers if s in avoided]

    def _avoided(self) -> set[ServerAddress]:
        now = self._clock()
        with self._lock:
            self._failed = {
                server: until for server, until in self._failed.items() if now < until <= now + AVOID_SECONDS
            }
            return set(self._failed)

    def _refresh(self) -> None:
        """One thread asks; the others go on with what is known, and wait only when nothing is."""
        if self._clock() < self._next or not self._refreshing.acquire(blocking=not self._records):
            return
        try:
            if self._clock() < self._next:
                return
            found = self._lookup(self._domain)
            if found:
                self._records = found
            else:
                logger.error("no domain controllers found in DNS for %s", self._domain)
            self._next = self._clock() + (self._max_age if found else min(RETRY_SECONDS, self._max_age))
        finally:
            self._refreshing.release()

    def _address(self, record: ServiceRecord) -> ServerAddress:
        """The records speak of plain LDAP: LDAPS has a port of its own and no records."""
        return ServerAddress(record.target, LDAPS_PORT if self._secure else record.port, self._secure)


def in_order(records: list[ServiceRecord], pick: Callable[[], float] = random.random) -> list[ServiceRecord]:
    """Lowest priority first; among equals at random, heavier ones more often first."""
    return sorted(records, key=lambda record: (record.priority, -(pick() ** (1 / (record.weight or 0.1)))))
