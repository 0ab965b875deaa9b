"""Pods whose containers idle: phases, conditions, deletion, failures by rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.cluster.runtime import PodBehaviour
from tests.devstack.node.bed import Bed, bed, in_loop


@in_loop
async def test_a_pod_is_scheduled_started_and_ready(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod()
        pod = await cluster.running()
        status = pod["status"]
        assert pod["spec"]["nodeName"] == "node1"
        assert pod["metadata"]["generation"] == 1
        assert status["phase"] == "Running"
        assert status["podIP"].startswith("10.244.")
        assert [entry["status"] for entry in status["conditions"]] == ["True"] * 5
        assert [entry["type"] for entry in status["conditions"]] == [
            "PodReadyToStartContainers",
            "Initialized",
            "Ready",
            "ContainersReady",
            "PodScheduled",
        ]
        container = status["containerStatuses"][0]
        assert container["containerID"].startswith("containerd://")
        assert container["imageID"].startswith("docker.io/library/busybox@sha256:")
        assert container["started"] is True


@in_loop
async def test_the_events_of_a_start_tell_its_story_in_order(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod()
        await cluster.running()
        assert [event["reason"] for event in sorted(cluster.events(), key=_version)] == [
            "Scheduled",
            "Pulling",
            "Pulled",
            "Created",
            "Started",
        ]
        started = cluster.events("Started")[0]
        assert started["involvedObject"]["fieldPath"] == "spec.containers{main}"
        assert started["source"] == {"component": "kubelet", "host": "node1"}
        assert cluster.events("Scheduled")[0]["message"] == "Successfully assigned ns/p to node1"


def _version(obj: dict[str, dict[str, str]]) -> int:
    return int(obj["metadata"]["resourceVersion"])


@in_loop
async def test_an_image_is_pulled_once_a_node_unless_the_policy_says_always(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        for name in ("p", "q"):
            cluster.pod(name)
            await cluster.running(name)
        assert len(cluster.events("Pulling")) == 1
        cluster.pod("r", container={"imagePullPolicy": "Always"})
        await cluster.running("r")
        assert len(cluster.events("Pulling")) == 2


@in_loop
async def test_init_containers_run_before_the_others(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(initContainers=[{"name": name, "image": "busybox", "resources": {}} for name in ("i", "j")])
        await cluster.running()
        first = cluster.container(field="initContainerStatuses")
        assert first["state"]["terminated"]["reason"] == "Completed"
        assert first["ready"] is True
        order = [event["involvedObject"].get("fieldPath") for event in sorted(cluster.events("Started"), key=_version)]
        assert order == ["spec.initContainers{i}", "spec.initContainers{j}", "spec.containers{main}"]


@in_loop
async def test_a_deleted_pod_ends_and_goes(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod()
        await cluster.running()
        cluster.delete()
        await cluster.until(lambda: cluster.get() is None)
        assert cluster.events("Killing")[0]["message"] == "Stopping container main"


@in_loop
async def test_a_pod_removed_with_grace_zero_leaves_its_place_to_others(tmp_path: Path) -> None:
    async with bed(tmp_path, {"nodes": [{"name": "node1", "capacity": {"pods": "1"}}]}) as cluster:
        cluster.pod("p")
        await cluster.running("p")
        cluster.pod("q")
        await cluster.until(lambda: cluster.condition("PodScheduled", "q").get("reason") == "Unschedulable")
        cluster.delete("p", grace=0)
        assert cluster.get("p") is None
        await cluster.running("q")


@in_loop
async def test_a_pod_with_a_finalizer_stays_until_it_is_taken_off(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod()
        await cluster.running()
        cluster.store.update("pods", "ns", "p", lambda obj: obj["metadata"].update(finalizers=["x.example/f"]))
        cluster.delete()
        await cluster.until(lambda: cluster.status()["phase"] == "Succeeded")
        assert cluster.get() is not None
        cluster.store.update("pods", "ns", "p", lambda obj: obj["metadata"].pop("finalizers"))
        await cluster.until(lambda: cluster.get() is None)


@in_loop
async def test_an_address_is_used_again_only_after_the_fresh_ones(tmp_path: Path) -> None:
    async with bed(tmp_path, {"pod_network": "10.9.0.0/29"}) as cluster:
        seen = []
        for number in range(6):
            cluster.pod(f"p{number}")
            seen.append((await cluster.running(f"p{number}"))["status"]["podIP"])
            cluster.delete(f"p{number}")
            await cluster.until(lambda number=number: cluster.get(f"p{number}") is None)  # type: ignore[misc]
        assert seen == ["10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5", "10.9.0.6", "10.9.0.2"]


@in_loop
async def test_a_pod_without_an_address_waits_for_one(tmp_path: Path) -> None:
    async with bed(tmp_path, {"pod_network": "10.9.0.0/30", "delays": {"mount_retry": 0.01}}) as cluster:
        cluster.pod("p")
        await cluster.running("p")
        cluster.pod("q")
        await cluster.until(lambda: cluster.events("FailedCreatePodSandBox"))
        cluster.delete("p")
        assert (await cluster.running("q"))["status"]["podIP"] == "10.9.0.2"


@in_loop
async def test_a_missing_tag_ends_in_image_pull_back_off(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(container={"image": "busybox:missing-1"})
        await cluster.until(lambda: _waiting(cluster).get("reason") == "ErrImagePull")
        assert _waiting(cluster)["message"].endswith("docker.io/library/busybox:missing-1: not found")
        await cluster.until(lambda: _waiting(cluster).get("reason") == "ImagePullBackOff")
        assert _waiting(cluster)["message"].startswith('Back-off pulling image "busybox:missing-1": ErrImagePull: ')
        assert cluster.status()["phase"] == "Pending"
        assert cluster.events("BackOff")


def _waiting(cluster: Bed) -> dict[str, str]:
    state: dict[str, dict[str, str]] = cluster.container().get("state") or {}
    return state.get("waiting") or {}


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "Not/A/Valid:Image:Name"}, "InvalidImageName"),
        ({"image": "nothere:1", "imagePullPolicy": "Never"}, "ErrImageNeverPull"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]},
            "CreateContainerConfigError",
        ),
    ],
)
@in_loop
async def test_a_container_that_cannot_be_made_waits_and_says_why(
    tmp_path: Path, container: dict[str, object], reason: str
) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(container=container)
        await cluster.until(lambda: _waiting(cluster).get("reason") == reason)
        assert cluster.status()["phase"] == "Pending"
        assert cluster.events("Failed")


@in_loop
async def test_a_missing_secret_of_a_volume_holds_the_pod_until_it_comes(tmp_path: Path) -> None:
    async with bed(tmp_path, {"delays": {"mount_retry": 0.01}}) as cluster:
        cluster.pod(volumes=[{"name": "s", "secret": {"secretName": "late"}}])
        await cluster.until(lambda: cluster.events("FailedMount"))
        assert 'secret "late" not found' in cluster.events("FailedMount")[0]["message"]
        assert "podIP" not in cluster.status()
        cluster.store.create("secrets", {"metadata": {"name": "late", "namespace": "ns"}, "data": {}})
        await cluster.running()


@in_loop
async def test_a_missing_secret_of_the_environment_holds_the_container_until_it_comes(tmp_path: Path) -> None:
    async with bed(tmp_path, {"delays": {"mount_retry": 0.01}}) as cluster:
        reference = {"secretKeyRef": {"name": "late", "key": "k"}}
        cluster.pod(container={"env": [{"name": "A", "valueFrom": reference}]})
        await cluster.until(lambda: _waiting(cluster).get("message") == 'secret "late" not found')
        cluster.store.create("secrets", {"metadata": {"name": "late", "namespace": "ns"}, "data": {"k": "eA=="}})
        await cluster.running()


@in_loop
async def test_ephemeral_containers_start_are_sorted_and_survive_in_the_status(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod()
        await cluster.running()
        cluster.add_ephemeral("zeta")
        cluster.add_ephemeral("alpha", command=["true"])
        await cluster.until(
            lambda: "terminated" in cluster.container(field="ephemeralContainerStatuses").get("state", {})
        )
        await cluster.until(lambda: len(cluster.status()["ephemeralContainerStatuses"]) == 2)
        entries = cluster.status()["ephemeralContainerStatuses"]
        assert [entry["name"] for entry in entries] == ["alpha", "zeta"]
        assert entries[0]["state"]["terminated"]["exitCode"] == 0
        assert "started" not in entries[0]
        assert "running" in entries[1]["state"]
        assert cluster.status()["observedGeneration"] == 3
        assert cluster.status()["phase"] == "Running"


@in_loop
async def test_an_ephemeral_container_with_a_missing_image_does_not_disturb_the_pod(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod()
        await cluster.running()
        cluster.add_ephemeral("e", image="busybox:missing")
        await cluster.until(
            lambda: (
                cluster.container(field="ephemeralContainerStatuses").get("state", {}).get("waiting", {}).get("reason")
                == "ImagePullBackOff"
            )
        )
        assert cluster.condition("Ready")["status"] == "True"
        paths = {event["involvedObject"].get("fieldPath") for event in cluster.events("Failed")}
        assert paths == {"spec.ephemeralContainers{e}"}


@in_loop
async def test_an_ephemeral_container_added_to_an_ended_pod_never_starts(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(container={"command": ["true"]}, restartPolicy="Never")
        await cluster.until(lambda: cluster.status()["phase"] == "Succeeded")
        cluster.add_ephemeral("late")
        cluster.pod("other")
        await cluster.running("other")
        assert "ephemeralContainerStatuses" not in cluster.status()
        assert cluster.status()["observedGeneration"] == 1


@pytest.mark.parametrize(
    ("command", "policy", "phase", "reason"),
    [("true", "Never", "Succeeded", "PodCompleted"), ("false", "Never", "Failed", "PodFailed")],
)
@in_loop
async def test_a_pod_that_ends_has_a_final_phase(
    tmp_path: Path, command: str, policy: str, phase: str, reason: str
) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(container={"command": [command]}, restartPolicy=policy)
        await cluster.until(lambda: cluster.status()["phase"] == phase)
        assert cluster.condition("Ready")["reason"] == reason
        assert cluster.condition("PodReadyToStartContainers")["status"] == "False"


@in_loop
async def test_a_crashing_container_is_restarted_at_once_then_backs_off(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(container={"command": ["false"]})
        await cluster.until(lambda: _waiting(cluster).get("reason") == "CrashLoopBackOff")
        container = cluster.container()
        assert container["restartCount"] == 1
        assert container["lastState"]["terminated"]["exitCode"] == 1
        uid = cluster.get()["metadata"]["uid"]  # type: ignore[index]
        assert _waiting(cluster)["message"] == f"back-off 10s restarting failed container=main pod=p_ns({uid})"
        assert cluster.status()["phase"] == "Running"


@in_loop
async def test_a_deadline_fails_the_pod(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(activeDeadlineSeconds=0.05)
        await cluster.until(lambda: cluster.status().get("reason") == "DeadlineExceeded")
        assert cluster.status()["phase"] == "Failed"
        assert cluster.get() is not None


# -- behaviours by rule ---------------------------------------------------------------------------------------------
@in_loop
async def test_a_pod_that_is_never_scheduled_says_so(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(unschedulable=True)
        cluster.pod()
        await cluster.until(lambda: cluster.events("FailedScheduling"))
        assert cluster.condition("PodScheduled")["message"].startswith("0/1 nodes are available: 1 Insufficient cpu.")


@in_loop
async def test_a_slow_pod_runs_before_it_is_ready(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(ready_after_s=0.05)
        cluster.pod()
        await cluster.until(lambda: cluster.status()["phase"] == "Running")
        assert cluster.condition("Ready")["message"] == "containers with unready status: [main]"
        await cluster.running()


@in_loop
async def test_a_pod_that_is_never_ready_runs_all_the_same(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(never_ready=True)
        cluster.pod()
        await cluster.until(lambda: cluster.status()["phase"] == "Running")
        assert cluster.container()["ready"] is False
        assert cluster.container()["started"] is True


@pytest.mark.parametrize(("failure", "status", "reason"), [("OOMKilled", 137, "OOMKilled"), ("Error", 42, "Error")])
@in_loop
async def test_a_container_fails_by_rule(tmp_path: Path, failure: str, status: int, reason: str) -> None:
    async with bed(tmp_path) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(failure=failure, exit_code=42)
        cluster.pod(restartPolicy="Never")
        await cluster.until(lambda: cluster.status()["phase"] == "Failed")
        ended = cluster.container()["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (status, reason)


@in_loop
async def test_a_rule_can_make_a_pull_fail(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(failure="ImagePullBackOff", message="registry says no")
        cluster.pod()
        await cluster.until(lambda: _waiting(cluster).get("reason") == "ImagePullBackOff")
        assert "registry says no" in _waiting(cluster)["message"]


@in_loop
async def test_an_evicted_pod_fails_with_its_reason(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(failure="Evicted")
        cluster.pod()
        await cluster.until(lambda: cluster.status().get("reason") == "Evicted")
        await cluster.until(lambda: cluster.status()["phase"] == "Failed")
        assert cluster.events("Evicted")


@in_loop
async def test_on_a_lost_node_nothing_moves_and_a_deletion_stays_unfinished(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.rules.by_pod["p"] = PodBehaviour(failure="NodeLost")
        cluster.pod()
        await cluster.until(lambda: cluster.status().get("reason") == "NodeLost")
        assert cluster.condition("Ready")["status"] == "False"
        cluster.delete()
        cluster.pod("other")
        await cluster.running("other")
        assert cluster.get() is not None
        cluster.delete(grace=0)
        assert cluster.get() is None


@in_loop
async def test_deleting_the_store_object_twice_or_between_steps_leaves_no_worker(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        for number in range(20):
            cluster.pod(f"p{number}")
        for number in range(20):
            cluster.delete(f"p{number}", grace=0)
        cluster.pod("last")
        await cluster.running("last")
        assert [worker.pod["metadata"]["name"] for worker in cluster.node.kubelet.workers] == ["last"]
