"""Addresses of pods."""

from __future__ import annotations

import ipaddress


class NoAddressError(Exception):
    """Every address of the network is taken; the text is that of the pod's event."""


class AddressPool:
    """Hands out the host addresses of one network; a returned one is used again last."""

    def __init__(self, network: str) -> None:
        self._network = ipaddress.ip_network(network)
        self._next = 2
        self._free: dict[str, None] = {}

    def take(self) -> str:
        """A free address. Raises NoAddressError when the network is full."""
        if self._next < self._network.num_addresses - 1:
            address = str(self._network[self._next])
            self._next += 1
            return address
        try:
            address = next(iter(self._free))
        except StopIteration:
            raise NoAddressError(f"no IP addresses available in range set: {self._network}") from None
        del self._free[address]
        return address

    def give_back(self, address: str) -> None:
        """The pod is gone."""
        self._free[address] = None
