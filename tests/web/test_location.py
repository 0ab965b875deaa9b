"""Public addresses from GeoLite2-shaped databases made here (services.md 8.1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from oc.od.locator import LOOPBACK, UNKNOWN, PublicLocator, ServerAddress, is_public

PARIS = "81.2.69.160"


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("geo")
    city, asn = directory / "city.mmdb", directory / "asn.mmdb"
    writer = MMDBWriter(4, "GeoLite2-City", languages=["en"])
    place = {
        "country": {"iso_code": "FR", "names": {"en": "France"}},
        "location": {"latitude": 48.85, "longitude": 2.37, "time_zone": "Europe/Paris"},
    }
    writer.insert_network(IPSet(["81.2.69.0/24"]), place)
    writer.to_db_file(str(city))
    writer = MMDBWriter(4, "GeoLite2-ASN", languages=["en"])
    owner = {"autonomous_system_number": 3215, "autonomous_system_organization": "Orange"}
    writer.insert_network(IPSet(["81.2.69.0/24"]), owner)
    writer.to_db_file(str(asn))
    return city, asn


def test_a_known_address_has_country_position_and_system(databases):
    found = PublicLocator(*databases).locate(PARIS)
    assert found == {
        **UNKNOWN,
        "ipAddr": PARIS,
        "country": "France",
        "country_code": "FR",
        "location": [48.85, 2.37],
        "timezone": "Europe/Paris",
        "autonomous_system_number": 3215,
        "autonomous_system_organization": "Orange",
        "datasource": "GeoLite2",
    }


def test_one_missing_database_leaves_the_other(databases, tmp_path):
    city, asn = databases
    only_asn = PublicLocator(tmp_path / "absent", asn).locate(PARIS)
    assert (only_asn["country"], only_asn["autonomous_system_number"]) == (None, 3215)
    only_city = PublicLocator(city, tmp_path / "absent").locate(PARIS)
    assert (only_city["country"], only_city["autonomous_system_number"]) == ("France", None)


def test_a_broken_database_is_logged_and_off(databases, tmp_path, caplog):
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"this is no database")
    assert PublicLocator(broken, databases[1]).locate(PARIS)["country"] is None
    assert "broken.mmdb" in caplog.text


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0.1", "192.168.1.1", "224.0.0.1", "fe80::1", "", "x", "8.8.8.8"]
)
def test_private_unknown_and_malformed_addresses_give_nulls(databases, address):
    assert PublicLocator(*databases).locate(address) == {**UNKNOWN, "ipAddr": address}


def test_the_system_number_is_text_or_nothing(databases):
    locator = PublicLocator(*databases)
    assert locator.autonomous_system(PARIS) == "3215"
    assert locator.autonomous_system("8.8.8.8") is None
    assert locator.autonomous_system("10.0.0.1") is None


def test_an_answer_cannot_change_the_next_one(databases):
    locator = PublicLocator(*databases)
    locator.locate("10.0.0.1")["location"].append("x")
    assert locator.locate("10.0.0.1")["location"] == []


@given(text=st.one_of(st.ip_addresses().map(str), st.text(max_size=60)))
def test_no_address_makes_a_look_up_fail(databases, text):
    locator = PublicLocator(Path("/absent"), databases[1])
    assert locator.locate(text)["ipAddr"] == text
    assert isinstance(is_public(text), bool)


# --- the site itself --------------------------------------------------------------------------------------------------


class Resolver:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: str | None = "203.0.113.80"

    def __call__(self, host: str) -> str:
        self.asked.append(host)
        if self.answer is None:
            raise OSError("no such host")
        return self.answer


def test_a_configured_address_is_taken_without_a_look_up():
    resolver = Resolver()
    assert ServerAddress("198.51.100.1", "https://desktop.example.org", resolver).get() == "198.51.100.1"
    assert resolver.asked == []


def test_without_address_and_url_it_is_the_loopback_address():
    assert ServerAddress(None, None, Resolver()).get() == LOOPBACK


def test_the_host_of_the_url_is_looked_up_once_in_ten_minutes():
    resolver, now = Resolver(), [0.0]
    site = ServerAddress(None, "https://desktop.example.org:8443/x", resolver, lambda: now[0])
    assert [site.get(), site.get()] == ["203.0.113.80"] * 2
    assert resolver.asked == ["desktop.example.org"]
    now[0], resolver.answer = 601.0, "203.0.113.81"
    assert site.get() == "203.0.113.81"


def test_a_failed_look_up_is_repeated_after_a_minute_and_keeps_what_was_known():
    resolver, now = Resolver(), [0.0]
    resolver.answer = None
    site = ServerAddress(None, "https://desktop.example.org", resolver, lambda: now[0])
    assert [site.get(), site.get()] == [LOOPBACK] * 2
    assert len(resolver.asked) == 1
    now[0], resolver.answer = 61.0, "203.0.113.80"
    assert site.get() == "203.0.113.80"
    now[0], resolver.answer = 700.0, None
    assert site.get() == "203.0.113.80"
