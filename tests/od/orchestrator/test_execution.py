"""Commands in containers: exit status, output, limits, and the words of the protocol."""

from __future__ import annotations

import json
import logging
from contextlib import suppress

import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Login
from oc.od.orchestrator import Desktop, ExecError, KubernetesClient, KubernetesError, Orchestrator
from oc.od.orchestrator.errors import CommandNotStartedError
from oc.od.orchestrator.execution import ExecResult, exit_code, run_in_container
from oc.od.orchestrator.notify import notify_user
from oc.od.orchestrator.wire import Connection

from .support import CLIENT, Progress


@pytest.fixture
def desktop(orchestrator: Orchestrator, login: Login) -> Desktop:
    orchestrator.write_login_secrets(login)
    return orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))


def run(orchestrator: Orchestrator, desktop: Desktop, script: str, **options: float) -> ExecResult:
    options.setdefault("timeout", 10.0)
    return run_in_container(
        orchestrator.client,
        desktop.name,
        desktop.container_name or "",
        ["/bin/sh", "-c", script],
        **options,  # type: ignore[arg-type]
    )


def test_output_and_exit_status_come_back(orchestrator: Orchestrator, desktop: Desktop) -> None:
    result = run(orchestrator, desktop, "echo out; echo err >&2; exit 7")
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"out\n", b"err\n")
    assert not result.truncated


def test_success_is_zero(orchestrator: Orchestrator, desktop: Desktop) -> None:
    assert run(orchestrator, desktop, "true").exit_code == 0


def test_more_output_than_wanted_is_cut(orchestrator: Orchestrator, desktop: Desktop) -> None:
    result = run(orchestrator, desktop, "head -c 100000 /dev/zero", output_limit=1000)
    assert len(result.stdout) == 1000
    assert result.truncated
    assert result.exit_code == 0


def test_arguments_arrive_as_they_are(orchestrator: Orchestrator, desktop: Desktop) -> None:
    argument = 'a "b" & c=é\n$HOME'
    result = run_in_container(
        orchestrator.client, desktop.name, "x-graphical", ["/bin/echo", "-n", argument], timeout=10
    )
    assert result.stdout.decode() == argument


def test_a_command_that_does_not_end_is_left(orchestrator: Orchestrator, desktop: Desktop) -> None:
    with pytest.raises(ExecError) as caught:
        run(orchestrator, desktop, "sleep 20", timeout=0.4)
    assert caught.value.status == 504


def test_a_command_that_does_not_exist_was_never_started(orchestrator: Orchestrator, desktop: Desktop) -> None:
    with pytest.raises(CommandNotStartedError):
        run_in_container(orchestrator.client, desktop.name, "x-graphical", ["/no/such/command"], timeout=10)


@pytest.mark.parametrize("script", ["true", "sleep 20"])
def test_the_api_is_told_when_nobody_listens_any_more(
    orchestrator: Orchestrator, desktop: Desktop, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a close frame it holds its side of the connection for seconds."""
    sent: list[int] = []
    send = Connection.send

    def noting(self: Connection, data: bytes) -> int:
        sent.append(data[0])
        return send(self, data)

    monkeypatch.setattr(Connection, "send", noting)
    with suppress(ExecError):
        run(orchestrator, desktop, script, timeout=0.4 if "sleep" in script else 10)
    assert sent == [0x88]


def test_a_container_that_does_not_exist_is_refused_by_the_api(orchestrator: Orchestrator, desktop: Desktop) -> None:
    with pytest.raises(KubernetesError) as caught:
        run_in_container(orchestrator.client, desktop.name, "nothing", ["/bin/true"], timeout=10)
    assert 400 <= caught.value.code <= 500


def test_a_pod_that_does_not_exist_is_not_found(client: KubernetesClient, orchestrator: Orchestrator) -> None:
    with pytest.raises(KubernetesError) as caught:
        run_in_container(client, "no-such-pod", "x", ["/bin/true"], timeout=10)
    assert caught.value.code == 404


def test_what_is_run_is_not_logged(
    orchestrator: Orchestrator, desktop: Desktop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="oc")
    run(orchestrator, desktop, "echo s3cret")
    with pytest.raises(ExecError) as caught:
        run(orchestrator, desktop, "echo s3cret; sleep 9", timeout=0.3)
    assert "s3cret" not in caplog.text + caught.value.doing + str(caught.value)


def test_a_user_is_notified_through_the_desktop(orchestrator: Orchestrator, desktop: Desktop) -> None:
    assert orchestrator.notify(desktop, "container", {"name": "x", "message": "y"}) is True


def test_a_desktop_that_is_gone_takes_no_notification(orchestrator: Orchestrator) -> None:
    assert notify_user(orchestrator.client, "no-such-pod", "x-graphical", "container", {}) is False


def test_unknown_notifications_are_not_sent(orchestrator: Orchestrator) -> None:
    with pytest.raises(ValueError, match="unknown notification"):
        notify_user(orchestrator.client, "no-such-pod", "x-graphical", "reboot", {})


def failure(reason: str, *causes: tuple[str, str]) -> bytes:
    listed = [{"reason": cause, "message": message} for cause, message in causes]
    return json.dumps({"status": "Failure", "reason": reason, "message": "m", "details": {"causes": listed}}).encode()


def test_the_exit_status_stands_in_the_causes() -> None:
    assert exit_code(b'{"metadata":{},"status":"Success"}') == 0
    assert exit_code(failure("NonZeroExitCode", ("ExitCode", "42"))) == 42


@pytest.mark.parametrize(
    "payload",
    [
        failure("InternalError"),
        failure("NonZeroExitCode"),
        failure("NonZeroExitCode", ("ExitCode", "many")),
        b'{"status":"Failure"}',
    ],
)
def test_a_failure_without_exit_status_means_that_nothing_ran(payload: bytes) -> None:
    with pytest.raises(CommandNotStartedError):
        exit_code(payload)


def test_an_unreadable_status_is_an_error() -> None:
    with pytest.raises(ExecError):
        exit_code(b"not json")
