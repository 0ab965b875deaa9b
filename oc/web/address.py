"""Who is at the other end: client address and spoof test (http-api.md 2.8). Pure, never raises, never logs."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Ranges of the default ``permitip``: where an in-cluster router lives. ``::1`` is loopback as 127.0.0.0/8 is.
PRIVATE_NETWORKS: tuple[IPNetwork, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fd00::/8",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "::1/128",
    )
)
MAX_HOPS = 32


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """ip: text of the client address. spoofed: refuse with 401. chargeable: a fail may be charged to ``ip``."""

    ip: str
    spoofed: bool = False
    chargeable: bool = True


def client_address(
    peer: str,
    forwarded_for: str | None,
    real_ip: str | None,
    trusted: Sequence[IPNetwork] = (),
) -> ClientAddress:
    """Find the client. ``trusted`` is ``trusted_proxy_cidr``; empty means that the key is not configured."""
    start = parse_address(peer.partition("%")[0])
    if start is None:
        return ClientAddress(peer or "127.0.0.1", chargeable=False)
    peer_trusted = contains(trusted, start) or contains(PRIVATE_NETWORKS, start)
    if not peer_trusted:
        return ClientAddress(str(start), spoofed=bool(trusted) and forwarded_for is not None)
    if forwarded_for is None:
        claimed = parse_address(real_ip or "")
        direct = real_ip is None and not contains(trusted, start)
        return ClientAddress(str(claimed or start), chargeable=claimed is not None or direct)
    return _walk(start, forwarded_for.split(","), trusted)


def _walk(start: IPAddress, entries: list[str], trusted: Sequence[IPNetwork]) -> ClientAddress:
    hop_networks = trusted or PRIVATE_NETWORKS
    current, broken = start, False
    for position, entry in enumerate(reversed(entries)):
        if position and not contains(hop_networks, current):
            break
        address = parse_address(entry) if position < MAX_HOPS else None
        if address is None:
            broken = True
            break
        current = address
    spoofed = bool(trusted) and (broken or _no_trusted_hop(entries, trusted))
    a_proxy = current is start or contains(trusted, current) or (broken and contains(hop_networks, current))
    return ClientAddress(str(current), spoofed=spoofed, chargeable=not a_proxy)


def _no_trusted_hop(entries: list[str], trusted: Sequence[IPNetwork]) -> bool:
    """Two or more entries, and none of those after the first is a trusted proxy."""
    if len(entries) < 2:
        return False
    hops = [parse_address(entry) for entry in entries[1:]]
    return not any(hop is not None and contains(trusted, hop) for hop in hops)


def parse_address(text: str) -> IPAddress | None:
    """An IPv4 or IPv6 address, or None. IPv4-mapped IPv6 (dual-stack sockets) is given as IPv4; no zone, no port."""
    text = text.strip()
    if not text or len(text) > 45 or "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def contains(networks: Sequence[IPNetwork], address: IPAddress) -> bool:
    """True when ``address`` lies in one of ``networks``."""
    return any(address.version == network.version and address in network for network in networks)
