"""Pods that start late, and services that answer only once their container is ready."""

from __future__ import annotations

from pathlib import Path

from devstack.cluster.runtime import PodBehaviour
from tests.devstack.node.bed import bed, in_loop

PROBE = {"exec_answers": [{"match": "probe", "when_ready": True}]}


@in_loop
async def test_a_pod_starts_no_container_before_its_time(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(start_after_s=0.3)
        cluster.pod()
        await cluster.until(lambda: cluster.condition("PodScheduled").get("status") == "True")
        assert "running" not in cluster.container().get("state", {})
        await cluster.running()


@in_loop
async def test_a_service_answers_once_its_container_is_ready(tmp_path: Path) -> None:
    async with bed(tmp_path, PROBE) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(ready_after_s=0.3)
        cluster.pod()
        await cluster.until(lambda: cluster.status()["phase"] == "Running")
        assert await cluster.exec("probe") == (1, "", "")
        await cluster.until(lambda: cluster.container()["ready"])
        assert await cluster.exec("probe") == (0, "", "")
