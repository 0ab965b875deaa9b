"""The tests a condition may hold (spec auth.md 5.2). Each is checked once, when the configuration is loaded."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from oc.auth.roles import role_matches
from oc.auth.rules.context import RuleContext
from oc.auth.rules.geography import distance, position

Test = Callable[[RuleContext], bool]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RuleError(ValueError):
    """A rule of the configuration cannot be used. ``str()`` says why."""


def _boolean(value: Any) -> Test:
    if not isinstance(value, bool):
        raise RuleError("boolean: expected True or False")
    return lambda _: value


def _http_header(value: Any) -> Test:
    if (
        not isinstance(value, dict)
        or not value
        or not all(_is_text(k) and isinstance(v, str) for k, v in value.items())
    ):
        raise RuleError("httpheader: expected a dict of header name to text")
    wanted = {name.lower(): text for name, text in value.items()}
    return lambda context: all(context.headers.get(name) == text for name, text in wanted.items())


def _exist_http_header(value: Any) -> Test:
    names = [name.lower() for name in _texts(value, "existhttpheader")]
    return lambda context: all(name in context.headers for name in names)


def _member_of(value: Any) -> Test:
    groups = _texts(value, "memberOf")

    def test(context: RuleContext) -> bool:
        if context.roles or context.member_of is None:
            return any(role_matches(role, group) for role in context.roles for group in groups)
        return any(map(context.member_of, groups))

    return test


def _client_network(value: Any) -> Test:
    networks = _networks(value)
    return lambda context: _inside([context.client_ip], networks)


def _forwarded_network(value: Any) -> Test:
    networks = _networks(value)
    return lambda context: _inside(context.headers.get("x-forwarded-for", "").split(","), networks)


def _real_ip_network(value: Any) -> Test:
    networks = _networks(value)
    return lambda context: _inside([context.headers.get("x-real-ip", "")], networks)


def _primary_group(value: Any) -> Test:
    number = _whole(value)
    if number is None:
        raise RuleError("primarygroupid: expected a number")
    return lambda context: any(_whole(found) == number for found in _values(context, "primaryGroupID"))


def _attribute(value: Any) -> Test:
    if not isinstance(value, dict) or not _is_text(value.get("attribut")):
        raise RuleError("attribut: expected a dict with the attribute's name in 'attribut'")
    name, start, equal = value["attribut"], value.get("startwith") or "", value.get("equal") or ""
    if not isinstance(start, str) or not isinstance(equal, str) or not (start or equal):
        raise RuleError("attribut: expected a text in 'startwith' or 'equal'")
    if start:
        return lambda context: any(text.startswith(start) for text in _values(context, name))
    return lambda context: equal in _values(context, name)


def _geolocation(value: Any) -> Test:
    point = position(value)
    if point is None:
        raise RuleError("geolocation: expected numbers in 'accuracy', 'latitude' and 'longitude'")

    def test(context: RuleContext) -> bool:
        here = context.geolocation
        if here is None:
            return False
        away = distance(here["latitude"], here["longitude"], point["latitude"], point["longitude"])
        return away < point["accuracy"]

    return test


def _as_number(value: Any) -> Test:
    values = value if isinstance(value, (list, tuple)) else [value]
    numbers = {_autonomous_system(item) for item in values}
    if not numbers or None in numbers:
        raise RuleError("asnumber: expected a number or a list of numbers")
    return lambda context: context.asnumber is not None and _autonomous_system(context.asnumber) in numbers


TESTS: Final[Mapping[str, Callable[[Any], Test]]] = {
    "boolean": _boolean,
    "httpheader": _http_header,
    "existhttpheader": _exist_http_header,
    "memberOf": _member_of,
    "memberof": _member_of,
    "network": _client_network,
    "network-client-ip": _client_network,
    "network-x-forwarded-for": _forwarded_network,
    "network-x-real-ip": _real_ip_network,
    "primarygroupid": _primary_group,
    "attribut": _attribute,
    "geolocation": _geolocation,
    "asnumber": _as_number,
}
"""Key in a condition -> maker of its test; makers raise RuleError for a value they cannot use."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _texts(value: Any, test: str) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not values or not all(_is_text(item) for item in values):
        raise RuleError(f"{test}: expected a text or a list of texts")
    return tuple(values)


def _networks(value: Any) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in _texts(value, "network"))
    except ValueError as error:
        raise RuleError(f"network: expected networks as CIDR ({error})") from error


def _inside(texts: Iterable[str], networks: tuple[Network, ...]) -> bool:
    """Whether any text is an address in any network; other texts are passed over."""
    return any(address in network for address in map(_address, texts) if address for network in networks)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _whole(value: Any) -> int | None:
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _autonomous_system(value: Any) -> int | None:
    if isinstance(value, str) and value[:2].upper() == "AS":
        value = value[2:]
    return _whole(value)


def _values(context: RuleContext, name: str) -> list[str]:
    """The values of a user attribute as texts; nothing for an absent one."""
    value = context.attributes.get(name)
    values = value if isinstance(value, (list, tuple)) else [value]
    return [str(item) for item in values if isinstance(item, (str, int)) and not isinstance(item, bool)]
