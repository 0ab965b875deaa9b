"""What a rule may ask about a login."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RuleContext:
    """One login as rules see it.

    client_ip: after the proxy rules. headers: names in lower case. roles: as the provider gave them, not reduced.
    attributes: of the user. geolocation: ``accuracy`` (metres), ``latitude``, ``longitude`` (degrees), or None.
    asnumber: digits of the client's autonomous system, if known. member_of: asks the directory whether the user
    belongs to a group; used when the user's entry lists no groups.
    """

    client_ip: str
    headers: Mapping[str, str] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    geolocation: Mapping[str, float] | None = None
    asnumber: str | None = None
    member_of: Callable[[str], bool] | None = None
