"""Readiness: which commands are run, in what order, and what happens when a service does not come up."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import Login
from oc.od.orchestrator import Desktop, LaunchFailedError, Orchestrator
from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.execution import ExecResult
from oc.od.orchestrator.readiness import Readiness, readiness_checks
from oc.od.settings import Settings
from tests.waiting import eventually

from .support import CLIENT, POD_TEMPLATE, PODS, ClusterAdmin, Progress, settings_with


def with_graphical(**changes: Any) -> Settings:
    template = copy.deepcopy(POD_TEMPLATE)
    template["graphical"].update(changes)
    return settings_with(**{"desktop.pod": template})


def test_the_checks_are_services_then_processes_then_ports() -> None:
    wait_port = "/composer/node/wait-port/node_modules/.bin/wait-port"
    assert [(check.name, check.command) for check in readiness_checks(settings_with(), "10.0.0.1")] == [
        ("xserver, novnc", ("/usr/bin/supervisorctl", "status", "xserver", "novnc")),
        ("plasmashell", ("/usr/bin/pidof", "plasmashell")),
        ("graphical", (wait_port, "-t", "2000", "10.0.0.1:6081")),
        ("graphical", ("/usr/bin/curl", "--max-time", "3", "http://10.0.0.1:6081/graphical/healtz")),
    ]


def test_the_configured_time_of_the_port_check_is_used() -> None:
    checks = readiness_checks(with_graphical(waitportbintimeout=1234, healtzbin=None), "10.0.0.1")
    assert checks[-1].command[1:3] == ("-t", "1234")


def test_an_ipv6_address_is_bracketed() -> None:
    assert readiness_checks(settings_with(), "2001:db8::1")[-1].command[-1].startswith("http://[2001:db8::1]:6081/")


def test_an_entry_that_is_switched_off_is_not_waited_for() -> None:
    settings = with_graphical(waitfor_listeningservices=["graphical", "spawner"], healtzbin=None)
    assert [check.name for check in readiness_checks(settings, "10.0.0.1")][2:] == ["graphical"]


def test_without_services_none_is_asked_for() -> None:
    checks = readiness_checks(with_graphical(waitfor_services=[]), "10.0.0.1")
    assert checks[0].command == ("/usr/bin/pidof", "plasmashell")  # a status without names would be that of all


@pytest.mark.parametrize("missing", ["tcpport", "waitportbin"])
def test_a_port_that_cannot_be_checked_is_an_error_of_the_configuration(missing: str) -> None:
    with pytest.raises(ODError) as caught:
        readiness_checks(with_graphical(**{missing: None}), "10.0.0.1")
    assert caught.value.status == 500
    assert "waitportbin" in caught.value.doing


@pytest.fixture
def make_desktop(login: Login) -> Callable[[Orchestrator], Desktop]:
    def make(orchestrator: Orchestrator) -> Desktop:
        orchestrator.write_login_secrets(login)
        return orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))

    return make


def test_a_service_that_never_comes_up_is_given_up_at_the_deadline(
    make_orchestrator: Callable[..., Orchestrator],
    make_desktop: Callable[[Orchestrator], Desktop],
    caplog: pytest.LogCaptureFixture,
) -> None:
    orchestrator = make_orchestrator(with_graphical(waitfor_services=["xserver", "never"]))
    progress = Progress()
    assert orchestrator.wait_ready(make_desktop(orchestrator), progress, Deadline(0.6)) is False
    assert progress.texts == ["c.Waiting for xserver, never"]
    assert "last said: b'never  STARTING\\n'" in caplog.text


def test_a_desktop_that_is_gone_is_said_to_be_gone_at_once(
    orchestrator: Orchestrator, make_desktop: Callable[[Orchestrator], Desktop]
) -> None:
    desktop = make_desktop(orchestrator)
    orchestrator.delete_desktop_pod(desktop)
    with pytest.raises(LaunchFailedError, match="ended while its services"):
        orchestrator.wait_ready(desktop, Progress(), Deadline(3600))


def test_a_desktop_that_is_deleted_while_its_services_start_is_not_waited_for(
    make_orchestrator: Callable[..., Orchestrator],
    make_desktop: Callable[[Orchestrator], Desktop],
    admin: ClusterAdmin,
) -> None:
    orchestrator = make_orchestrator(with_graphical(waitfor_services=["never"]))
    desktop = make_desktop(orchestrator)

    def deleting(text: str) -> None:
        assert text == "c.Waiting for never"
        admin.api("DELETE", f"{PODS}/{desktop.name}", {"gracePeriodSeconds": 0})

    with pytest.raises(LaunchFailedError, match="ended while its services"):
        orchestrator.wait_ready(desktop, deleting, Deadline(3600))


def test_a_check_that_stumbles_is_asked_again(
    orchestrator: Orchestrator, make_desktop: Callable[[Orchestrator], Desktop], admin: ClusterAdmin
) -> None:
    desktop = make_desktop(orchestrator)
    admin.fault(resource="pods/exec", status=500, count=2)
    assert orchestrator.wait_ready(desktop, Progress(), Deadline(20)) is True


def test_a_ready_desktop_costs_one_command_a_check(
    orchestrator: Orchestrator, make_desktop: Callable[[Orchestrator], Desktop], admin: ClusterAdmin
) -> None:
    desktop = make_desktop(orchestrator)
    admin.forget_requests()
    assert orchestrator.wait_ready(desktop, Progress(), Deadline(20))
    # the server notes a command when its connection has ended
    assert eventually(lambda: len(admin.requests_of("pods/exec")) == 4)


class Busy(Executor):
    """Has no thread free, ever."""

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        return Future()


def stopped() -> Executor:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    return executor


@pytest.mark.parametrize("executor", [Busy(), stopped()], ids=["busy", "stopped"])
def test_checks_without_a_thread_of_their_own_are_asked_in_turn(
    client: KubernetesClient,
    orchestrator: Orchestrator,
    make_desktop: Callable[[Orchestrator], Desktop],
    executor: Executor,
) -> None:
    subject = Readiness(settings_with(), client, executor)
    assert subject.wait(make_desktop(orchestrator), Progress(), Deadline(20), lambda: True)


def test_once_the_services_run_the_rest_is_asked_at_once(
    orchestrator: Orchestrator, make_desktop: Callable[[Orchestrator], Desktop], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(3, timeout=20)
    asked: list[str] = []

    def answer(client: KubernetesClient, pod: str, container: str, command: tuple[str, ...], **_: object) -> ExecResult:
        asked.append(command[0].rpartition("/")[2])
        if asked[-1] == "supervisorctl":
            return ExecResult(0 if len(asked) == 3 else 3)
        together.wait()
        return ExecResult(0)

    monkeypatch.setattr("oc.od.orchestrator.readiness.run_in_container", answer)
    assert orchestrator.wait_ready(make_desktop(orchestrator), Progress(), Deadline(60))
    assert asked[:3] == ["supervisorctl"] * 3
    assert sorted(asked[3:]) == ["curl", "pidof", "wait-port"]


def test_a_desktop_that_ends_ends_every_check(
    orchestrator: Orchestrator, make_desktop: Callable[[Orchestrator], Desktop], monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop = make_desktop(orchestrator)

    def answer(client: KubernetesClient, pod: str, container: str, command: tuple[str, ...], **_: object) -> ExecResult:
        if command[0].endswith("curl"):
            orchestrator.delete_desktop_pod(desktop)
        return ExecResult(0 if command[0].endswith("supervisorctl") else 1)

    monkeypatch.setattr("oc.od.orchestrator.readiness.run_in_container", answer)
    with pytest.raises(LaunchFailedError, match="ended while its services"):
        orchestrator.wait_ready(desktop, Progress(), Deadline(60))
