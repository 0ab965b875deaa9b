"""What becomes of application pods that have ended, with one replica and with several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od import kuberneteswatcher as module
from oc.od.kuberneteswatcher import KubernetesWatcher, is_finished, out_of_memory
from oc.od.orchestrator import Desktop, Orchestrator
from oc.od.orchestrator.podmodel import Pod
from oc.sharecache import LocalCache
from tests.waiting import eventually

from .support import CLIENT, PODS, ClusterAdmin, Progress
from .test_applications import application


@pytest.fixture
def cache() -> LocalCache:
    return LocalCache()


@pytest.fixture
def make_watcher(cache: LocalCache) -> Iterator[Callable[..., KubernetesWatcher]]:
    made: list[KubernetesWatcher] = []

    def make(orchestrator: Orchestrator, **options: Any) -> KubernetesWatcher:
        watcher = KubernetesWatcher(orchestrator, cache, **options)
        watcher.start()
        made.append(watcher)
        return watcher

    yield make
    for watcher in made:
        watcher.stop()


@pytest.fixture
def desktop(orchestrator: Orchestrator, logged_in: Identity) -> Desktop:
    return orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))


def run(orchestrator: Orchestrator, desktop: Desktop, identity: Identity, **changes: Any) -> str:
    app = application(containerengine="pod_application", **changes)
    return orchestrator.run_application(desktop, identity, app, CLIENT).container_id


@pytest.mark.parametrize("exit_code", [0, 3])
def test_an_application_pod_that_has_ended_is_deleted(
    orchestrator: Orchestrator,
    make_watcher: Callable[..., KubernetesWatcher],
    logged_in: Identity,
    desktop: Desktop,
    admin: ClusterAdmin,
    exit_code: int,
) -> None:
    make_watcher(orchestrator)
    admin.behave(name="*-app-*", failure="Error", exit_code=exit_code, after_s=0.1)
    name = run(orchestrator, desktop, logged_in)
    assert eventually(lambda: not admin.exists(f"{PODS}/{name}"))
    assert orchestrator.applications(desktop, logged_in) == []


def test_a_running_application_pod_is_left_alone(
    orchestrator: Orchestrator,
    make_watcher: Callable[..., KubernetesWatcher],
    logged_in: Identity,
    desktop: Desktop,
    admin: ClusterAdmin,
) -> None:
    watcher = make_watcher(orchestrator)
    name = run(orchestrator, desktop, logged_in)
    assert eventually(lambda: [one.status for one in orchestrator.applications(desktop, logged_in)] == ["Running"])
    watcher._sweep()
    assert admin.exists(f"{PODS}/{name}")


def test_an_application_that_ended_while_nobody_watched_is_deleted_after_a_restart(
    orchestrator: Orchestrator,
    make_orchestrator: Callable[..., Orchestrator],
    make_watcher: Callable[..., KubernetesWatcher],
    logged_in: Identity,
    desktop: Desktop,
    admin: ClusterAdmin,
) -> None:
    admin.behave(name="*-app-*", failure="Error", after_s=0.1)
    name = run(orchestrator, desktop, logged_in)
    assert eventually(lambda: [one.status for one in orchestrator.applications(desktop, logged_in)] == ["Failed"])
    restarted = make_orchestrator()
    make_watcher(restarted, sweep_seconds=0.1)
    assert eventually(lambda: not admin.exists(f"{PODS}/{name}"))


def test_a_user_is_told_of_an_application_out_of_memory_once_whatever_the_number_of_replicas(
    orchestrator: Orchestrator,
    make_orchestrator: Callable[..., Orchestrator],
    make_watcher: Callable[..., KubernetesWatcher],
    logged_in: Identity,
    desktop: Desktop,
    admin: ClusterAdmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, str, dict[str, Any]]] = []
    real = module.notify_user

    def notify(client: Any, pod: str, container: str, method: str, payload: Any) -> bool:
        told.append((pod, method, dict(payload)))
        return real(client, pod, container, method, payload)

    monkeypatch.setattr(module, "notify_user", notify)
    for replica in (orchestrator, make_orchestrator(), make_orchestrator()):
        make_watcher(replica, find_icon=lambda image: application(icondata="PHN2Zz4="))
    admin.behave(name="*-app-*", failure="OOMKilled", after_s=0.1)
    name = run(orchestrator, desktop, logged_in)
    assert eventually(lambda: not admin.exists(f"{PODS}/{name}"))
    assert told == [
        (
            desktop.name,
            "container",
            {
                "name": "OOMKilled",
                "message": name,
                "icon": "xeyes.svg",
                "icondata": "PHN2Zz4=",
                "image": "example/xeyes:1",
                "launch": "xeyes.XEyes",
            },
        )
    ]


def test_a_refused_deletion_is_tried_again_later(
    orchestrator: Orchestrator,
    make_watcher: Callable[..., KubernetesWatcher],
    logged_in: Identity,
    desktop: Desktop,
    admin: ClusterAdmin,
    monkeypatch: pytest.MonkeyPatch,
    cache: LocalCache,
) -> None:
    admin.fault(verb="delete", resource="pods", status=403, count=1)
    admin.behave(name="*-app-*", failure="Error", after_s=0.1)
    monkeypatch.setattr(KubernetesWatcher, "_claims", lambda self, pod, action: True)
    make_watcher(orchestrator, sweep_seconds=0.1)
    name = run(orchestrator, desktop, logged_in)
    assert eventually(lambda: not admin.exists(f"{PODS}/{name}"))


def test_the_end_of_a_desktop_is_announced_once(
    orchestrator: Orchestrator,
    make_orchestrator: Callable[..., Orchestrator],
    make_watcher: Callable[..., KubernetesWatcher],
    logged_in: Identity,
    desktop: Desktop,
) -> None:
    ended: list[str] = []
    replicas = [orchestrator, make_orchestrator()]
    for replica in replicas:
        make_watcher(replica, desktop_deleted=lambda pod: ended.append(pod.name))
    orchestrator.remove_desktop(logged_in)
    assert eventually(lambda: all(replica.cache.was_deleted(desktop.uid) for replica in replicas))
    assert eventually(lambda: ended == [desktop.name])


def pod(kind: str = "pod_application", phase: str = "Running", **changes: Any) -> Pod:
    manifest = {
        "metadata": {"name": "a", "uid": "u", "labels": {"type": kind}},
        "spec": {"containers": [{"name": "first"}, {"name": "second"}]},
        "status": {"phase": phase} | changes,
    }
    return msgspec.convert(manifest, Pod)


def going_away() -> Pod:
    found = pod(phase="Succeeded")
    metadata = msgspec.structs.replace(found.metadata, deletion_timestamp="2026-06-02T08:00:00Z")
    return msgspec.structs.replace(found, metadata=metadata)


def ended(reason: str, name: str = "first") -> dict[str, Any]:
    return {"containerStatuses": [{"name": name, "state": {"terminated": {"exitCode": 0, "reason": reason}}}]}


@pytest.mark.parametrize(
    ("subject", "finished"),
    [
        (pod(), False),
        (pod(phase="Pending"), False),
        (pod(phase="Succeeded"), True),
        (pod(phase="Failed"), True),
        (pod(**ended("Completed")), True),
        (pod(**ended("OOMKilled")), True),
        (pod(**ended("Completed", "second")), False),
        (pod(kind="pod_application_pull", phase="Succeeded"), True),
        (pod(kind="x11server", phase="Failed"), False),
        (going_away(), False),
    ],
)
def test_finished_is_a_final_phase_or_the_end_of_the_first_container(subject: Pod, finished: bool) -> None:
    assert is_finished(subject) is finished


def test_only_the_first_container_counts_for_memory() -> None:
    assert out_of_memory(pod(**ended("OOMKilled")))
    assert not out_of_memory(pod(**ended("OOMKilled", "second")))
    assert not out_of_memory(pod(**ended("Completed")))
