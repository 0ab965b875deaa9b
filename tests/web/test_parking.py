"""Many connections, slow ones and hostile ones: none of them holds a thread, and whoever comes is served."""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import select
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from controllers.root import Root
from oc.od.base_controller import BaseController
from oc.web import Call, expose, parking
from oc.web.application import make_api
from oc.web.connection import GATHERED, LINGER_SILENCE, SERVER_MAX_BODY
from oc.web.parking import PAUSE_SECONDS, QUIET_SECONDS, Parking
from oc.web.server import KEPT_SECONDS
from oc.web.wire import ANSWER_SECONDS, HEAD_SECONDS, Waiting

from ..waiting import eventually
from .harness import Client, make_server, make_services

HEALTH = b"GET /API/healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b'"' + b"x" * 8_000_000 + b'"'
RAW = msgspec.Raw(LARGE)
JSON = "Host: x\r\nContent-Type: application/json\r\n"


class SlowController(BaseController):
    def __init__(self) -> None:
        super().__init__(None)
        self.inside = threading.Semaphore(0)
        self.go_on = threading.Event()

    @expose(body=dict, envelope=False)
    def echo(self, call: Call, body: dict[str, Any]) -> object:
        return body

    @expose(methods=("GET",))
    def large(self, call: Call) -> object:
        return RAW

    @expose(methods=("GET",))
    def wait(self, call: Call) -> object:
        self.inside.release()
        assert self.go_on.wait(30)
        return "done"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Running:
    """A server of two threads that reads a clock of the test."""

    def __init__(self, *, serves: bool = True) -> None:
        self.clock = Clock()
        self.controller = SlowController()
        self.server = make_server(make_api(make_services(), Root(), extra=[self.controller]), 2)
        self.server.request_queue_size = 1024
        self.server.waiting = Waiting(2, self.clock)
        self.server.prepare()
        self.port: int = self.server.bind_addr[1]
        self.parking: Parking = self.server._connections
        self.thread = threading.Thread(target=self.server.serve if serves else lambda: None, daemon=True)
        self.thread.start()
        self.sockets: list[socket.socket] = []

    def connect(self, data: bytes = b"", *, buffer: int | None = None) -> socket.socket:
        """A client that has sent ``data``. buffer: bytes of what it receives that wait for it to read them."""
        one = socket.socket()
        if buffer is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        one.settimeout(20)
        one.connect(("127.0.0.1", self.port))
        one.sendall(data)
        self.sockets.append(one)
        return one

    def is_healthy(self) -> bool:
        return Client(self.port).get("/API/healthz").body == b"OK"

    def resting(self, number: int) -> bool:
        return bool(eventually(lambda: len(self.parking._resting) == number))

    def amid_request(self) -> bool:
        """Whether some rest amid a request or an answer."""
        return bool(eventually(lambda: any(one.amid_request for one, _ in tuple(self.parking._resting.values()))))

    def later(self, seconds: float) -> None:
        self.clock.now += seconds

    def close(self) -> None:
        self.controller.go_on.set()
        for one in self.sockets:
            one.close()
        self.server.stop()
        self.thread.join(10)


@pytest.fixture
def running() -> Iterator[Running]:
    one = Running()
    yield one
    one.close()


def rest(one: socket.socket) -> bytes:
    """What comes until the server closes."""
    return b"".join(iter(lambda: one.recv(1 << 20), b""))


