"""What NetworkPolicies admit, as the API reference of networking.k8s.io/v1 defines it.

Only what deploy/ uses is understood; anything else fails, so that no rule is taken for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .support import Object


@dataclass(frozen=True)
class Peer:
    """An end of a connection: a pod of the namespace, or (``pod`` False) anything else."""

    labels: Mapping[str, str] = field(default_factory=dict)
    pod: bool = True


OUTSIDE = Peer(pod=False)


def admitted(policies: Sequence[Object], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection may be made: the egress of the one and the ingress of the other must both permit it."""
    leaving = _permits(policies, "Egress", source, target, port, protocol)
    return leaving and _permits(policies, "Ingress", target, source, port, protocol)


def _permits(policies: Sequence[Object], direction: str, subject: Peer, other: Peer, port: int, protocol: str) -> bool:
    """Without a policy of this direction for the subject everything is permitted, else what one of them lists."""
    specs = [policy["spec"] for policy in policies if subject.pod and _selects(policy["spec"]["podSelector"], subject)]
    specs = [spec for spec in specs if direction in spec["policyTypes"]]
    key, peers = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
    rules = [rule for spec in specs for rule in spec.get(peers, ())]
    for rule in rules:
        assert rule.keys() <= {key, "ports"}, rule
    return not specs or any(
        _peer_fits(rule.get(key), other) and _port_fits(rule.get("ports"), port, protocol) for rule in rules
    )


def _peer_fits(peers: Iterable[Object] | None, other: Peer) -> bool:
    """No list: everybody. A podSelector alone: pods of the policy's namespace."""
    if not peers:
        return True
    for peer in peers:
        assert peer.keys() == {"podSelector"}, peer
        if other.pod and _selects(peer["podSelector"], other):
            return True
    return False


def _port_fits(ports: Iterable[Object] | None, port: int, protocol: str) -> bool:
    if not ports:
        return True
    for entry in ports:
        assert entry.keys() <= {"port", "protocol"}, entry
        assert isinstance(entry["port"], int), entry
    return any((entry["port"], entry.get("protocol", "TCP")) == (port, protocol) for entry in ports)


def _selects(selector: Object, peer: Peer) -> bool:
    assert selector.keys() <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= peer.labels.items()
