"""Where private addresses are: the subnets of Active Directory sites (services.md 8.2)."""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from oc.auth.providers.activedirectory import Subnet
from oc.errors import ODError

logger = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Sites = tuple[tuple[Network, Subnet], ...]


class SitesProvider(Protocol):
    """A provider that knows the subnets of its domain."""

    @property
    def name(self) -> str: ...
    @property
    def domain(self) -> str: ...
    def subnets(self) -> list[Subnet]: ...


class ActiveDirectorySites:
    """The subnets of each domain, read in the background at start and again when an operator asks. Thread-safe."""

    def __init__(self, providers: Callable[[], Iterable[SitesProvider]]) -> None:
        self._providers = providers
        self._refreshing = threading.Lock()
        self._sites: Mapping[str, Sites] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Read the sites in the background: a slow directory does not delay the start."""
        self._thread = threading.Thread(target=self._guarded_refresh, name="adsites", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait a moment for the reading; it holds nothing that must be given back."""
        if self._thread is not None:
            self._thread.join(1.0)
            self._thread = None

    def refresh(self) -> None:
        """Read the sites of every provider. One that does not answer keeps what is known of its domain."""
        with self._refreshing:
            sites = dict(self._sites)
            for provider in self._providers():
                try:
                    found = provider.subnets()
                except ODError as error:
                    logger.error("the sites of provider %s cannot be read: %s", provider.name, error.message)
                    continue
                sites[provider.domain.upper()] = _longest_first(found)
            self._sites = sites

    def locate(self, address: str, domain: str | None) -> dict[str, Any] | None:
        """The answer of ``user/getlocation`` for an address in a subnet of the user's domain, else None."""
        known = self._sites.get((domain or "").upper())
        if not known:
            return None
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return None
        for network, subnet in known:
            if network.version == parsed.version and parsed in network:
                return {
                    "site": subnet.location,
                    "subnet": subnet.subnet,
                    "ipAddr": address,
                    "country": None,
                    "country_code": None,
                    "location": subnet.location,
                    "timezone": None,
                    "siteObject": None,
                    "autonomous_system_number": None,
                    "autonomous_system_organization": None,
                    "datasource": "activedirectory",
                }
        return None

    def _guarded_refresh(self) -> None:
        try:
            self.refresh()
        except Exception:
            logger.exception("the sites of Active Directory cannot be read")


def _longest_first(subnets: Iterable[Subnet]) -> Sites:
    sites: list[tuple[Network, Subnet]] = []
    for subnet in subnets:
        try:
            sites.append((ipaddress.ip_network(subnet.subnet, strict=False), subnet))
        except ValueError:
            logger.warning("a subnet of a site is no network, it is passed over")
    return tuple(sorted(sites, key=lambda item: -item[0].prefixlen))
