"""How servers are written, and in which order they are tried."""

from __future__ import annotations

import pytest

from oc.auth.directory.servers import AVOID_SECONDS, ServerAddress, ServerList, parse_server
from tests.auth.support import FakeClock


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openldap", ServerAddress("openldap", 389, False)),
        ("openldap:1389", ServerAddress("openldap", 1389, False)),
        ("ldap://dc1.ad.example.test", ServerAddress("dc1.ad.example.test", 389, False)),
        ("ldap://dc1.ad.example.test/", ServerAddress("dc1.ad.example.test", 389, False)),
        ("LDAPS://dc1", ServerAddress("dc1", 636, True)),
        ("ldaps://[2001:db8::7]:1636", ServerAddress("2001:db8::7", 1636, True)),
        (" ldap://192.0.2.7:389 ", ServerAddress("192.0.2.7", 389, False)),
    ],
)
def test_a_server_is_written_as_documented(text: str, expected: ServerAddress) -> None:
    assert parse_server(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "http://x", "ldap://", "ldap://a b", "ldap://x:0", "ldap://x:99999", "ldap://[zz]", "ldap://u@h", "a/b"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_server(text)


def test_servers_without_a_scheme_may_be_secure_by_default() -> None:
    assert parse_server("openldap", secure=True) == ServerAddress("openldap", 636, True)
    assert parse_server("ldap://openldap", secure=True) == ServerAddress("openldap", 389, False)


def test_only_addresses_of_this_machine_are_loopback() -> None:
    texts = ("localhost", "127.9.9.9", "[::1]", "10.0.0.1", "localhost.example.com")
    assert [parse_server(text).is_loopback for text in texts] == [True, True, True, False, False]


SERVERS = [ServerAddress(name, 389, False) for name in ("a", "b", "c")]


def test_every_server_comes_first_sometimes() -> None:
    servers = ServerList(SERVERS)
    assert {servers.order()[0] for _ in range(200)} == set(SERVERS)
    assert all(sorted(servers.order(), key=str) == SERVERS for _ in range(20))


def test_a_server_that_failed_comes_last_for_a_while() -> None:
    clock = FakeClock()
    servers = ServerList(SERVERS, shuffle=lambda _: None, clock=clock)
    servers.failed(SERVERS[0])
    assert [str(s.host) for s in servers.order()] == ["b", "c", "a"]
    clock.advance(AVOID_SECONDS + 1)
    assert [str(s.host) for s in servers.order()] == ["a", "b", "c"]


def test_a_server_that_answers_again_is_tried_in_turn() -> None:
    servers = ServerList(SERVERS, shuffle=lambda _: None)
    servers.failed(SERVERS[0])
    servers.answered(SERVERS[0])
    assert servers.order() == SERVERS


def test_a_server_named_twice_is_tried_once() -> None:
    assert len(ServerList([*SERVERS, SERVERS[0]])) == 3