def answer(one: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = one.recv(65536)
        assert more, data
        data += more
    return data


def post(length: int, body: bytes = b"", target: str = "/API/slow/echo", more: str = "") -> bytes:
    return f"POST {target} HTTP/1.1\r\n{JSON}{more}Content-Length: {length}\r\n\r\n".encode() + body


# -- threads ---------------------------------------------------------------------------------------------------------


def test_clients_that_connect_and_say_nothing_hold_no_thread(running: Running) -> None:
    for _ in range(500):
        running.connect()
    assert running.is_healthy()


@pytest.mark.parametrize("begin", [HEALTH[:-2], post(2, b"{"), post(GATHERED, b"{")])
def test_clients_that_send_a_byte_now_and_then_hold_no_thread(running: Running, begin: bytes) -> None:
    slow = [running.connect(begin[:-1]) for _ in range(40)]
    assert running.is_healthy()
    for one in slow:
        one.sendall(begin[-1:])
    assert running.is_healthy()
    slow[0].sendall(b"\r\n" if begin.startswith(b"GET") else b" " * (GATHERED - 2) + b"}")
    assert answer(slow[0]).startswith(b"HTTP/1.1 ")


def test_long_bodies_that_do_not_come_never_hold_all_threads(running: Running) -> None:
    slow = [running.connect(post(10 * GATHERED, b"{")) for _ in range(10)]
    assert running.is_healthy()
    assert eventually(lambda: len(select.select(slow, [], [], 0)[0]) == 9)
    refused = select.select(slow, [], [], 0)[0]
    assert all(answer(one).startswith(b"HTTP/1.1 503") for one in refused)
    next(one for one in slow if one not in refused).shutdown(socket.SHUT_WR)


def test_clients_that_do_not_read_their_answer_hold_no_thread(running: Running) -> None:
    slow = [running.connect(b"GET /API/slow/large HTTP/1.1\r\nHost: x\r\n\r\n", buffer=4096) for _ in range(6)]
    assert running.is_healthy()
    for one in slow:
        one.sendall(b"GET /API/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    for one in slow:
        received = rest(one)
        assert LARGE in received
        assert received.endswith(b"\r\n\r\nOK")


def test_when_too_much_waits_to_be_taken_who_waits_longest_is_closed(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(parking, "MOST_UNSENT", 12_000_000)
    first = running.connect(b"GET /API/slow/large HTTP/1.1\r\nHost: x\r\n\r\n", buffer=4096)
    assert running.amid_request()
    running.later(1)
    for _ in range(2):
        running.connect(b"GET /API/slow/large HTTP/1.1\r\nHost: x\r\n\r\n", buffer=4096)
    assert eventually(lambda: "slow to take them" in caplog.text)
    with contextlib.suppress(ConnectionResetError):
        assert LARGE not in rest(first)
    assert running.is_healthy()


# -- time ------------------------------------------------------------------------------------------------------------


def test_half_a_request_is_told_when_its_time_is_over(running: Running) -> None:
    half, silent, resting = running.connect(HEALTH[:20]), running.connect(), running.connect(HEALTH)
    assert answer(resting).startswith(b"HTTP/1.1 200")
    assert running.amid_request()
    assert running.resting(3)
    running.later(HEAD_SECONDS)
    assert rest(half).startswith(b"HTTP/1.1 408")
    assert rest(silent) == b""
    running.later(KEPT_SECONDS - HEAD_SECONDS - 1)
    resting.sendall(HEALTH)
    assert answer(resting).startswith(b"HTTP/1.1 200")
    assert running.resting(1)
    running.later(KEPT_SECONDS + 1)
    assert rest(resting) == b""


def test_many_that_are_late_at_once_do_not_keep_others_waiting(monkeypatch: pytest.MonkeyPatch, still: Running) -> None:
    monkeypatch.setattr(parking, "_CLOSED_AT_ONCE", 3)
    for number in range(7):
        still.connect()
        assert eventually(lambda: still.parking._turn(0.1) or len(still.parking._resting)) == number + 1
    still.later(HEAD_SECONDS)
    assert [still.parking.expire(still.clock.now) for _ in range(3)] == [True, True, False]
    assert not still.parking._resting


def test_an_answer_nobody_takes_is_given_up(running: Running) -> None:
    slow = running.connect(b"GET /API/slow/large HTTP/1.1\r\nHost: x\r\n\r\n", buffer=4096)
    assert running.amid_request()
    running.later(ANSWER_SECONDS)
    assert running.resting(0)
    with contextlib.suppress(ConnectionResetError):
        assert LARGE not in rest(slow)


# -- too many --------------------------------------------------------------------------------------------------------


def test_of_too_many_connections_those_that_wait_longest_are_closed(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.parking.most = 20
    old = [running.connect() for _ in range(10)]
    assert running.resting(10)
    running.later(1)
    new = [running.connect() for _ in range(15)]
    assert running.is_healthy()
    assert all(rest(one) == b"" for one in old[:5])
    new[-1].sendall(HEALTH)
    assert answer(new[-1]).startswith(b"HTTP/1.1 200")
    assert caplog.text.count("those that wait longest") == 1


@pytest.mark.parametrize(
    ("descriptors", "most"), [(1024, 512), (1_048_576, 10_000), (resource.RLIM_INFINITY, 10_000), (4, 8)]
)
def test_at_most_half_of_the_descriptors_are_taken_for_connections(descriptors: int, most: int) -> None:
    assert parking._most(descriptors) == most


class Failing:
    """A listening socket for which there are no descriptors."""

    def __init__(self, listener: socket.socket, times: int) -> None:
        self._listener = listener
        self.left = times
        self.asked = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()

    def fileno(self) -> int:
        return self._listener.fileno()


@pytest.fixture
def still() -> Iterator[Running]:
    """A server whose turns the test makes."""
    one = Running(serves=False)
    yield one
    one.close()


def fail(running: Running, times: int) -> Failing:
    failing = Failing(running.parking._listener, times)
    running.parking._listener = failing  # type: ignore[assignment]
    return failing


def test_without_a_descriptor_the_connection_that_waits_longest_makes_room(
    still: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        still.connect()
        still.parking._turn(5)
        still.later(1)
    failing = fail(still, 2)
    still.connect()
    still.parking._turn(5)
    assert len(still.parking._resting) == 2
    assert rest(still.sockets[0]) == rest(still.sockets[1]) == b""
    assert failing.asked == 4
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Too many open files" in caplog.text


def test_when_nothing_makes_room_the_server_waits_without_spinning_and_goes_on(
    still: Running, caplog: pytest.LogCaptureFixture
) -> None:
    failing = fail(still, 1)
    still.connect()
    for _ in range(20):
        still.parking._turn(0.001)
    assert failing.asked == 1
    still.later(PAUSE_SECONDS)
    still.parking.expire(still.clock.now)
    still.parking._turn(5)
    assert len(still.parking._resting) == 1
    still.later(QUIET_SECONDS + 1)
    failing.left = 1
    still.connect()
    still.parking._turn(5)
    assert len(caplog.records) == 2


# -- refused while they send -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "status"),
    [
        (post(SERVER_MAX_BODY + 1), 413),
        (post(5_000_000), 413),
        (post(5_000_000, target="/API/nowhere"), 404),
        (post(5_000_000, more="Content-Length: 5\r\n"), 400),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /API/healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000, 413),
        (b"GET /" + b"y" * 200_000, 414),
        (f"POST /API/slow/echo HTTP/1.1\r\n{JSON}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), 400),
    ],
)
def test_a_client_that_sends_on_gets_the_answer_that_refuses_it(running: Running, begin: bytes, status: int) -> None:
    """Closed with something unread, the connection would be reset and the answer lost."""
    one = running.connect(begin)
    one.sendall(b" " * 4_000_000)
    one.shutdown(socket.SHUT_WR)
    received = rest(one)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in received
    assert running.resting(0)


def test_a_client_that_was_refused_is_not_listened_to_for_long(running: Running) -> None:
    one = running.connect(post(5_000_000, b"x" * 1000, "/API/nowhere"))
    assert rest(one).startswith(b"HTTP/1.1 404")
    assert running.resting(1)
    running.later(LINGER_SILENCE)
    assert running.resting(0)


def test_a_refused_client_that_never_stops_is_cut_off(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oc.web.connection.LINGER_BYTES", 1_000_000)
    one = running.connect(post(5_000_000, target="/API/nowhere"))
    with pytest.raises(ConnectionError):
        one.sendall(b"x" * 200_000_000)


@pytest.mark.parametrize(("protocol", "told"), [("1.1", True), ("1.0", False)])
def test_who_waits_for_a_word_before_the_body_gets_it_unless_it_is_an_old_client(
    running: Running, protocol: str, told: bool
) -> None:
    text = f"POST /API/slow/echo HTTP/{protocol}\r\n{JSON}Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    one = running.connect(text.encode())
    if told:
        assert answer(one) == b"HTTP/1.1 100 Continue\r\n\r\n"
    one.sendall(b"{}")
    assert answer(one).startswith(b"HTTP/1.1 200")


def test_a_client_that_sends_its_body_at_once_gets_one_answer(running: Running) -> None:
    one = running.connect(post(2, b"{}", more="Expect: 100-continue\r\nConnection: close\r\n"))
    assert rest(one).startswith(b"HTTP/1.1 200")


# -- several requests ------------------------------------------------------------------------------------------------


def test_requests_with_bodies_sent_at_once_are_answered_in_order_also_after_an_error(running: Running) -> None:
    requests = [post(7, b'{"a":1}'), post(7, b'{"a":2]'), post(2, b"{}", "/API/nowhere"), post(7, b'{"a":3}')]
    one = running.connect(b"\r\n" + b"".join(requests) + HEALTH.replace(b"x\r\n", b"x\r\nConnection: close\r\n"))
    received = rest(one)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400", b"404", b"200", b"200"]
    assert received.index(b'{"a":1}') < received.index(b'{"a":3}')


def test_a_client_that_has_sent_all_it_will_is_answered(running: Running) -> None:
    one = running.connect(HEALTH + HEALTH)
    one.shutdown(socket.SHUT_WR)
    assert rest(one).count(b"HTTP/1.1 200") == 2


def test_a_client_that_leaves_amid_its_answer_leaves_no_trace(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        one = running.connect(b"GET /API/slow/large HTTP/1.1\r\nHost: x\r\n\r\n", buffer=4096)
        one.recv(10)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
    assert running.resting(0)
    assert running.is_healthy()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# -- the end ---------------------------------------------------------------------------------------------------------


def test_at_the_end_what_is_under_way_is_finished_and_what_rests_is_closed(running: Running) -> None:
    resting, waiting = running.connect(HEALTH), running.connect(b"GET /API/slow/wait HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer(resting).startswith(b"HTTP/1.1 200")
    assert running.controller.inside.acquire(timeout=10)
    reading = running.connect(b"GET /API/slow/large HTTP/1.1\r\nHost: x\r\n\r\n", buffer=4096)
    assert running.amid_request()
    assert running.resting(2)
    stopping = threading.Thread(target=running.server.stop)
    stopping.start()
    assert rest(resting) == b""
    assert LARGE in rest(reading)
    running.controller.go_on.set()
    last = rest(waiting)
    assert b"Connection: close" in last
    assert b'"done"' in last
    stopping.join(10)
    assert not stopping.is_alive()


def test_who_has_sent_a_request_before_the_end_is_served(still: Running) -> None:
    one = still.connect(HEALTH)
    still.server.stop()
    received = rest(one)
    assert received.endswith(b"OK")
    assert b"Connection: close" in received
