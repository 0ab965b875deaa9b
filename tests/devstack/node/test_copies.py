"""Pods stored as copies of one that runs: nothing is done about them until somebody asks for them."""

from __future__ import annotations

from pathlib import Path

from devstack.cluster.copying import CopyOrder, make_copies
from tests.devstack.node.bed import NAMESPACE, Bed, bed, in_loop

ANSWERS = {"exec_answers": [{"match": "who", "output": "it is me\n"}]}


async def copies(cluster: Bed, count: int) -> None:
    cluster.pod("first")
    await cluster.running("first")
    order = CopyOrder(kind="pods", namespace=NAMESPACE, name="first", replace={"first": "copy{n}"}, count=count)
    assert await make_copies(cluster.store, order) == count


@in_loop
async def test_copies_run_as_they_are_without_a_worker_and_take_their_room_on_the_node(tmp_path: Path) -> None:
    room = {"nodes": [{"name": "node1", "capacity": {"pods": "4"}}]}
    async with bed(tmp_path, room) as cluster:
        await copies(cluster, 3)
        version = cluster.store.version
        cluster.pod("late")
        await cluster.until(lambda: cluster.condition("PodScheduled", "late").get("reason") == "Unschedulable")
        assert "Too many pods" in cluster.condition("PodScheduled", "late")["message"]
        assert len(cluster.node.kubelet.workers) == 1
        pod = cluster.get("copy2")
        assert pod is not None
        assert int(pod["metadata"]["resourceVersion"]) <= version
        cluster.delete("copy0", grace=0)
        await cluster.until(lambda: cluster.condition("PodScheduled", "late").get("status") == "True")


@in_loop
async def test_a_command_runs_in_a_copy_as_in_the_original(tmp_path: Path) -> None:
    async with bed(tmp_path, ANSWERS) as cluster:
        await copies(cluster, 2)
        assert await cluster.exec("who", pod="copy1") == (0, "it is me\n", "")
        assert cluster.container("copy1")["containerID"] == cluster.container("first")["containerID"]


@in_loop
async def test_an_application_starts_in_a_copy(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        await copies(cluster, 1)
        cluster.add_ephemeral("clock", pod="copy0")
        await cluster.until(
            lambda: "running" in cluster.container("copy0", field="ephemeralContainerStatuses").get("state", {})
        )
        assert cluster.status("copy0")["phase"] == "Running"
        assert cluster.container("copy0")["restartCount"] == 0


@in_loop
async def test_a_copy_is_deleted_at_once_or_with_its_grace(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        await copies(cluster, 2)
        cluster.delete("copy0", grace=0)
        assert cluster.get("copy0") is None
        cluster.delete("copy1")
        await cluster.until(lambda: cluster.get("copy1") is None)
        assert cluster.events("Killing")
