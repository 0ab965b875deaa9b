"""The load generator against a server whose every answer the test decides."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.load import Answer, Ask, Engine, LoadError, Script, encode, in_turn, repeat

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Behaviour = Callable[[int, int], bytes | None]
"""Number of the connection and of the request on it -> the bytes to answer, None: close the connection instead."""


class Server:
    """Answers as told; remembers what came."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = threading.Event()
        self._behaviour = behaviour
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            number, self.connections = self.connections, self.connections + 1
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection:
            for count in range(10**6):
                data = self._request(connection)
                if data is None:
                    self.closed.set()
                    return
                self.requests.append(data)
                answer = self._behaviour(number, count)
                if answer is None:
                    return
                connection.sendall(answer)

    @staticmethod
    def _request(connection: socket.socket) -> bytes | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
        return data


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[tuple[Server, Engine]]:
    server = Server(behaviour)
    try:
        with Engine([server.port]) as engine:
            yield server, engine
    finally:
        server.stop()


def times(ask: Ask, count: int) -> Script:
    return in_turn([ask] * count)


GET = Ask("get", encode("GET", "healthz"))


def test_a_connection_is_used_again_and_each_answer_is_timed() -> None:
    with serving(lambda *_: OK) as (server, engine):
        engine.start(times(GET, 5))
        engine.run()
        assert server.connections == 1
        assert len(engine.tally("get").milliseconds) == 5
        assert min(engine.tally("get").milliseconds) > 0
        engine.check()


def test_clients_at_the_same_time_have_connections_of_their_own() -> None:
    gate = threading.Barrier(3, timeout=20)

    def together(*_: int) -> bytes:
        gate.wait()
        return OK

    with serving(together) as (server, engine):
        for _ in range(3):
            engine.start(times(GET, 1))
        engine.run()
        assert server.connections == 3


def test_a_script_is_given_the_body_it_asked_for() -> None:
    got: list[Answer | None] = []

    def script() -> Script:
        got.append((yield Ask("post", encode("POST", "user/whoami", {"a": 1}, token="t"))))

    body = json.dumps({"userid": "x" * 500_000}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with serving(lambda *_: head + body) as (server, engine):
        engine.start(script())
        engine.run()
    assert got[0] is not None
    assert len(got[0].json()["userid"]) == 500_000
    assert b"\r\nABCAuthorization: Bearer t\r\n" in server.requests[0]
    assert server.requests[0].endswith(b'Content-Length: 7\r\n\r\n{"a":1}')


def test_what_the_server_closes_is_not_used_again() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with serving(lambda *_: closing) as (server, engine):
        engine.start(times(GET, 3))
        engine.run()
        assert server.connections == 3
        engine.check()


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"200 OK", b"503 Busy"),
        b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"status": 500',
        None,
    ],
    ids=["status", "soft error", "closed"],
)
def test_a_failure_is_counted_and_said(answer: bytes | None) -> None:
    with serving(lambda *_: answer) as (_, engine):
        engine.start(times(GET, 1))
        engine.run()
        assert engine.tally("get").failed == 1
        assert engine.tally("get").milliseconds == []
        with pytest.raises(LoadError, match="get: 1 failed"):
            engine.check()


def test_a_status_that_is_right_is_no_failure() -> None:
    with serving(lambda *_: OK.replace(b"200 OK", b"404 No")) as (_, engine):
        engine.start(times(Ask("get", GET.data, right=(200, 404)), 1))
        engine.run()
        engine.check()


def test_a_status_that_does_not_count_is_neither_good_nor_bad() -> None:
    with serving(lambda *_: OK.replace(b"200 OK", b"503 Busy")) as (_, engine):
        engine.start(times(Ask("get", GET.data, uncounted=(503,)), 2))
        engine.run()
        engine.check()
        assert engine.tally("get").milliseconds == []


def test_a_request_on_a_connection_the_server_just_closed_is_sent_again_once() -> None:
    with serving(lambda connection, count: OK if connection or not count else None) as (server, engine):
        engine.start(times(GET, 2))
        engine.run()
        engine.check()
        assert server.connections == 2
        assert engine.retried == 1


def test_no_answer_in_time_is_a_failure_that_is_not_tried_again() -> None:
    silent = threading.Event()

    def hang(*_: int) -> bytes:
        silent.wait(20)
        return OK

    with serving(hang) as (server, engine):
        engine.start(times(Ask("get", GET.data, seconds=0.01), 1))
        engine.run()
        silent.set()
        assert "no answer in 0.01 s" in engine.tally("get").texts[0]
        assert len(server.requests) == 1


def test_pauses_put_clients_into_their_order() -> None:
    order: list[str] = []

    def script(name: str, pause: float) -> Script:
        yield pause
        order.append(name)

    with serving(lambda *_: OK) as (_, engine):
        engine.start(script("late", 0.5))
        engine.start(script("early", 0.01))
        engine.start(script("middle", 0.0), after=0.25)
        engine.run()
    assert order == ["early", "middle", "late"]


def test_a_client_that_vanishes_cuts_its_connection_and_never_goes_on() -> None:
    hang, went_on = threading.Event(), []

    def wait(connection: int, count: int) -> bytes:
        del count
        if connection == 0:
            hang.wait(20)
        return OK

    def script() -> Script:
        yield GET
        went_on.append(True)

    with serving(wait) as (server, engine):
        victim = script()
        engine.start(victim)

        def killer() -> Script:
            while not server.requests:
                yield 0.01
            engine.vanish(victim)

        engine.start(killer())
        engine.run()
        hang.set()
        assert server.closed.wait(20)
    assert not went_on


def test_a_run_with_an_end_can_be_gone_on_with() -> None:
    with serving(lambda *_: OK) as (server, engine):
        engine.start(times(GET, 1), after=0.05)
        engine.run(0.0)
        assert server.requests == []
        engine.run()
        assert len(server.requests) == 1


def test_repeat_ends_at_its_end() -> None:
    assert list(repeat(GET, end=0.0)) == []
