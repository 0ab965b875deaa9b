"""Stopping the HTTP server: running requests get their time, and no more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from controllers.root import Root
from oc.od.base_controller import BaseController
from oc.web import Call, expose
from oc.web.application import make_api
from oc.web.bus import StopSignals

from .harness import Answer, Client, make_server, make_services


class WaitingController(BaseController):
    def __init__(self) -> None:
        super().__init__(None)
        self.inside = threading.Event()
        self.go_on = threading.Event()

    @expose(body=dict)
    def wait(self, call: Call, body: dict[str, Any]) -> object:
        self.inside.set()
        assert self.go_on.wait(30)
        return "done"


class Running:
    """A server with the product's thread pool, and one request that waits inside."""

    def __init__(self, shutdown_timeout: float) -> None:
        self.controller = WaitingController()
        self.server = make_server(make_api(make_services(), Root(), extra=[self.controller]), 3, shutdown_timeout)
        self.server.prepare()
        self.thread = threading.Thread(target=self.server.serve, daemon=True)
        self.thread.start()
        self._pool = ThreadPoolExecutor(1)
        self.request: Future[Answer] = self._pool.submit(Client(self.server.bind_addr[1]).post, "/API/waiting/wait", {})
        assert self.controller.inside.wait(10)

    def close(self) -> None:
        self.controller.go_on.set()
        self.thread.join(10)
        self._pool.shutdown()


@pytest.fixture
def patient() -> Iterator[Running]:
    running = Running(shutdown_timeout=20)
    yield running
    running.close()


@pytest.fixture
def hasty() -> Iterator[Running]:
    running = Running(shutdown_timeout=0.1)
    yield running
    running.close()


def test_a_running_request_may_finish(patient: Running):
    stopping = threading.Thread(target=patient.server.stop)
    stopping.start()
    patient.controller.go_on.set()
    assert patient.request.result(20).json["result"] == "done"
    stopping.join(20)
    assert not stopping.is_alive()


def test_a_request_that_does_not_finish_is_cut_off_and_does_not_hold_the_stop(hasty: Running, caplog):
    hasty.server.stop()
    assert not hasty.controller.go_on.is_set()  # the handler still waits, the stop does not
    assert "cut off" in caplog.text


def test_the_workers_do_not_keep_the_process_alive(patient: Running):
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("http-")]
    assert workers
    assert all(thread.daemon for thread in workers)
    patient.controller.go_on.set()
    patient.server.stop()


class Engine:
    """As much of CherryPy's engine as the signals touch."""

    def __init__(self) -> None:
        self.states = SimpleNamespace(STARTING="starting", STARTED="started")
        self.signal_handler = SimpleNamespace(handlers={"SIGHUP": "kept"}, subscribe=lambda: None)
        self.state = self.states.STARTED
        self.exits = 0

    def exit(self) -> None:
        self.exits += 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT", "SIGINT"])
def test_a_signal_asks_the_engine_to_exit(name):
    engine = Engine()
    signals = StopSignals(engine)
    engine.signal_handler.handlers[name]()
    assert (engine.exits, signals.requested) == (1, True)
    assert engine.signal_handler.handlers["SIGHUP"] == "kept"


def test_a_signal_during_the_start_is_remembered_until_the_start_is_over():
    engine = Engine()
    engine.state = engine.states.STARTING
    signals = StopSignals(engine)
    engine.signal_handler.handlers["SIGTERM"]()
    assert (engine.exits, signals.requested) == (0, True)
