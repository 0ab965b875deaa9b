"""Where an address is (services.md 8): GeoLite2 databases read from files, each optional."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import geoip2.database
import geoip2.errors
import maxminddb

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
RESOLVE_SECONDS = 2.0
RESOLVED_SECONDS = 600.0
FAILED_SECONDS = 60.0
UNKNOWN: Mapping[str, object] = {
    "site": None,
    "subnet": None,
    "country": None,
    "country_code": None,
    "location": [],
    "timezone": None,
    "siteObject": None,
    "autonomous_system_number": None,
    "autonomous_system_organization": None,
    "datasource": None,
}


class PublicLocator:
    """Looks addresses up in the City and ASN databases. Thread-safe; a look-up never raises.

    A missing or broken file is logged once and switches only its own fields off.
    """

    def __init__(self, city: Path, asn: Path) -> None:
        self._city = _open(city)
        self._asn = _open(asn)

    def locate(self, address: str) -> dict[str, Any]:
        """The answer of ``user/getlocation`` for one address: every key present, nulls where nothing is known."""
        found: dict[str, Any] = {**UNKNOWN, "location": [], "ipAddr": address}
        if not is_public(address):
            return found
        known = {**self._locate_city(address), **self._locate_asn(address)}
        return {**found, **known, "datasource": "GeoLite2"} if known else found

    def autonomous_system(self, address: str) -> str | None:
        """Digits of the AS of a public address, None when unknown."""
        number = self._locate_asn(address).get("autonomous_system_number") if is_public(address) else None
        return None if number is None else str(number)

    def _locate_city(self, address: str) -> dict[str, Any]:
        if self._city is None:
            return {}
        try:
            answer = self._city.city(address)
        except (geoip2.errors.GeoIP2Error, ValueError, TypeError):
            return {}
        position = answer.location
        place = [] if position.latitude is None else [position.latitude, position.longitude]
        return {
            "country": answer.country.name,
            "country_code": answer.country.iso_code,
            "location": place,
            "timezone": position.time_zone,
        }

    def _locate_asn(self, address: str) -> dict[str, Any]:
        if self._asn is None:
            return {}
        try:
            answer = self._asn.asn(address)
        except (geoip2.errors.GeoIP2Error, ValueError, TypeError):
            return {}
        return {
            "autonomous_system_number": answer.autonomous_system_number,
            "autonomous_system_organization": answer.autonomous_system_organization,
        }

    def close(self) -> None:
        """Close both files."""
        for reader in (self._city, self._asn):
            if reader is not None:
                reader.close()


class ServerAddress:
    """The public address of this site: configured, else that of the host in its URL, else the loopback address.

    A name is looked up at the first question and again after ten minutes (one minute when it failed). Nobody waits for
    a resolver for more than two seconds. Thread-safe. clock: monotonic seconds.
    """

    def __init__(
        self,
        configured: str | None,
        url: str | None,
        resolve: Callable[[str], str] = socket.gethostbyname,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configured = configured
        self._host = urlsplit(url).hostname if url else None
        self._resolve = resolve
        self._clock = clock
        self._lock = threading.Lock()
        self._known: str | None = None
        self._until = float("-inf")

    def get(self) -> str:
        """The address as text."""
        if self._configured is not None or self._host is None:
            return self._configured or LOOPBACK
        with self._lock:
            if self._clock() >= self._until:
                # Set first: while one asks the resolver, the others take what is known.
                self._until = self._clock() + FAILED_SECONDS
                asking = threading.Thread(target=self._ask, args=(self._host,), name="resolve-site", daemon=True)
                asking.start()
            else:
                asking = None
        if asking is not None:
            asking.join(RESOLVE_SECONDS)
        return self._known or LOOPBACK

    def _ask(self, host: str) -> None:
        try:
            found = self._resolve(host)
        except (OSError, UnicodeError) as error:
            logger.warning("the host of default_host_url cannot be looked up: %s", error)
            return
        with self._lock:
            self._known, self._until = found, self._clock() + RESOLVED_SECONDS


def is_public(address: str) -> bool:
    """True for a global unicast address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast


def _open(path: Path) -> geoip2.database.Reader | None:
    if not path.is_file():
        logger.info("%s is not there: its look-ups are off", path)
        return None
    try:
        return geoip2.database.Reader(path)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        logger.error("%s cannot be read, its look-ups are off: %s", path, error)
        return None
