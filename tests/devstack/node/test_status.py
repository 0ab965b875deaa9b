"""The status of a pod from the state of its containers: phases, conditions, entries."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from devstack.cluster.node.container import Container, Ending
from devstack.cluster.node.logs import LogBuffer
from devstack.cluster.node.options import parse_options
from devstack.cluster.node.restarting import back_off_texts, next_delay, restarts
from devstack.cluster.node.status import ContainerState, PodState, Role, build_status, phase_of

NOW = "2026-01-01T00:00:00Z"
RUNNING: dict[str, Any] = {"running_since": NOW, "ready": True, "started": True, "container_id": "containerd://1"}
WAITING: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}


def ended(status: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": status, "reason": "Completed" if status == 0 else "Error"}}


def backing_off(status: int) -> dict[str, Any]:
    return {"waiting": {"reason": "CrashLoopBackOff"}, "last": {"exitCode": status, "reason": "Error"}}


def state_of(*containers: tuple[Role, dict[str, Any]], **fields: Any) -> PodState:
    state = PodState(start_time=NOW, host_ip="127.0.0.1", **fields)
    for number, (role, values) in enumerate(containers):
        values = dict(values)
        spec = {"name": f"c{number}", "image": "i", **values.pop("spec", {})}
        state.containers[spec["name"]] = ContainerState(spec, role, **values)
    return state


SIDECAR = {"spec": {"restartPolicy": "Always"}}


@pytest.mark.parametrize(
    ("containers", "policy", "phase"),
    [
        ([("main", RUNNING)], "Always", "Running"),
        ([("main", WAITING)], "Always", "Pending"),
        ([("main", RUNNING), ("main", WAITING)], "Always", "Pending"),
        ([("main", RUNNING), ("main", backing_off(1))], "Always", "Running"),
        ([("main", backing_off(1))], "Always", "Running"),
        ([("main", ended(0))], "Always", "Running"),
        ([("main", ended(0))], "Never", "Succeeded"),
        ([("main", ended(0)), ("main", ended(1))], "Never", "Failed"),
        ([("main", ended(0)), ("main", RUNNING)], "Never", "Running"),
        ([("main", ended(0))], "OnFailure", "Succeeded"),
        ([("main", ended(1))], "OnFailure", "Running"),
        ([("init", RUNNING), ("main", WAITING)], "Never", "Pending"),
        ([("init", ended(0)), ("main", RUNNING)], "Never", "Running"),
        ([("init", ended(1)), ("main", WAITING)], "Never", "Failed"),
        ([("init", ended(1)), ("main", WAITING)], "Always", "Pending"),
        ([("init", {**RUNNING, **SIDECAR}), ("main", RUNNING)], "Always", "Running"),
        ([("init", {**WAITING, **SIDECAR}), ("main", WAITING)], "Always", "Pending"),
        ([("main", RUNNING), ("ephemeral", ended(1))], "Never", "Running"),
    ],
)
def test_what_the_containers_amount_to(containers: list[tuple[Role, dict[str, Any]]], policy: str, phase: str) -> None:
    assert phase_of(state_of(*containers), policy) == phase


def test_a_pod_that_failed_as_a_whole_is_failed_whatever_runs() -> None:
    assert phase_of(state_of(("main", RUNNING), failure=("Evicted", "")), "Always") == "Failed"


def _pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {}, "status": {"qosClass": "Burstable", **status}}


def _conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {entry["type"]: (entry["status"], entry.get("reason", "")) for entry in status["conditions"]}


def test_a_starting_pod_names_what_is_missing() -> None:
    state = state_of(("init", RUNNING), ("main", WAITING), ("main", WAITING))
    status = build_status(_pod(), state, "Pending", "Pending", NOW)
    messages = {entry["type"]: entry.get("message") for entry in status["conditions"]}
    assert messages["Initialized"] == "containers with incomplete status: [c0]"
    assert messages["Ready"] == messages["ContainersReady"] == "containers with unready status: [c1 c2]"
    assert _conditions(status)["PodReadyToStartContainers"] == ("False", "")
    assert "podIP" not in status
    assert status["qosClass"] == "Burstable"


def test_before_its_end_is_final_a_pod_shows_the_reasons_with_the_old_phase() -> None:
    state = state_of(("main", ended(1)), sandbox_ready=True, pod_ip="10.0.0.1")
    status = build_status(_pod(), state, "Failed", "Running", NOW)
    assert status["phase"] == "Running"
    assert _conditions(status)["Ready"] == ("False", "PodFailed")
    assert _conditions(status)["PodReadyToStartContainers"] == ("True", "")
    final = build_status(_pod(), state, "Failed", "Failed", NOW)
    assert _conditions(final)["PodReadyToStartContainers"] == ("False", "")


def test_a_condition_keeps_its_time_until_it_changes_and_foreign_ones_stay() -> None:
    old = "2020-01-01T00:00:00Z"
    before = [
        {"type": "Ready", "status": "True", "lastTransitionTime": old},
        {"type": "ContainersReady", "status": "False", "lastTransitionTime": old},
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": old},
        {"type": "example.com/extra", "status": "True", "lastTransitionTime": old},
    ]
    state = state_of(("main", RUNNING), observed_generation=3, sandbox_ready=True)
    status = build_status(_pod(conditions=before), state, "Running", "Running", NOW)
    times = {entry["type"]: entry["lastTransitionTime"] for entry in status["conditions"]}
    assert times["Ready"] == times["PodScheduled"] == times["example.com/extra"] == old
    assert times["ContainersReady"] == NOW
    assert all(entry.get("observedGeneration") == 3 for entry in status["conditions"][:5])


def test_a_readiness_gate_holds_the_pod_back_but_not_its_containers() -> None:
    state = state_of(("main", RUNNING), sandbox_ready=True, gates={"example.com/go": "False"})
    status = build_status(_pod(), state, "Running", "Running", NOW)
    assert _conditions(status)["Ready"] == ("False", "ReadinessGatesNotReady")
    assert _conditions(status)["ContainersReady"] == ("True", "")


def test_a_running_container_shows_resources_and_mounts_a_waiting_one_only_mounts() -> None:
    mount = {"name": "v", "mountPath": "/v", "readOnly": True}
    spec = {"resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}, "volumeMounts": [mount]}
    running = state_of(("main", {**RUNNING, "spec": spec})).containers["c0"].describe()
    shown_mount = {"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": "Disabled"}
    assert running["volumeMounts"] == [shown_mount]
    assert running["allocatedResources"] == {"memory": "1Gi"}
    assert running["resources"] == spec["resources"]
    waiting = state_of(("main", {**WAITING, "spec": spec})).containers["c0"].describe()
    assert waiting["volumeMounts"] == [shown_mount]
    assert "resources" not in waiting
    assert "containerID" not in waiting


def test_ephemeral_containers_are_sorted_and_never_started() -> None:
    state = state_of(("main", RUNNING), ("ephemeral", {**RUNNING, "spec": {"name": "z"}}), ("ephemeral", RUNNING))
    entries = build_status(_pod(), state, "Running", "Running", NOW)["ephemeralContainerStatuses"]
    assert [entry["name"] for entry in entries] == ["c2", "z"]
    assert not any("started" in entry for entry in entries)


# -- restarts ---------------------------------------------------------------------------------------------------------
class _Host:
    """Only what next_delay reads."""

    def __init__(self) -> None:
        self.options = parse_options({"delays": {"crash_retry": 10, "retry_max": 300}})
        self.store = self

    def clock(self) -> datetime.datetime:
        return datetime.datetime(2026, 1, 1, 1, tzinfo=datetime.UTC)


def _container(role: Role, **spec: Any) -> Container:
    return Container(ContainerState({"name": "c", **spec}, role), lambda *_: None, LogBuffer(10), Path("/none"))


@pytest.mark.parametrize(
    ("role", "status", "policy", "again"),
    [
        ("main", 0, "Always", True),
        ("main", 0, "OnFailure", False),
        ("main", 1, "OnFailure", True),
        ("main", 1, "Never", False),
        ("init", 1, "Always", True),
        ("init", 0, "Always", False),
        ("init", 1, "Never", False),
    ],
)
def test_who_is_started_again(role: Role, status: int, policy: str, again: bool) -> None:
    assert restarts(_container(role), Ending(status, ""), policy) is again


def test_a_side_car_is_always_started_again() -> None:
    assert restarts(_container("init", restartPolicy="Always"), Ending(0, ""), "Never")


def test_the_pause_doubles_up_to_its_limit_and_starts_over_after_a_long_run() -> None:
    container, host = _container("main"), _Host()
    just_now, long_ago = "2026-01-01T00:59:59Z", "2026-01-01T00:49:00Z"
    pauses = [next_delay(container, just_now, host) for _ in range(8)]  # type: ignore[arg-type]
    assert pauses == [0, 10, 20, 40, 80, 160, 300, 300]
    assert next_delay(container, long_ago, host) == 0  # type: ignore[arg-type]


def test_a_container_that_never_ran_does_not_count_as_a_long_run() -> None:
    container, host = _container("main"), _Host()
    pauses = [next_delay(container, "1970-01-01T00:00:00Z", host) for _ in range(3)]  # type: ignore[arg-type]
    assert pauses == [0, 10, 20]


def test_the_texts_of_a_back_off_are_the_kubelets() -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}}
    assert back_off_texts(pod, "c", 10) == (
        "Back-off restarting failed container c in pod p_ns(u)",
        "back-off 10s restarting failed container=c pod=p_ns(u)",
    )
