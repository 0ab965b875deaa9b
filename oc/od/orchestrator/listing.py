"""The applications of a desktop and their states, out of the cache (spec orchestration.md 7.6)."""

from __future__ import annotations

from dataclasses import dataclass

from oc.model.identity import Identity
from oc.od.orchestrator.desktop import Desktop
from oc.od.orchestrator.manifests import applications as manifests
from oc.od.orchestrator.manifests import labels, selectors
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import APPLICATION, ContainerStatus, Pod
from oc.od.settings import Settings

LISTED_TYPE = "ephemeralcontainer"
"""``type`` of ephemeral containers in lists: the word the front end tests (spec 13, point 4)."""


@dataclass(frozen=True, slots=True)
class RunningApplication:
    """One entry of a list; see spec 7.6. ``reason``: why it waits or ended, for humans."""

    podname: str
    id: str
    short_id: str
    status: str
    type: str
    image: str
    command: tuple[str, ...] | None
    node: str | None
    reason: str = ""


def container_state(status: ContainerStatus | None) -> tuple[str, str]:
    """(status, reason) of an ephemeral container: Running, Waiting or Terminated."""
    if status is None:
        return "Waiting", ""
    state = status.state
    if state.terminated:
        return "Terminated", state.terminated.reason
    if state.running is not None:
        return "Running", ""
    return "Waiting", state.waiting.reason if state.waiting else ""


def pod_state(pod: Pod) -> tuple[str, str]:
    """(status, reason) of an application pod; Pending counts as Waiting."""
    if pod.terminating:
        return "Terminating", ""
    waiting = next((s.state.waiting.reason for s in pod.status.container_statuses if s.state.waiting), "")
    return ("Waiting" if pod.phase == "Pending" else pod.phase), pod.status.reason or waiting


class ApplicationLister:
    """Applications of a desktop out of the cache: no call."""

    def __init__(self, settings: Settings, cache: PodCache) -> None:
        self._settings = settings
        self._cache = cache

    def find(self, desktop: Desktop, identity: Identity) -> list[RunningApplication]:
        """All applications of the user, of both classes, whatever their state."""
        found: list[RunningApplication] = []
        pod = self._cache.get(desktop.name)
        if pod is not None and pod.uid == desktop.uid:
            found += ephemeral_applications(pod)
        found += [pod_application(pod) for pod in self._pods(identity)]
        return found

    def count_running(self, desktop: Desktop, identity: Identity) -> int:
        """Applications that run or are about to: what ``max_app_counter`` limits."""
        return sum(found.status in ("Running", "Waiting") for found in self.find(desktop, identity))

    def _pods(self, identity: Identity) -> list[Pod]:
        pods = self._cache.of_user(labels.identity_labels(identity)["access_userid"], APPLICATION)
        mine = [pod for pod in pods if selectors.is_users(self._settings, identity, pod.labels)]
        return sorted(mine, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.name))


def ephemeral_applications(pod: Pod) -> list[RunningApplication]:
    """The applications inside a desktop pod, in the order of its spec."""
    statuses = {status.name: status for status in pod.status.ephemeral_container_statuses}
    found = []
    for container in pod.spec.ephemeral_containers:
        status = statuses.get(container.name)
        state, reason = container_state(status)
        found.append(
            RunningApplication(
                podname=pod.name,
                id=container.name,
                short_id=status.container_id if status else "",
                status=state,
                type=LISTED_TYPE,
                image=container.image,
                command=tuple(container.command) if container.command is not None else None,
                node=pod.spec.node_name,
                reason=reason,
            )
        )
    return found


def pod_application(pod: Pod) -> RunningApplication:
    """An application pod as a list shows it."""
    state, reason = pod_state(pod)
    first = pod.spec.containers[0] if pod.spec.containers else None
    return RunningApplication(
        podname=pod.name,
        id=pod.name,
        short_id=pod.name,
        status=state,
        type=manifests.POD,
        image=first.image if first else "",
        command=tuple(first.command) if first and first.command is not None else None,
        node=pod.spec.node_name,
        reason=reason,
    )
