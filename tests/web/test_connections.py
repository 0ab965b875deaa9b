"""Connections that serve several requests, and answers as bytes."""

from __future__ import annotations

import gc
import io
import logging
import socket
import threading
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from controllers.root import Root
from oc.logging import OdContextFilter
from oc.od.base_controller import BaseController
from oc.web import Call, Content, exchange, expose
from oc.web import wire as wire_module
from oc.web.application import make_api
from oc.web.connection import Connection
from oc.web.exchange import Arrival, Headers
from oc.web.server import KEPT_CONNECTIONS, KEPT_SECONDS, ApiServer
from oc.web.wire import Stream

from ..waiting import eventually
from .harness import Client, make_server, make_services, serving

LARGE = b'"' + b"x" * 3_000_000 + b'"'
RAW = msgspec.Raw(LARGE)


class AnswerController(BaseController):
    """Answers of every kind."""

    @expose(methods=("GET", "POST"), envelope=False)
    def text(self, call: Call) -> object:
        return {"text": "some"}

    @expose(methods=("GET",), envelope=False)
    def thread(self, call: Call) -> object:
        return threading.get_ident()

    @expose(methods=("GET",))
    def large(self, call: Call) -> object:
        return RAW

    @expose(methods=("GET",))
    def odd(self, call: Call) -> Content:
        return Content("x", headers={"X-Odd": "a\r\nX-Split: b\x7f", "X-Euro": "100 €"})

    @expose(methods=("GET",))
    def tagged(self, call: Call) -> object:
        call.response_headers["ETag"] = '"one"'
        return "value"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(AnswerController()) as running:
        yield running


