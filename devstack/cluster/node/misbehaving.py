"""Failures that come to running pods by rule: killed containers, evictions, lost nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devstack.cluster.node.container import Container, Ending
from devstack.cluster.objects import Object, timestamp
from devstack.cluster.runtime import PodBehaviour

if TYPE_CHECKING:
    from devstack.cluster.node.worker import PodWorker

LOW_MEMORY = "The node was low on resource: memory. "


def arm_container(container: Container, behaviour: PodBehaviour) -> None:
    """A container has started: end it when the rule says."""
    if behaviour.failure == "OOMKilled":
        ending = Ending(137, "OOMKilled")
    elif behaviour.failure in ("Error", "CrashLoopBackOff"):
        ending = Ending(behaviour.exit_code, "Error", behaviour.message)
    else:
        return
    container.after(behaviour.after_s, lambda: container.end(ending))


def arm_pod(worker: PodWorker) -> None:
    """A pod has started: evict it or lose its node when the rule says."""
    behaviour = worker.behaviour()
    if behaviour.failure == "Evicted":
        worker.after(behaviour.after_s, lambda: _evict(worker, behaviour.message or LOW_MEMORY))
    elif behaviour.failure == "NodeLost":
        worker.after(behaviour.after_s, lambda: _lose_node(worker))


def _evict(worker: PodWorker, message: str) -> None:
    worker.event("Warning", "Evicted", message)
    worker.fail("Evicted", message)


def _lose_node(worker: PodWorker) -> None:
    """The node stops answering: the pod is marked, nothing moves any more, a deletion stays unfinished."""
    metadata = worker.pod["metadata"]
    now = timestamp(worker.host.store.clock())
    message = f"Node {worker.node} which was running pod {metadata['name']} is unresponsive"

    def mark(obj: Object) -> None:
        status = obj["status"]
        status["reason"], status["message"] = "NodeLost", message
        for condition in status.get("conditions") or ():
            if condition["type"] in ("Ready", "ContainersReady") and condition["status"] == "True":
                condition |= {"status": "False", "reason": "NodeLost", "lastTransitionTime": now}

    worker.pod = worker.host.store.update("pods", metadata["namespace"], metadata["name"], mark)
    worker.lost = True
