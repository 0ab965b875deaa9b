"""Subnets of sites: which one an address is in, and directories that do not answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from oc.auth.providers.activedirectory import Subnet
from oc.errors import AuthenticationFailureError
from oc.od.adsites import ActiveDirectorySites


@dataclass
class Provider:
    """A domain whose directory may be away."""

    domain: str
    found: list[Subnet] = field(default_factory=list)
    away: bool = False
    name: str = "planet"

    def subnets(self) -> list[Subnet]:
        if self.away:
            raise AuthenticationFailureError("all servers are unavailable")
        return self.found


EARTH = Subnet("10.0.0.0/8", "CN=earth", "Earth")
YORK = Subnet("10.1.0.0/16", "CN=york", "New New York")
SIX = Subnet("2001:db8::/32", "CN=mars", "Mars")
BROKEN = Subnet("10.0.0.0/99", "CN=x", "X")


def test_the_longest_prefix_says_where_an_address_is() -> None:
    sites = ActiveDirectorySites(lambda: [Provider("PLANET", [EARTH, YORK, SIX, BROKEN])])
    sites.refresh()
    found = sites.locate("10.1.2.3", "planet")
    assert found is not None
    assert (found["site"], found["location"], found["subnet"]) == ("New New York", "New New York", "10.1.0.0/16")
    assert (found["ipAddr"], found["datasource"], found["siteObject"]) == ("10.1.2.3", "activedirectory", None)
    assert sites.locate("10.9.9.9", "PLANET") == {**found, "site": "Earth", "location": "Earth"} | {
        "subnet": "10.0.0.0/8",
        "ipAddr": "10.9.9.9",
    }
    assert (sites.locate("2001:db8::1", "PLANET") or {})["site"] == "Mars"


def test_addresses_elsewhere_and_users_of_other_domains_are_not_located() -> None:
    sites = ActiveDirectorySites(lambda: [Provider("PLANET", [YORK])])
    sites.refresh()
    for address, domain in (("192.0.2.1", "PLANET"), ("nonsense", "PLANET"), ("10.1.2.3", "MARS"), ("10.1.2.3", None)):
        assert sites.locate(address, domain) is None


def test_a_directory_that_is_away_keeps_what_is_known_of_it_and_hinders_no_other() -> None:
    planet, mars = Provider("PLANET", [YORK]), Provider("MARS", [])
    sites = ActiveDirectorySites(lambda: [planet, mars])
    sites.refresh()
    planet.away, mars.found = True, [YORK]
    sites.refresh()
    assert sites.locate("10.1.2.3", "PLANET") is not None
    assert sites.locate("10.1.2.3", "MARS") is not None


def test_the_first_reading_is_done_in_the_background() -> None:
    sites = ActiveDirectorySites(lambda: [Provider("PLANET", [YORK])])
    sites.start()
    sites.stop()
    assert sites.locate("10.1.2.3", "PLANET") is not None
