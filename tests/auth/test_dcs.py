"""Domain controllers found in DNS: order, age, and DNS that is away; a real DNS server answers at the end."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import Counter
from pathlib import Path

import dns.resolver
import pytest

from devstack.service import free_port
from oc.auth.dcs import DomainControllers, ServiceRecord, in_order, look_up
from oc.auth.directory.servers import ServerAddress, parse_server

from .support import FakeClock

ONE = ServiceRecord(0, 100, 389, "dc1.example.test")
TWO = ServiceRecord(0, 100, 389, "dc2.example.test")
FAR = ServiceRecord(10, 100, 3389, "dc3.example.test")


class Zone:
    """Answers of a DNS, and how often it was asked."""

    def __init__(self, *records: ServiceRecord) -> None:
        self.records = list(records)
        self.asked = 0

    def __call__(self, domain: str) -> list[ServiceRecord]:
        assert domain == "example.test"
        self.asked += 1
        return list(self.records)


def controllers(zone: Zone, clock: FakeClock, *given: str, secure: bool = False) -> DomainControllers:
    servers = tuple(parse_server(text) for text in given)
    return DomainControllers("example.test", secure=secure, max_age=3600, given=servers, lookup=zone, clock=clock)


def hosts(found: list[ServerAddress]) -> list[str]:
    return [server.host for server in found]


def test_nearer_controllers_come_first(clock: FakeClock) -> None:
    for _ in range(20):
        order = hosts(controllers(Zone(FAR, TWO, ONE), clock).order())
        assert order[2] == "dc3.example.test"
        assert set(order[:2]) == {"dc1.example.test", "dc2.example.test"}


def test_among_equals_the_heavier_is_first_more_often() -> None:
    light, heavy = ServiceRecord(0, 1, 389, "light"), ServiceRecord(0, 99, 389, "heavy")
    first = Counter(in_order([light, heavy])[0].target for _ in range(500))
    assert first["heavy"] > 400


def test_a_record_of_weight_zero_can_still_be_chosen() -> None:
    assert {record.target for record in in_order([ServiceRecord(0, 0, 389, "a"), ServiceRecord(0, 0, 389, "b")])} == {
        "a",
        "b",
    }


def test_records_are_looked_up_by_the_first_login_and_again_when_they_are_old(clock: FakeClock) -> None:
    zone = Zone(ONE)
    servers = controllers(zone, clock)
    assert zone.asked == 0
    assert hosts(servers.order()) == hosts(servers.order()) == ["dc1.example.test"]
    assert zone.asked == 1
    zone.records = [TWO]
    clock.advance(3601)
    assert hosts(servers.order()) == ["dc2.example.test"]
    assert zone.asked == 2


def test_while_dns_is_away_the_last_known_controllers_stay(clock: FakeClock) -> None:
    zone = Zone(ONE)
    servers = controllers(zone, clock, "ldap://given.example.test")
    servers.order()
    zone.records = []
    clock.advance(3601)
    assert hosts(servers.order()) == ["dc1.example.test"]
    assert hosts(servers.order()) == ["dc1.example.test"]
    assert zone.asked == 2, "a failed look-up is not repeated by every login"
    clock.advance(31)
    zone.records = [TWO]
    assert hosts(servers.order()) == ["dc2.example.test"]


def test_the_configured_servers_serve_until_dns_knows_better(clock: FakeClock) -> None:
    zone = Zone()
    servers = controllers(zone, clock, "ldap://given.example.test")
    assert hosts(servers.order()) == ["given.example.test"]
    assert len(servers) == 1


def test_with_tls_the_port_of_the_records_is_not_taken(clock: FakeClock) -> None:
    assert controllers(Zone(ONE), clock, secure=True).order() == [ServerAddress("dc1.example.test", 636, True)]
    assert controllers(Zone(FAR), clock).order() == [ServerAddress("dc3.example.test", 3389, False)]


def test_a_controller_that_failed_is_tried_last_for_a_while(clock: FakeClock) -> None:
    servers = controllers(Zone(ONE, FAR), clock)
    near = servers.order()[0]
    servers.failed(near)
    assert hosts(servers.order()) == ["dc3.example.test", "dc1.example.test"]
    clock.advance(31)
    assert hosts(servers.order()) == ["dc1.example.test", "dc3.example.test"]


def test_one_login_asks_dns_and_the_others_go_on_with_what_is_known(clock: FakeClock) -> None:
    asked, answer = threading.Event(), threading.Event()
    calls: list[str] = []

    def slow(domain: str) -> list[ServiceRecord]:
        calls.append(domain)
        if len(calls) > 1:
            asked.set()
            assert answer.wait(10)
        return [ONE]

    servers = DomainControllers("example.test", secure=False, max_age=60, lookup=slow, clock=clock)
    servers.order()
    clock.advance(61)
    thread = threading.Thread(target=servers.order)
    thread.start()
    assert asked.wait(10)
    assert hosts(servers.order()) == ["dc1.example.test"]
    answer.set()
    thread.join(10)
    assert len(calls) == 2


ZONE = """
port={port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
keep-in-foreground
user=root
pid-file=
srv-host=_ldap._tcp.planet.test,dc1.planet.test,389,0,100
srv-host=_ldap._tcp.planet.test,dc2.planet.test,1389,10,50
local=/planet.test/
"""


@pytest.fixture
def dns_port(tmp_path: Path) -> object:
    program = shutil.which("dnsmasq") or shutil.which("/usr/sbin/dnsmasq")
    if program is None:
        pytest.skip("needs dnsmasq (Debian package dnsmasq-base)")
    port = free_port()
    file = tmp_path / "dnsmasq.conf"
    file.write_text(ZONE.format(port=port))
    process = subprocess.Popen([program, "-C", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_a_real_dns_server_names_the_controllers(dns_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], dns_port
    monkeypatch.setattr(dns.resolver, "Resolver", lambda: resolver)
    found: list[ServiceRecord] = []
    for _ in range(20):  # until the server listens; each try has its own time limit
        found = look_up("planet.test")
        if found:
            break
    assert sorted(found, key=lambda record: record.target) == [
        ServiceRecord(0, 100, 389, "dc1.planet.test"),
        ServiceRecord(10, 50, 1389, "dc2.planet.test"),
    ]
    assert look_up("nowhere.planet.test") == []


def test_a_dns_server_that_is_away_means_no_controllers(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], free_port()
    monkeypatch.setattr(dns.resolver, "Resolver", lambda: resolver)
    monkeypatch.setattr("oc.auth.dcs.LOOKUP_SECONDS", 0.3)
    assert look_up("planet.test") == []
