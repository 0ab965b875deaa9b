"""Client address and spoof test: the table of http-api.md 2.8."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.web.address import ClientAddress, client_address, parse_address

ROUTER = "10.244.0.7"
PUBLIC = "203.0.113.9"
OTHER = "198.51.100.20"
OUTER = (ipaddress.ip_network("192.0.2.0/24"),)
V6 = (ipaddress.ip_network("2001:db8::/32"),)

CASES = [
    # name, peer, X-Forwarded-For, X-Real-IP, trusted_proxy_cidr, address, spoofed
    ("direct from the internet", PUBLIC, None, None, (), PUBLIC, False),
    ("direct from the cluster", "10.1.2.3", None, None, (), "10.1.2.3", False),
    ("shipped topology: one entry by the router", ROUTER, PUBLIC, PUBLIC, (), PUBLIC, False),
    ("shipped topology, private client", ROUTER, "192.168.7.8", None, (), "192.168.7.8", False),
    ("an untrusted peer's headers are ignored", PUBLIC, "10.0.0.1", "10.0.0.1", (), PUBLIC, False),
    ("a claimed private first entry does not win", ROUTER, f"10.0.0.1, {PUBLIC}", None, (), PUBLIC, False),
    ("a private hop is passed", ROUTER, f"{PUBLIC}, 10.0.0.5", None, (), PUBLIC, False),
    ("all hops trusted: the leftmost", ROUTER, "192.168.0.9, 10.0.0.5", None, (), "192.168.0.9", False),
    ("real ip without forwarded-for", ROUTER, None, PUBLIC, (), PUBLIC, False),
    ("forwarded-for wins over real ip", ROUTER, PUBLIC, OTHER, (), PUBLIC, False),
    ("garbage ends the walk at the last good hop", ROUTER, f"garbage, {PUBLIC}", None, (), PUBLIC, False),
    ("garbage next to the router", ROUTER, f"{PUBLIC}, garbage", None, (), ROUTER, False),
    ("empty forwarded-for", ROUTER, "", None, (), ROUTER, False),
    ("address with a port is no address", ROUTER, f"{PUBLIC}:4711", None, (), ROUTER, False),
    ("IPv4-mapped peer", f"::ffff:{ROUTER}", PUBLIC, None, (), PUBLIC, False),
    ("IPv6 client", ROUTER, "2001:DB8::1", None, (), "2001:db8::1", False),
    ("IPv6 private peer", "fd00::7", "2001:db8::1", None, (), "2001:db8::1", False),
    ("configured: listed outer proxy", ROUTER, f"{PUBLIC}, 192.0.2.4", None, OUTER, PUBLIC, False),
    ("configured: unlisted proxies only", ROUTER, f"{PUBLIC}, {OTHER}", None, OUTER, OTHER, True),
    ("configured: a private hop is no longer trusted", ROUTER, f"{PUBLIC}, 10.0.0.5", None, OUTER, "10.0.0.5", True),
    ("configured: single entry is never spoofed", ROUTER, PUBLIC, None, OUTER, PUBLIC, False),
    ("configured: no header", ROUTER, None, PUBLIC, OUTER, PUBLIC, False),
    ("configured: header from an untrusted peer", PUBLIC, "10.0.0.1", None, OUTER, PUBLIC, True),
    ("configured: garbage counts as spoofed", ROUTER, "garbage, 192.0.2.4", None, OUTER, "192.0.2.4", True),
    (
        "configured: one trusted among several stops at the first untrusted",
        ROUTER,
        f"10.0.0.1, {OTHER}, 192.0.2.4",
        None,
        OUTER,
        OTHER,
        False,
    ),
    ("configured: the peer itself is listed", "192.0.2.4", PUBLIC, None, OUTER, PUBLIC, False),
    ("configured: IPv6 proxy", "2001:db8::5", f"{PUBLIC}, 2001:db8::9", None, V6, PUBLIC, False),
]


@pytest.mark.parametrize(
    ("peer", "forwarded", "real", "trusted", "ip", "spoofed"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_the_client_address_follows_the_walk_of_the_proxies(peer, forwarded, real, trusted, ip, spoofed):
    found = client_address(peer, forwarded, real, trusted)
    assert (found.ip, found.spoofed) == (ip, spoofed)


@pytest.mark.parametrize(
    ("peer", "forwarded", "real", "trusted", "chargeable"),
    [
        (PUBLIC, None, None, (), True),
        ("10.1.2.3", None, None, (), True),
        (ROUTER, PUBLIC, None, (), True),
        (ROUTER, f"{PUBLIC}, {OTHER}", None, OUTER, True),
        (ROUTER, "garbage", None, (), False),
        (ROUTER, "garbage, 10.0.0.5", None, (), False),
        (ROUTER, None, "garbage", (), False),
        (ROUTER, "garbage, 192.0.2.4", None, OUTER, False),
        ("192.0.2.4", None, None, OUTER, False),
        (PUBLIC, "10.0.0.1", None, OUTER, True),
    ],
)
def test_a_fail_is_never_charged_to_a_trusted_proxy(peer, forwarded, real, trusted, chargeable):
    assert client_address(peer, forwarded, real, trusted).chargeable is chargeable


def test_a_peer_that_is_no_address_is_taken_as_it_is_and_never_charged():
    assert client_address("", None, None) == ClientAddress("127.0.0.1", chargeable=False)


def test_a_very_long_chain_is_not_walked_to_its_end():
    chain = ", ".join([PUBLIC] + ["10.0.0.5"] * 100)
    assert client_address(ROUTER, chain, None).ip == "10.0.0.5"


@pytest.mark.parametrize("text", ["", " ", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "1.2.3.4:80", "[::1]", "a" * 100])
def test_what_is_no_address_is_refused(text):
    assert parse_address(text) is None


@given(
    peer=st.one_of(st.ip_addresses().map(str), st.text(max_size=50)),
    forwarded=st.one_of(st.none(), st.text(max_size=200), st.lists(st.ip_addresses().map(str)).map(",".join)),
    real=st.one_of(st.none(), st.text(max_size=50)),
    trusted=st.sampled_from([(), OUTER, V6]),
)
def test_any_input_gives_an_address_and_never_an_error(peer, forwarded, real, trusted):
    found = client_address(peer, forwarded, real, trusted)
    assert isinstance(found, ClientAddress)


@given(claimed=st.lists(st.ip_addresses(v=4).map(str), max_size=5))
def test_what_stands_left_of_a_public_hop_changes_nothing(claimed):
    assert client_address(ROUTER, ", ".join([*claimed, PUBLIC]), None).ip == PUBLIC
