"""Requests as bytes: what a proxy could read in another way is refused, and nobody keeps a thread by waiting."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.od.base_controller import BaseController
from oc.web import Call, expose
from oc.web.chunks import MAX_CHUNKS, MAX_LINE, ChunkedBody
from oc.web.connection import GATHERED
from oc.web.head import Head, RefusedHeadError, read_head
from oc.web.wire import FOLLOWING_SECONDS, HASTY_SECONDS, HEAD_SECONDS, BusyError, Stream, Waiting, limit_reads

from .harness import Client, serving

JSON = "Content-Type: application/json\r\n"


class EchoController(BaseController):
    """Says what arrived."""

    @expose(body=dict, envelope=False)
    def body(self, call: Call, body: dict[str, Any]) -> object:
        return {"body": body}

    @expose(methods=("GET",), envelope=False)
    def header(self, call: Call) -> object:
        return {"value": call.headers.get("X-Echo"), "forwarded": call.headers.get("X-Forwarded-For")}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(EchoController(None)) as running:
        yield running


def exchange(client: Client, text: str | bytes) -> list[tuple[int, Any]]:
    """Status and JSON of every answer until the server closes; the request must make it close."""
    data = text if isinstance(text, bytes) else text.encode("latin-1")
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    answers = []
    for part in re.split(rb"HTTP/1\.1 (?=\d{3} )", received)[1:]:
        head, _, body = part.partition(b"\r\n\r\n")
        answers.append((int(head[:3]), json.loads(body) if body.startswith(b"{") else body))
    return answers


def post(headers: str, body: str = "{}") -> str:
    return f"POST /API/echo/body HTTP/1.1\r\nHost: x\r\n{JSON}{headers}\r\n{body}"


def get(headers: str = "", target: str = "/API/echo/header", protocol: str = "HTTP/1.1") -> str:
    return f"GET {target} {protocol}\r\nHost: x\r\n{headers}\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 2\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nContent-Length: 0\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: ,\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 1_0\r\n",
        "Content-Length: 2, 2\r\n",
        "Content-Length : 2\r\n",
        "Content-Length\t: 2\r\n",
        "Content-Length: 2\r\nHost: y\r\n",
        "Content-Length: 2\r\nX-Api-Key: a\r\nx-api-key: b\r\n",
        "Content-Length: 2\r\nABCAuthorization: Bearer a\r\nabcauthorization: Bearer b\r\n",
        "Content-Length: 2\r\nX-Echo: a\0b\r\n",
        "Content-Length: 2\r\nX-Echo: a\rb\r\n",
        "Content-Length: 2\r\nX-Echo: \x1b[31m\r\n",
        "Content-Length: 2\r\n: nameless\r\n",
        "Content-Length: 2\r\nno colon\r\n",
        "Content-Length: 2\r\nX Echo: a\r\n",
        "Content-Length: 2\n",
        "Content-Length: 2\r\n" + "".join(f"X-{number}: a\r\n" for number in range(300)),
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused_and_the_connection_closed(
    client: Client, headers: str
) -> None:
    ((status, document),) = exchange(client, post(headers) + get())
    assert status == 400
    assert document["status"] == 400
    assert document["message"]


@pytest.mark.parametrize(
    "target", ["//[/API/echo/header", "http://[::1/API", "/API/a\0b", "/API/a\x1b[31m", "/API/a\rb", "/API/a\tb"]
)
def test_a_target_that_is_none_is_400_not_500(client: Client, target: str) -> None:
    assert [status for status, _ in exchange(client, get(target=target))] == [400]


@pytest.mark.parametrize("protocol", ["HTTP/01.1", "HTTP/1.01", "HTTP/1.-1", "HTTP/1.1x", "HTTP/0.9"])
def test_an_odd_protocol_version_is_refused(client: Client, protocol: str) -> None:
    ((status, _),) = exchange(client, get(protocol=protocol))
    assert status in (400, 505)


def test_what_is_left_of_chunks_is_never_read_as_a_request(client: Client) -> None:
    """The size of a chunk with its extension can look like a request line."""
    chunks = "Transfer-Encoding: chunked\r\n\r\n0ABC; /API/healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = exchange(client, f"DELETE /API/echo/body HTTP/1.1\r\nHost: x\r\n{chunks}")
    assert [status for status, _ in answers] == [405]


def test_chunked_bodies_are_read(client: Client) -> None:
    answers = exchange(client, post("Transfer-Encoding: chunked\r\n", '7\r\n{"a":1}\r\n0\r\n\r\n'))
    assert answers == [(200, {"body": {"a": 1}})]


@pytest.mark.parametrize(
    "chunks",
    [
        '7;name=value\r\n{"a":1}\r\n0\r\n\r\n',
        '7 ; name="a;b"\r\n{"a":1}\r\n0;last\r\n\r\n',
        '3\r\n{"a\r\n04\r\n":1}\r\n000\r\nX-Trailer: a\r\nContent-Length: 9\r\n\r\n',
    ],
)
def test_extensions_and_trailers_of_chunks_are_ignored(client: Client, chunks: str) -> None:
    assert exchange(client, post("Transfer-Encoding: chunked\r\n", chunks)) == [(200, {"body": {"a": 1}})]


@pytest.mark.parametrize(
    "chunks",
    [
        "0x2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{",
        "2\r\n{}\r\n",
        "2\r\n{}\r\n0\r\n",
        "2\r\n{}\r\n0\r\nX: a",
        "2\r\n{}\r\n0\r\n" + "X: a\r\n" * 300 + "\r\n",
        "2;" + "x" * 5000 + "\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_what_are_no_chunks_is_400(client: Client, chunks: str) -> None:
    answers = exchange(client, post("Transfer-Encoding: chunked\r\n", chunks))
    assert [status for status, _ in answers] == [400]


def test_a_chunk_larger_than_any_body_is_413(client: Client) -> None:
    answers = exchange(client, post("Transfer-Encoding: chunked\r\n", "fffffffffffffff\r\n"))
    assert [status for status, _ in answers] == [413]


def chunked(text: bytes) -> tuple[ChunkedBody, io.BytesIO]:
    source = io.BytesIO(text)
    return ChunkedBody(source, 1000), source


def test_a_line_that_never_ends_is_not_kept() -> None:
    body, source = chunked(b"0" * 1_000_000)
    with pytest.raises(ValueError, match="chunks"):
        body.read(10)
    assert source.tell() == MAX_LINE


def test_a_body_of_very_many_chunks_is_not_put_together() -> None:
    body = ChunkedBody(io.BytesIO(b"1\r\nx\r\n" * (MAX_CHUNKS + 1)), 2 * MAX_CHUNKS)
    assert len(body.read(MAX_CHUNKS)) == MAX_CHUNKS
    with pytest.raises(ValueError, match="chunks"):
        body.read(1)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=15), st.integers(1, 60))
def test_chunks_are_read_in_pieces_of_any_size(parts: list[bytes], size: int) -> None:
    text = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    body, source = chunked(text + b"0\r\n\r\nrest")
    pieces = list(iter(lambda: body.read(size), b""))
    assert b"".join(pieces) == b"".join(parts)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert source.read() == b"rest"


def test_the_body_of_a_refused_request_is_not_the_next_request(client: Client) -> None:
    hidden = get()
    first = f"DELETE /API/echo/body HTTP/1.1\r\nHost: x\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}"
    answers = exchange(client, first + get("X-Echo: second\r\n"))
    assert [status for status, _ in answers] == [405, 200]
    assert answers[1][1]["value"] == "second"


@pytest.mark.parametrize("value", ["=?utf-8?b?DQpYLUV2aWw6IDE=?=", "=?nope?b?AAAA?=", "=?utf-8?b?/////w==?="])
def test_headers_are_taken_as_they_are(client: Client, value: str) -> None:
    """Not decoded by the rules of mail, which would bring line ends in, or fail."""
    ((status, document),) = exchange(client, get(f"X-Echo: {value}\r\n"))
    assert status == 200
    assert document["value"] == value


def test_folded_lines_are_joined(client: Client) -> None:
    ((_, document),) = exchange(client, get("X-Echo: one\r\n\ttwo\r\n three\r\n"))
    assert document["value"] == "one two three"


def test_several_forwarded_headers_are_one_list(client: Client) -> None:
    ((_, document),) = exchange(client, get("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n"))
    assert document["forwarded"] == "192.0.2.1, 192.0.2.2"


def test_underscores_are_no_hyphens(client: Client) -> None:
    ((_, document),) = exchange(client, get("X_Echo: evil\r\nX_Forwarded_For: 192.0.2.1\r\n"))
    assert document == {"value": None, "forwarded": None}


def test_a_request_without_host_is_400(client: Client) -> None:
    ((status, document),) = exchange(client, "GET /API/echo/header HTTP/1.1\r\n\r\n")
    assert (status, document["status"]) == (400, 400)


@pytest.mark.parametrize(
    ("headers", "protocol", "framing"),
    [
        ("", "HTTP/1.1", (0, False)),
        ("Content-Length: 0", "HTTP/1.0", (0, False)),
        ("Content-Length: 12", "HTTP/1.1", (12, False)),
        ("Transfer-Encoding: chunked", "HTTP/1.1", (0, True)),
        ("Transfer-Encoding:  Chunked", "HTTP/1.1", (0, True)),
        ("Transfer-Encoding: chunked", "HTTP/1.0", None),
        ("Transfer-Encoding: gzip, chunked", "HTTP/1.1", None),
        ("Transfer-Encoding: ", "HTTP/1.1", None),
        ("Content-Length: -1", "HTTP/1.1", None),
        ("Content-Length: \xb2", "HTTP/1.1", None),
        ("Content-Length: ", "HTTP/1.1", None),
        ("Content-Length: " + "9" * 30, "HTTP/1.1", None),
    ],
)
def test_where_a_request_ends_must_be_certain(headers: str, protocol: str, framing: tuple[int, bool] | None) -> None:
    text = f"GET / {protocol}\r\n{headers}".encode("latin-1")
    if framing is None:
        with pytest.raises(RefusedHeadError):
            read_head(text)
    else:
        head = read_head(text.removesuffix(b"\r\n"))
        assert (head.length, head.chunked) == framing


@pytest.mark.parametrize(
    ("options", "protocol", "kept"),
    [
        (None, "HTTP/1.1", True),
        ("close", "HTTP/1.1", False),
        ("Close", "HTTP/1.1", False),
        ("keep-alive, CLOSE", "HTTP/1.1", False),
        ("closed", "HTTP/1.1", True),
        (None, "HTTP/1.0", False),
        ("Keep-Alive", "HTTP/1.0", True),
        ("TE,keep-alive", "HTTP/1.0", True),
        ("keep-alive, close", "HTTP/1.0", False),
    ],
)
def test_a_client_says_whether_it_keeps_its_connection(options: str | None, protocol: str, kept: bool) -> None:
    fields = {} if options is None else {"Connection": options}
    assert Head("GET", "/", protocol, fields, 0, False).keeps_connection == kept


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_of_heads_fail(data: bytes) -> None:
    for text in (data, b"GET / HTTP/1.1\r\n" + data):
        with contextlib.suppress(RefusedHeadError):
            assert read_head(text).method


def test_the_options_of_a_connection_are_of_any_case(client: Client) -> None:
    """One that expects the end of the connection would wait for it as long as connections are kept."""
    answers = exchange(client, get("Connection: TE, Close\r\n") + get())
    assert [status for status, _ in answers] == [200]


# -- time ------------------------------------------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wire() -> Iterator[SimpleNamespace]:
    """Both ends of a connection, and the clock the server's end reads."""
    clock = Clock()
    ours, theirs = socket.socketpair()
    limit_reads(ours)
    waiting = Waiting(4, clock)
    yield SimpleNamespace(clock=clock, stream=Stream(ours, waiting, 5.0), theirs=theirs, ours=ours, waiting=waiting)
    ours.close()
    theirs.close()


