"""The table of what a starting pod may say: complete, in the documentation, and honest towards the user."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oc.od.orchestrator.podmodel import Pod
from oc.od.orchestrator.startrules import MAX_TEXT, RULES, Verdict, Where, ended, stuck_containers, why_not_yet

DOCUMENT = Path(__file__).parents[3] / "docs" / "launch.md"


def pod(spec: dict[str, Any] | None = None, **status: Any) -> Pod:
    return msgspec.convert({"metadata": {"name": "fry-1"}, "spec": spec or {}, "status": status}, Pod)


def waiting(reason: str, message: str = "", name: str = "x-graphical") -> dict[str, Any]:
    return {"name": name, "image": "example/desktop:1", "state": {"waiting": {"reason": reason, "message": message}}}


def unscheduled(message: str, *containers: dict[str, Any], reason: str = "Unschedulable", **spec: Any) -> Pod:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return pod({"containers": list(containers), **spec}, phase="Pending", conditions=[condition])


def container(**limits: str) -> dict[str, Any]:
    return {"name": "x", "resources": {"limits": {name.replace("__", "/"): value for name, value in limits.items()}}}


GPU = {"name": "x", "resources": {"limits": {"nvidia.com/gpu": "2"}}}


def test_the_documentation_shows_the_table_row_by_row() -> None:
    documented = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    rows = [(rule.where.value, rule.reason, rule.verdict.value, rule.text) for rule in RULES]
    assert [row for row in documented if row[2] in {verdict.value for verdict in Verdict}] == rows


def test_no_reason_has_two_rows() -> None:
    places = [(rule.where, rule.reason) for rule in RULES]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.where is Where.WAITING], ids=lambda rule: rule.reason)
def test_only_reasons_with_a_grace_make_a_container_stuck(rule: Any) -> None:
    found = list(stuck_containers(pod(phase="Pending", containerStatuses=[waiting(rule.reason, "so it is")])))
    assert bool(found) is (rule.verdict is Verdict.AFTER_GRACE)
    for one in found:
        assert one.text == f"{rule.text} ({rule.reason}): so it is"


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.where is Where.POD], ids=lambda rule: rule.reason)
def test_a_failed_pod_is_over_and_says_why(rule: Any) -> None:
    said = ended(pod(phase="Failed", reason=rule.reason, message="details"))
    assert said == f"the desktop pod has failed, {rule.text}: {rule.reason} details"


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_a_pod_that_goes_on_is_not_over(phase: str) -> None:
    assert ended(pod(phase=phase)) is None


def test_a_running_pod_on_a_lost_node_is_over() -> None:
    said = ended(pod(phase="Running", podIP="10.0.0.1", reason="NodeLost", message="Node n1 is unresponsive"))
    assert said is not None
    assert "its node is gone" in said


def test_a_failed_pod_names_the_container_that_died() -> None:
    dead = {"name": "x-graphical", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    said = ended(pod(phase="Failed", containerStatuses=[{"name": "f-filer", "state": {"terminated": {}}}, dead]))
    assert said == "the desktop pod is Failed: container x-graphical ended with OOMKilled (exit status 137)"


@pytest.mark.parametrize(
    ("waits", "words"),
    [
        (
            unscheduled(
                "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: 3 No "
                "preemption victims found for incoming pod.",
                GPU,
            ),
            "no node has 2 GPUs free: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu",
        ),
        (
            unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", container(nvidia__x="1")),
            "no node has a GPU free: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu",
        ),
        (
            unscheduled(
                "0/1 nodes are available: 1 Insufficient intel.com/qat.", resources={"limits": {"intel.com/qat": "4"}}
            ),
            "no node has 4 intel.com/qat free: 0/1 nodes are available: 1 Insufficient intel.com/qat",
        ),
        (
            unscheduled("0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory."),
            "no node has room for it (cpu, memory): 0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory",
        ),
        (
            unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"),
            "its volume is not ready: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. "
            "not found",
        ),
        (
            unscheduled("0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, x"),
            "no node takes it: 0/1 nodes are available: 1 node(s) were unschedulable",
        ),
        (unscheduled("a gate", reason="SchedulingGated"), "the cluster holds it back a gate"),
        (
            pod(phase="Pending", initContainerStatuses=[waiting("ErrImagePull", "not found")]),
            "an image cannot be pulled (ErrImagePull): not found",
        ),
        (
            pod(phase="Pending", initContainerStatuses=[waiting("CrashLoopBackOff", "back-off 10s", "i-init")]),
            "a container ends again and again (container i-init): back-off 10s",
        ),
        (pod(phase="Pending", containerStatuses=[waiting("ContainerCreating")]), ""),
        (None, ""),
    ],
)
def test_what_a_pod_waits_for_is_said_in_words(waits: Pod | None, words: str) -> None:
    assert why_not_yet(waits) == words


def test_devices_of_containers_that_run_together_are_added_up() -> None:
    spec = {"containers": [GPU, GPU], "initContainers": [GPU]}
    assert pod(spec).requested("nvidia.com/gpu") == 4
    assert pod(spec).requested("other.com/gpu") == 0


def test_texts_have_an_end() -> None:
    for said in (
        ended(pod(phase="Failed", reason="Evicted", message="x" * 5000)),
        why_not_yet(unscheduled("y" * 5000)),
        why_not_yet(pod(phase="Pending", containerStatuses=[waiting("ErrImagePull", "z" * 5000)])),
    ):
        assert said is not None
        assert len(said) == MAX_TEXT
