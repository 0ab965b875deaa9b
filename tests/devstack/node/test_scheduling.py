"""Where pods go, and why they go nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devstack.cluster.node.scheduling import matches_node, tolerates
from tests.devstack.node.bed import Bed, bed, in_loop

TWO = [
    {"name": "small", "capacity": {"cpu": "1", "memory": "1Gi"}, "labels": {"size": "s"}},
    {"name": "gpu", "capacity": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"}, "labels": {"size": "l"}},
]


def _asks(**requests: str) -> dict[str, Any]:
    named = {name.replace("gpu", "nvidia.com/gpu"): value for name, value in requests.items()}
    return {"resources": {"requests": named}}


def _refused(cluster: Bed, name: str = "p") -> str:
    condition = cluster.condition("PodScheduled", name)
    return str(condition.get("message", "")) if condition.get("reason") == "Unschedulable" else ""


@in_loop
async def test_a_node_that_has_the_resource_is_taken(tmp_path: Path) -> None:
    async with bed(tmp_path, {"nodes": TWO}) as cluster:
        cluster.pod(container=_asks(gpu="1"))
        assert (await cluster.running())["spec"]["nodeName"] == "gpu"


@in_loop
async def test_the_node_with_most_room_is_preferred_and_filled_up_in_turn(tmp_path: Path) -> None:
    nodes = [{"name": name, "capacity": {"cpu": "2"}} for name in ("a", "b")]
    async with bed(tmp_path, {"nodes": nodes}) as cluster:
        placed = []
        for number in range(4):
            cluster.pod(f"p{number}", container=_asks(cpu="1"))
            placed.append((await cluster.running(f"p{number}"))["spec"]["nodeName"])
        assert placed == ["a", "b", "a", "b"]


@in_loop
async def test_full_nodes_say_what_is_short_and_freed_room_is_used(tmp_path: Path) -> None:
    async with bed(tmp_path, {"nodes": TWO}) as cluster:
        cluster.pod("p", container=_asks(cpu="3"))
        await cluster.running("p")
        cluster.pod("q", container=_asks(cpu="2", gpu="1"))
        await cluster.until(lambda: _refused(cluster, "q"))
        assert _refused(cluster, "q") == (
            "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 2 Insufficient cpu. no new claims to deallocate, "
            "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
        )
        assert cluster.events("FailedScheduling")[0]["message"] == _refused(cluster, "q")
        cluster.delete("p")
        await cluster.running("q")


@in_loop
async def test_an_ended_pod_gives_its_room_back(tmp_path: Path) -> None:
    async with bed(tmp_path, {"nodes": [{"name": "n", "capacity": {"cpu": "1"}}]}) as cluster:
        cluster.pod("p", container={**_asks(cpu="1"), "command": ["true"]}, restartPolicy="Never")
        cluster.pod("q", container=_asks(cpu="1"))
        await cluster.running("q")
        assert cluster.get("p") is not None


@in_loop
async def test_selectors_affinity_and_taints_decide(tmp_path: Path) -> None:
    nodes = [{**TWO[0], "taints": [{"key": "only", "value": "me", "effect": "NoSchedule"}]}, TWO[1]]
    async with bed(tmp_path, {"nodes": nodes}) as cluster:
        cluster.pod("p", nodeSelector={"size": "s"})
        await cluster.until(lambda: _refused(cluster))
        assert "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {only: me}" in (
            _refused(cluster)
        )
        toleration = {"key": "only", "operator": "Equal", "value": "me", "effect": "NoSchedule"}
        cluster.pod("q", nodeSelector={"size": "s"}, tolerations=[toleration])
        assert (await cluster.running("q"))["spec"]["nodeName"] == "small"
        preference = {"matchExpressions": [{"key": "size", "operator": "In", "values": ["s"]}]}
        preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": preference}]}
        cluster.pod("r", affinity={"nodeAffinity": preferred}, tolerations=[{"operator": "Exists"}])
        assert (await cluster.running("r"))["spec"]["nodeName"] == "small"


@in_loop
async def test_a_cordoned_node_takes_pods_again_when_it_is_opened(tmp_path: Path) -> None:
    async with bed(tmp_path, {"nodes": [{"name": "n", "unschedulable": True}]}) as cluster:
        cluster.pod()
        await cluster.until(lambda: "1 node(s) were unschedulable" in _refused(cluster))
        cluster.store.update("nodes", None, "n", lambda obj: obj["spec"].pop("unschedulable"))
        await cluster.running()


@in_loop
async def test_the_same_refusal_is_one_event_that_counts(tmp_path: Path) -> None:
    async with bed(tmp_path, {"nodes": [{"name": "n", "unschedulable": True}]}) as cluster:
        cluster.pod()
        await cluster.until(lambda: _refused(cluster))
        before = cluster.get()
        for number in range(3):
            cluster.store.update("nodes", None, "n", lambda obj, n=number: obj["metadata"].update(labels={"n": str(n)}))
            await cluster.until(
                lambda n=number: cluster.events("FailedScheduling")[0].get("series", {}).get("count", 1) >= n + 2
            )
        assert len(cluster.events("FailedScheduling")) == 1
        assert cluster.get() == before


@in_loop
async def test_a_pod_with_a_node_of_its_own_choice_is_not_scheduled(tmp_path: Path) -> None:
    async with bed(tmp_path, {"nodes": TWO}) as cluster:
        cluster.pod("p", nodeName="small")
        await cluster.running("p")
        assert not cluster.events("Scheduled")
        cluster.pod("q", nodeName="nowhere")
        cluster.pod("r")
        await cluster.running("r")
        assert cluster.status("q") == {"phase": "Pending", "qosClass": "BestEffort"}


@in_loop
async def test_another_schedulers_pod_is_left_alone(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod("p", schedulerName="other")
        cluster.pod("q")
        await cluster.running("q")
        assert "conditions" not in cluster.status("p")


@pytest.mark.parametrize(
    ("toleration", "covered"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "x", "operator": "Exists"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "k", "value": "v", "effect": "NoSchedule"}, True),
    ],
)
def test_what_a_toleration_covers(toleration: dict[str, str], covered: bool) -> None:
    assert tolerates([toleration], {"key": "k", "value": "v", "effect": "NoSchedule"}) is covered


@pytest.mark.parametrize(
    ("operator", "values", "fits"),
    [
        ("In", ["4"], True),
        ("In", ["5"], False),
        ("NotIn", ["5"], True),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
        ("Gt", ["3"], True),
        ("Gt", ["4"], False),
        ("Lt", ["5"], True),
        ("Lt", ["x"], False),
        ("Nonsense", ["4"], False),
    ],
)
def test_what_a_node_affinity_wants(operator: str, values: list[str] | None, fits: bool) -> None:
    node = {"metadata": {"name": "n", "labels": {"k": "4"}}}
    expression = {"key": "k", "operator": operator, **({"values": values} if values else {})}
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    spec = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}
    assert matches_node(spec, node) is fits


def test_one_of_several_terms_is_enough_and_an_empty_one_fits_nothing() -> None:
    node = {"metadata": {"name": "n", "labels": {}}}
    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}
    for terms, fits in (([{}, by_name], True), ([{}], False)):
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
        assert matches_node({"affinity": affinity}, node) is fits