def test_a_byte_now_and_then_does_not_extend_the_time_for_a_request(wire: SimpleNamespace) -> None:
    wire.stream.begin(HEAD_SECONDS)
    for _ in range(int(HEAD_SECONDS) // 4):
        assert wire.stream.deadline() > wire.clock.now
        wire.theirs.sendall(b"x")
        assert wire.stream.receive()
        wire.clock.now += 4
    assert wire.stream.is_late()
    assert wire.stream.deadline() <= wire.clock.now
    with pytest.raises(TimeoutError):
        wire.stream.read(100)


def test_a_client_that_is_silent_has_less_time_than_one_that_sends(wire: SimpleNamespace) -> None:
    wire.stream.begin(HEAD_SECONDS)
    assert wire.stream.deadline() == wire.clock.now + 5
    wire.clock.now += 4
    wire.theirs.sendall(b"x")
    assert wire.stream.receive()
    assert wire.stream.deadline() == wire.clock.now + 5


def test_the_next_request_of_a_connection_has_its_own_time(wire: SimpleNamespace) -> None:
    wire.stream.begin(HEAD_SECONDS)
    wire.clock.now += 3600
    wire.stream.begin(HEAD_SECONDS)
    assert not wire.stream.is_late()
    wire.theirs.sendall(b"x")
    assert wire.stream.read(1) == b"x"


def test_while_many_are_waited_for_nobody_is_waited_for_long(wire: SimpleNamespace) -> None:
    wire.stream.begin(HEAD_SECONDS)
    wire.clock.now += HASTY_SECONDS + 1
    wire.theirs.sendall(b"xy")
    assert wire.stream.read(1) == b"x"
    assert wire.waiting.enter() == math.inf
    assert wire.stream.read(1) == b"y"  # what is there already is not waited for
    with pytest.raises(TimeoutError):
        wire.stream.read(1)
    wire.waiting.leave()
    wire.theirs.shutdown(socket.SHUT_WR)
    assert wire.stream.read(1) == b""


def test_half_of_the_threads_never_wait_for_clients(wire: SimpleNamespace) -> None:
    waiting = Waiting(8, wire.clock)
    assert [waiting.enter() for _ in range(4)] == [math.inf, math.inf, HASTY_SECONDS, HASTY_SECONDS]
    for _ in range(2):
        with pytest.raises(BusyError):
            waiting.enter()
    waiting.leave()
    assert waiting.enter() == HASTY_SECONDS


def test_a_body_that_would_be_waited_for_by_too_many_is_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def enter(_: Waiting) -> float:
        raise BusyError("too many clients are waited for")

    monkeypatch.setattr(Waiting, "enter", enter)
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as sock:
        sock.sendall(post(f"Content-Length: {10 * GATHERED}\r\n", "{").encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 503")


def test_a_connection_is_not_used_again_when_its_body_could_not_be_read(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(stream: Stream, event: int, patience: float = 0) -> None:
        sock.sendall(b"x" * 32 + get().encode())
        raise TimeoutError("timed out")

    received = b""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as sock:
        monkeypatch.setattr(Stream, "wait", late)
        sock.sendall(post(f"Content-Length: {10 * GATHERED}\r\n", "half of ").encode())
        while data := sock.recv(65536):
            received += data
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1 ") == 1


def test_the_wait_for_a_next_request_ends_with_its_first_byte(wire: SimpleNamespace) -> None:
    assert not wire.stream.receive(following=True)
    wire.theirs.sendall(b"next")
    assert wire.stream.receive(following=True)
    assert wire.stream.read(4) == b"next"


def test_the_wait_for_a_next_request_ends_when_the_client_leaves(wire: SimpleNamespace) -> None:
    wire.theirs.close()
    assert wire.stream.receive(following=True)
    assert wire.stream.ended
    assert wire.stream.read(1) == b""


def test_a_wait_is_one_call_of_the_kernel(wire: SimpleNamespace) -> None:
    """With a timeout of Python's each call would be two, and each gives the interpreter to another thread."""
    assert wire.ours.gettimeout() is None
    limit = struct.unpack("@ll", wire.ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16))
    assert 0 < limit[0] + limit[1] / 1e6 < 2 * FOLLOWING_SECONDS


def test_what_a_client_does_not_take_is_kept_and_sent_when_it_does(wire: SimpleNamespace) -> None:
    body = bytes(range(256)) * 8192
    wire.stream.send((b"head", memoryview(body), b"", b"tail"))
    assert wire.stream.unsent > 0
    assert not wire.stream.flush()
    received = bytearray()
    while wire.stream.unsent:
        received += wire.theirs.recv(1 << 20)
        wire.stream.flush()
    wire.ours.shutdown(socket.SHUT_WR)
    received += b"".join(iter(lambda: wire.theirs.recv(1 << 20), b""))
    assert bytes(received) == b"head" + body + b"tail"


def test_a_slow_client_is_told_so_and_others_are_served_meanwhile(client: Client) -> None:
    """Every thread but one is kept by a request that never ends; the server has four."""
    go_on = threading.Event()

    def half(_: int) -> bytes:
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as sock:
            sock.sendall(b"GET /API/healthz HTTP/1.1\r\nHost:")
            go_on.wait(20)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))

    with ThreadPoolExecutor(3) as pool:
        halves = [pool.submit(half, number) for number in range(3)]
        try:
            assert client.get("/API/healthz").body == b"OK"
        finally:
            go_on.set()
        assert all(one.result(20).startswith(b"HTTP/1.1 400") for one in halves)
