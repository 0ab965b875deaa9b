"""The service container: what exists when, start and stop, and what its health report says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from oc.od.health import health_report
from oc.od.reachability import unknown_hosts
from oc.od.services import BootError, ODServices, services
from oc.od.settings import settings_from_mapping
from oc.web.bus import ODCherryWatcher


class Part:
    """Something with a life."""

    def __init__(self, name: str, calls: list[str], fails: bool = False) -> None:
        self._name = name
        self._calls = calls
        self._fails = fails

    def start(self) -> None:
        self._calls.append(f"start {self._name}")
        if self._fails:
            raise RuntimeError("no")

    def stop(self) -> None:
        self._calls.append(f"stop {self._name}")
        if self._fails:
            raise RuntimeError("no")


PARTS = ("apps", "kuberneteswatcher", "orchestrator", "history")


def container(calls: list[str], failing: str = "") -> ODServices:
    made = ODServices()
    for name in PARTS:
        setattr(made, name, Part(name, calls, fails=name == failing))
    return made


def test_every_attribute_exists_from_the_start():
    names = (
        "messageinfo accounting datastore sharecache auth internaldns jwtdesktop locatorPublicInternet "
        "locatorPrivateActiveDirectory keymanager prelogin logmein fail2ban asnumber authorized_keys apps "
        "kuberneteswatcher settings orchestrator composer history usertokens"
    )
    for name in names.split():
        assert getattr(ODServices(), name) is None


def test_the_global_container_is_one():
    assert isinstance(services, ODServices)


def test_parts_start_in_order_and_only_once():
    calls: list[str] = []
    made = container(calls)
    made.start()
    made.start()
    assert calls == [f"start {name}" for name in PARTS]


def test_parts_stop_in_order_and_only_once():
    calls: list[str] = []
    made = container(calls)
    made.stop()
    assert calls == []
    made.start()
    calls.clear()
    made.stop()
    made.stop()
    assert calls == [f"stop {name}" for name in PARTS]


def test_connections_to_the_database_are_closed_after_those_who_use_them_have_stopped():
    class Database:
        def close(self) -> None:
            calls.append("close database")

    calls: list[str] = []
    made = container(calls)
    made.datastore = Database()  # type: ignore[assignment]
    made.start()
    made.stop()
    assert calls[-2:] == ["stop history", "close database"]


@pytest.mark.parametrize("failing", PARTS)
def test_one_part_that_fails_does_not_keep_the_others(failing, caplog):
    calls: list[str] = []
    made = container(calls, failing)
    made.start()
    made.stop()
    assert calls == [f"start {name}" for name in PARTS] + [f"stop {name}" for name in PARTS]
    assert f"could not start {failing}" in caplog.text


def test_a_container_may_be_started_again():
    calls: list[str] = []
    made = container(calls)
    made.start()
    made.stop()
    made.start()
    assert calls[-1] == "start history"


def test_the_bus_starts_services_before_the_port_opens_and_stops_them_after_it_closed():
    assert ODCherryWatcher.start.priority < 75
    assert ODCherryWatcher.stop.priority > 25


def test_a_failing_stop_does_not_stop_the_bus(caplog):
    class Failing:
        def start(self) -> None: ...

        def stop(self) -> None:
            raise RuntimeError("no")

    ODCherryWatcher(None, Failing()).stop()
    assert "did not stop cleanly" in caplog.text


def test_an_unknown_key_file_is_a_boot_error_with_its_name(tmp_path):
    values = {
        "desktop.pod": {},
        "mongodburl": "mongodb://127.0.0.1:1",
        "memcacheserver": "127.0.0.1",
        "jwt_token_user": {"jwtuserprivatekeyfile": "/absent/key", "jwtuserpublickeyfile": "/absent/pub"},
    }
    with pytest.raises(BootError, match="/absent/key") as caught:
        ODServices().build(settings_from_mapping(values, {}), tmp_path)
    assert caught.value.exit_code == 1


def resolver(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], object]) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: answer(host))


def test_a_name_that_does_not_exist_is_reported(monkeypatch):
    def answer(host: str) -> object:
        if host.startswith("no-such"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return []

    resolver(monkeypatch, answer)
    assert unknown_hosts(["no-such-b", "mongodb", "no-such-a", "no-such-a"], 5) == ["no-such-a", "no-such-b"]


def test_a_resolver_that_fails_proves_nothing(monkeypatch, caplog):
    def answer(host: str) -> object:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    resolver(monkeypatch, answer)
    assert unknown_hosts(["mongodb"], 5) == []
    assert "could not be resolved" in caplog.text


def test_a_resolver_that_does_not_answer_costs_its_time_limit_only(monkeypatch, caplog):
    go_on = threading.Event()
    resolver(monkeypatch, lambda host: go_on.wait(30))
    try:
        assert unknown_hosts(["mongodb"], 0.05) == []
    finally:
        go_on.set()
    assert "did not answer" in caplog.text


def test_addresses_need_no_resolver():
    assert unknown_hosts(["127.0.0.1", "::1", "localhost"], 5) == []


class Store:
    def __init__(self, up: bool) -> None:
        self.available = up
        self._up = up

    def ping(self, database: str) -> bool:
        return self._up


class Cluster:
    def __init__(self, age: float | None) -> None:
        self.watch_age = age


@pytest.mark.parametrize(
    ("mongodb", "memcached", "age", "ready"),
    [
        (True, True, 1.0, True),
        (False, True, 1.0, False),
        (True, False, 1.0, False),
        (True, True, None, False),
        (True, True, 1000.0, False),
    ],
)
def test_the_health_report_is_ready_when_all_parts_are(mongodb, memcached, age, ready):
    made = ODServices()
    made.datastore, made.sharecache, made.orchestrator = Store(mongodb), Store(memcached), Cluster(age)
    report = health_report(made, {"launch": (8, 4, 1, 0)})
    assert report["ready"] is ready
    assert report["dependencies"]["mongodb"]["ok"] is mongodb
    assert report["dependencies"]["memcached"]["ok"] is memcached
    assert report["lanes"] == {"launch": {"size": 8, "queue": 4, "inside": 1, "waiting": 0}}
