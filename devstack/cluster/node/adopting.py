"""Taking over a pod that runs already: what its status says becomes what the kubelet knows."""

from __future__ import annotations

from devstack.cluster.node.status import PodState
from devstack.cluster.objects import Object

_FIELDS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def is_running(pod: Object) -> bool:
    """Whether a pod that no worker knows runs already: it was stored as it is, as the copy of another."""
    return bool((pod.get("status") or {}).get("phase") == "Running")


def is_settled(pod: Object) -> bool:
    """Whether such a pod runs and nothing is to be done about it."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    seen = status.get("observedGeneration") == metadata.get("generation")
    return is_running(pod) and seen and not metadata.get("deletionTimestamp")


def adopt(state: PodState, status: Object) -> None:
    """Fill the state of a pod from its status. Containers the status does not know wait."""
    state.start_time = status.get("startTime", state.start_time)
    state.pod_ip = status.get("podIP", "")
    state.sandbox_ready = True
    for entry in [entry for field in _FIELDS for entry in status.get(field) or ()]:
        container = state.containers.get(entry["name"])
        if container is None:
            continue
        told = entry.get("state") or {}
        container.waiting, container.terminated = told.get("waiting"), told.get("terminated")
        container.running_since = (told.get("running") or {}).get("startedAt")
        container.restart_count = entry.get("restartCount", 0)
        container.container_id, container.image_id = entry.get("containerID", ""), entry.get("imageID", "")
        container.image = entry.get("image", "")
        container.ready, container.started = bool(entry.get("ready")), bool(entry.get("started"))
