"""The host a browser is sent to (http-api.md 3.1)."""

from __future__ import annotations

import pytest

from oc.model.identity import ClientInfo
from oc.od.composer.connection import target_host

CLIENT = ClientInfo(ipaddr="10.0.0.1", host="api.example.com", origin="https://portal.example.com:30443")


@pytest.mark.parametrize(
    ("routing", "client", "default_host_url", "route", "expected"),
    [
        ("http_origin", CLIENT, None, None, "portal.example.com"),
        ("http_origin", ClientInfo(ipaddr="10.0.0.1", host="api.example.com"), None, None, "api.example.com"),
        ("host", CLIENT, "https://public.example.com", None, "api.example.com"),
        ("default_host_url", CLIENT, "https://public.example.com/", None, "public.example.com"),
        ("default_host_url", CLIENT, None, None, "portal.example.com"),
        ("bridge", CLIENT, None, "192.0.2.7", "192.0.2.7"),
        ("bridge", CLIENT, None, None, "api.example.com"),
    ],
)
def test_each_routing_names_its_host(
    routing: str, client: ClientInfo, default_host_url: str | None, route: str | None, expected: str
) -> None:
    assert target_host(routing, client, default_host_url, route) == expected


@pytest.mark.parametrize("origin", ["", "null", "http://[half", "::::"])
def test_an_origin_that_cannot_be_parsed_leaves_the_requested_host(origin: str) -> None:
    client = ClientInfo(ipaddr="10.0.0.1", host="api.example.com", origin=origin)
    assert target_host("http_origin", client, None, None) == "api.example.com"


def test_the_host_is_never_empty() -> None:
    assert target_host("http_origin", ClientInfo(ipaddr="10.0.0.1"), None, None) == "localhost"