class Wire:
    """One connection and what comes back on it."""

    def __init__(self, client: Client) -> None:
        self.socket = socket.create_connection(("127.0.0.1", client.port), timeout=10)
        self._file = self.socket.makefile("rb")

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode("latin-1"))

    def answer(self, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(": ")
            headers[name] = value
        return status, headers, self._file.read(int(headers.get("Content-Length", 0))) if body else b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def is_closed(self) -> bool:
        return self._file.read(1) == b""


@pytest.fixture
def wire(client: Client) -> Iterator[Wire]:
    connection = Wire(client)
    yield connection
    connection.close()


def request(target: str = "/API/answer/text", headers: str = "", *, method: str = "GET", protocol: str = "1.1") -> str:
    return f"{method} {target} HTTP/{protocol}\r\nHost: x\r\n{headers}\r\n"


def test_a_connection_serves_one_request_after_another(wire: Wire) -> None:
    for _ in range(3):
        wire.send(request())
        status, headers, body = wire.answer()
        assert (status, body) == (200, b'{"text":"some"}\n')
        assert "Connection" not in headers


def test_requests_that_follow_closely_are_served_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handing the connection back after each would wake two threads a request."""
    monkeypatch.setattr(wire_module, "FOLLOWING_SECONDS", 0.9)
    threads = set()
    with serving(AnswerController()) as patient:
        wire = Wire(patient)
        for _ in range(5):
            wire.send(request("/API/answer/thread"))
            threads.add(wire.answer()[2])
        wire.close()
    assert len(threads) == 1


def test_a_connection_that_rests_holds_no_thread(client: Client) -> None:
    """More of them than threads: the next client is served at once."""
    wires = [Wire(client) for _ in range(8)]
    try:
        for one in wires * 2:
            one.send(request())
            assert one.answer()[0] == 200
    finally:
        for one in wires:
            one.close()


def test_a_client_that_never_pauses_does_not_keep_a_thread_from_others() -> None:
    with serving(AnswerController(), threads=1) as alone:
        busy, other = Wire(alone), Wire(alone)
        stop = threading.Event()

        def hurry() -> None:
            while not stop.is_set():
                busy.send(request())
                busy.answer()

        thread = threading.Thread(target=hurry)
        thread.start()
        try:
            for _ in range(3):
                other.send(request())
                assert other.answer()[0] == 200
        finally:
            stop.set()
            thread.join()
            busy.close()
            other.close()


def test_requests_sent_at_once_are_answered_in_order(wire: Wire) -> None:
    wire.send(request() + request("/API/answer/nothing") + request("/API/healthz"))
    assert [wire.answer()[0], wire.answer()[0], wire.answer()[2]] == [200, 404, b"OK"]


def test_a_request_that_comes_in_pieces_is_one_request(wire: Wire) -> None:
    for character in request():
        wire.send(character)
    assert wire.answer()[0] == 200


def test_as_many_connections_as_proxies_keep_stay_open(client: Client) -> None:
    """cheroot keeps 10: with more, each request would pay for a new connection."""
    wires: list[Wire] = []
    try:
        for _ in range(24):
            wires.append(Wire(client))
            wires[-1].send(request())
            assert "Connection" not in wires[-1].answer()[1]
        for one in wires:
            one.send(request())
            assert "Connection" not in one.answer()[1]
    finally:
        for one in wires:
            one.close()
    assert len(wires) < KEPT_CONNECTIONS


def test_an_idle_connection_is_kept_longer_than_nginx_keeps_it_and_a_request_in_pieces_is_not() -> None:
    running = make_server(make_api(make_services(), Root()), threads=1)
    assert running.timeout == KEPT_SECONDS > 60
    assert running.silence == 5


def test_a_certificate_is_not_taken_for_granted() -> None:
    """Behind a key that says so, nobody may believe that passwords travel encrypted."""
    adapter = SimpleNamespace(ssl_certificate="server.pem", ssl_context=None)
    with pytest.raises(ValueError, match="TLS belongs to the router"):
        ApiServer(make_api(make_services(), Root()), adapter)


def test_a_connection_that_is_closed_is_gone_without_a_garbage_collection(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Connection]] = []
    make = Connection.__init__

    def noting(self: Connection, *arguments: Any) -> None:
        make(self, *arguments)
        made.append(weakref.ref(self))

    monkeypatch.setattr(Connection, "__init__", noting)
    gc.disable()
    try:
        for _ in range(20):
            client.get("/API/answer/text")
        # A thread keeps its last one until it has another.
        assert eventually(lambda: sum(one() is not None for one in made) <= 4)
        assert len(made) == 20
    finally:
        gc.enable()


def test_a_client_that_asks_for_it_has_its_connection_closed(wire: Wire) -> None:
    wire.send(request(headers="Connection: close\r\n"))
    assert wire.answer()[1]["Connection"] == "close"
    assert wire.is_closed()


def test_an_old_client_has_its_connection_closed_unless_it_asks_to_keep_it(client: Client, wire: Wire) -> None:
    wire.send(request(headers="Connection: Keep-Alive\r\n", protocol="1.0"))
    headers = wire.answer()[1]
    assert headers["Connection"] == "Keep-Alive"
    assert headers["Keep-Alive"] == f"timeout={KEPT_SECONDS}"
    wire.send(request(protocol="1.0"))
    assert wire.answer()[1]["Connection"] == "close"
    assert wire.is_closed()


def test_the_head_of_an_answer_says_how_long_its_body_would_be(wire: Wire) -> None:
    wire.send(request(method="HEAD") + request())
    status, headers, _ = wire.answer(body=False)
    assert (status, headers["Content-Length"]) == (200, "16")
    assert wire.answer()[2] == b'{"text":"some"}\n'


def test_an_answer_without_a_body_has_no_length(wire: Wire) -> None:
    wire.send(request("/API/answer/tagged", 'If-None-Match: "one"\r\n') + request())
    status, headers, _ = wire.answer()
    assert (status, headers.get("Content-Length"), headers["ETag"]) == (304, None, '"one"')
    assert wire.answer()[0] == 200


def test_no_answer_header_can_hold_a_line_break(wire: Wire) -> None:
    wire.send(request("/API/answer/odd"))
    headers = wire.answer()[1]
    assert headers["X-Odd"] == "aX-Split: b"
    assert headers["X-Euro"] == "100 ?"
    assert "X-Split" not in headers


@pytest.mark.parametrize("target", ["/", "/healthz", "/APIhealthz", "/api/healthz", "//API/healthz", "/%41PI/healthz"])
def test_outside_of_the_mount_point_nothing_is_served(wire: Wire, target: str) -> None:
    wire.send(request(target))
    status, _, body = wire.answer()
    assert status == 404
    assert b'"status":404' in body


def test_a_target_with_scheme_and_host_is_served(wire: Wire) -> None:
    wire.send(request("http://x:8000/API/healthz?a=b"))
    assert wire.answer()[2] == b"OK"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[memoryview]]:
    """What each call of the kernel was given to send."""
    made: list[list[memoryview]] = []
    transmit = Stream._transmit

    def counting(self: Stream, pieces: list[memoryview]) -> int:
        made.append(list(pieces))
        return transmit(self, pieces)

    monkeypatch.setattr(Stream, "_transmit", counting)
    return made


def test_an_answer_is_sent_by_one_call(wire: Wire, calls: list[list[memoryview]]) -> None:
    wire.send(request())
    wire.answer()
    (pieces,) = calls
    assert b"".join(pieces).endswith(b'\r\n\r\n{"text":"some"}\n')


def test_a_large_answer_is_never_copied(wire: Wire, calls: list[list[memoryview]]) -> None:
    """Neither to its envelope nor to its head: the kernel gets the bytes the handler gave."""
    wire.send(request("/API/answer/large") + request())
    status, _, body = wire.answer()
    assert (status, body) == (200, b'{"status":200,"result":' + LARGE + b',"message":"ok"}\n')
    assert wire.answer()[2] == b'{"text":"some"}\n'
    assert any(piece.obj is RAW for piece in calls[0])


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO, logger="cherrypy.access")
    return lambda: [one.getMessage() for one in caplog.records if one.name == "cherrypy.access"]


def test_the_access_log_has_one_line_a_request_and_no_query(wire: Wire, lines: Any) -> None:
    wire.send(request("/API/answer/text?code=secret", "User-Agent: Fire\r\nReferer: http://x/\r\n"))
    wire.answer()
    assert eventually(lines) == ['127.0.0.1 - -  "GET /API/answer/text HTTP/1.1" 200 16 "http://x/" "Fire"']


def test_what_a_client_says_cannot_end_its_field_of_the_access_log(wire: Wire, lines: Any) -> None:
    wire.send(request("/API/nothing", 'User-Agent: a" 200 \\" é\r\n'))
    wire.answer()
    (line,) = eventually(lines)
    assert line.endswith('"a\\" 200 \\\\" \\xc3\\xa9"')


def test_an_answer_without_a_body_has_no_size_in_the_access_log(wire: Wire, lines: Any) -> None:
    wire.send(request("/API/answer/tagged", 'If-None-Match: "one"\r\n'))
    wire.answer()
    assert eventually(lines) == ['127.0.0.1 - -  "GET /API/answer/tagged HTTP/1.1" 304 - "" ""']


def test_a_request_that_cannot_be_told_of_leaves_no_user_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on to the next connection: its records would name the user of this one."""

    def failing(*_: object) -> None:
        raise OSError("the disk is full")

    api = make_api(make_services(), Root())
    arrival = Arrival("GET", "/API/healthz", "HTTP/1.1", Headers({"Host": "x"}), ("192.0.2.1", 1), io.BytesIO())
    monkeypatch.setattr(exchange, "log_access", failing)
    request = exchange.Exchange(api, arrival)
    request.serve()
    with pytest.raises(OSError, match="disk"):
        request.end()
    record = logging.makeLogRecord({"name": "test"})
    OdContextFilter().filter(record)
    assert record.__dict__["userid"] == "internal"
