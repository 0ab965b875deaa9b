"""Requests nobody should send, over a real socket: the documented status, and a connection in the right state after."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from oc.od.base_controller import BaseController
from oc.web import Call, expose

from .harness import Client, serving

HEALTH = b"GET /API/healthz HTTP/1.1\r\nHost: x\r\n\r\n"
DEEP = 100_000


class OddController(BaseController):
    @expose(body=dict, envelope=False)
    def echo(self, call: Call, body: dict[str, Any]) -> object:
        return body


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(OddController(None)) as running:
        yield running


def answers(client: Client, data: bytes) -> list[int]:
    """Of the request, and of a sound one after it when the connection was kept."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as sock:
        sock.sendall(data + HEALTH)
        sock.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]


def get(
    target: str = "/API/healthz", more: str = "", *, method: str = "GET", protocol: str = "1.1", host: str = "x"
) -> bytes:
    return f"{method} {target} HTTP/{protocol}\r\nHost: {host}\r\n{more}\r\n".encode("latin-1")


def post(body: bytes, content_type: str = "application/json") -> bytes:
    head = (
        f"POST /API/odd/echo HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"a":1,"a":2}', 200),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400),
        (b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}", 400),
        (b'{"a":' + b"9" * DEEP + b"}", 400),
        (b'{"a":123456789012345678901234567890}', 200),
        (b'{"a":1e999}', 400),
        (b'{"a":NaN}', 400),
        (b'{"a":-Infinity}', 400),
        (b'{"a":"\\ud800"}', 400),
        (b'{"\\udc00":1}', 400),
        (b'{"a":"\\ud83d\\ude00"}', 200),
        (b'{"a":"\xed\xa0\x80"}', 400),
        (b'{"a":"\\u0000"}', 200),
        (b"\xef\xbb\xbf{}", 200),
        ('{"a":1}'.encode("utf-16"), 400),
        ('{"a":"é"}'.encode("latin-1"), 400),
    ],
    ids=range(16),
)
def test_odd_json_is_taken_or_refused_and_the_connection_goes_on(client: Client, body: bytes, status: int) -> None:
    assert answers(client, post(body)) == [status, 200]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ('application/json; charset="UTF-8"', 200),
        ("APPLICATION/JSON", 200),
        ("application/json, text/plain", 415),
        ("application/vnd.api+json", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_odd_content_types(client: Client, content_type: str, status: int) -> None:
    assert answers(client, post(b"{}", content_type)) == [status, 200]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(method="HEAD"), 200),
        (get("/API/none", method="HEAD"), 404),
        (get(method="OPTIONS", more="Origin: http://e\r\nAccess-Control-Request-Method: POST\r\n"), 405),
        (get("*", method="OPTIONS"), 404),
        (get(method="TRACE"), 405),
        (get(method="FOO"), 405),
        (get(method="A" * 5000), 405),
        (get("http://y/API/healthz"), 200),
        (get("/API/%zz"), 404),
        (get("/API/%00"), 400),
        (get("/API/%ff"), 400),
        (get("/API%2fhealthz"), 404),
        (get("/API/%2e%2e/API/healthz"), 404),
        (get("/API/healthz?a=%ff"), 400),
        (get("/API/healthz?" + "&" * 1000), 400),
        (get("/API/healthz?%"), 200),
        (get(host=""), 200),
        (get(host="[::1]:8000"), 200),
        (get(host="a_b.example:80"), 200),
        (get(more="Expect: nothing\r\n"), 200),
        (get(more="Connection: Upgrade\r\nUpgrade: websocket\r\n"), 200),
        (get(more="Content-Length: 5\r\n") + b"hello", 200),
        (get(more="If-None-Match: " + "," * 5000 + "\r\n"), 200),
        (get(more="X-Forwarded-For: " + "a," * 3000 + "\r\n"), 200),
        (get(more="Accept-Language: " + ",;q=" * 2000 + "\r\n"), 200),
        (get(more="User-Agent: \xe9\xff\r\n"), 200),
        (b"\r\n" * 100 + get(), 200),
    ],
)
def test_after_an_odd_request_that_is_understood_the_connection_goes_on(
    client: Client, request_: bytes, status: int
) -> None:
    assert answers(client, request_) == [status, 200]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("*"), 400),
        (get("x:80", method="CONNECT"), 400),
        (get("ftp://y/API/healthz"), 400),
        (get("http:///API/healthz"), 400),
        (get("/API/\xe9"), 400),
        (get("/API/healthz#a"), 400),
        (get(method="get"), 400),
        (get(host="a b"), 400),
        (get(host="x/y"), 400),
        (get(host="user@x"), 400),
        (get(host="x, y"), 400),
        (get(host="\xe9"), 400),
        (get(more="X: \0\r\n"), 400),
        (get(more="Host: y\r\n"), 400),
        (get(more="Content-Type: a\r\ncontent-type: b\r\n"), 400),
        (get(more="Authorization: a\r\nAuthorization: b\r\n"), 400),
        (b"GET /API/healthz HTTP/1.1\r\n Host: x\r\n\r\n", 400),
        (b"GET /API/healthz HTTP/1.1\nHost: x\n\n", 400),
        (b"GET /API/healthz HTTP/1.1\r\nHost: x\n\r\n\r\n", 400),
        (b"GET /API/healthz\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", 400),
    ],
    ids=range(22),
)
def test_after_what_is_no_request_nothing_more_is_read(client: Client, request_: bytes, status: int) -> None:
    assert answers(client, request_) == [status]


def test_an_old_client_needs_no_host(client: Client) -> None:
    assert answers(client, b"GET /API/healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == [200, 200]
