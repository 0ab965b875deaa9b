"""The status of a pod, computed from the state of its containers: pure functions, the rules are the kubelet's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from devstack.cluster.objects import Object

Role = Literal["init", "main", "ephemeral"]
TERMINAL_PHASES = ("Succeeded", "Failed")
EPOCH = "1970-01-01T00:00:00Z"


@dataclass
class ContainerState:
    """What the kubelet knows of one container. At most one of waiting, running_since and terminated is set."""

    spec: Object
    role: Role
    waiting: dict[str, str] | None = None
    running_since: str | None = None
    terminated: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    restart_count: int = 0
    container_id: str = ""
    image: str = ""
    image_id: str = ""
    ready: bool = False
    started: bool = False

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.spec["name"])

    @property
    def is_sidecar(self) -> bool:
        """An init container that keeps running beside the others."""
        return self.role == "init" and self.spec.get("restartPolicy") == "Always"

    @property
    def is_complete(self) -> bool:
        """Whether an init container has done its part."""
        if self.is_sidecar:
            return self.started
        return self.terminated is not None and self.terminated["exitCode"] == 0

    def describe(self) -> Object:
        """The entry of containerStatuses."""
        if self.running_since is not None:
            state: Object = {"running": {"startedAt": self.running_since}}
        elif self.terminated is not None:
            state = {"terminated": self.terminated}
        else:
            state = {"waiting": self.waiting or {"reason": "ContainerCreating"}}
        entry: Object = {
            "name": self.name,
            "state": state,
            "lastState": {"terminated": self.last} if self.last else {},
            "ready": self.ready,
            "restartCount": self.restart_count,
            "image": self.image or self.spec.get("image", ""),
            "imageID": self.image_id,
        }
        if self.container_id:
            entry["containerID"] = self.container_id
        if self.role != "ephemeral":
            entry["started"] = self.started
        if self.container_id:
            entry.update(_resources(self.spec.get("resources") or {}))
        mounts = [_mount_status(mount) for mount in self.spec.get("volumeMounts") or ()]
        if mounts:
            entry["volumeMounts"] = mounts
        return entry


@dataclass
class PodState:
    """What the kubelet knows of one pod; times are RFC 3339 texts."""

    start_time: str
    host_ip: str
    observed_generation: int = 1
    pod_ip: str = ""
    sandbox_ready: bool = False
    containers: dict[str, ContainerState] = field(default_factory=dict)
    failure: tuple[str, str] | None = None
    gates: dict[str, str] = field(default_factory=dict)

    def of_role(self, role: Role) -> list[ContainerState]:
        """The containers of one role in the order of the spec."""
        return [container for container in self.containers.values() if container.role == role]


def _resources(resources: Object) -> Object:
    if not resources.get("limits") and not resources.get("requests"):
        return {"resources": {}}
    limits = resources.get("limits") or {}
    requests = resources.get("requests") or {}
    shown = {name: value for name, value in (("limits", limits), ("requests", requests)) if value}
    return {"allocatedResources": requests, "resources": shown} if requests else {"resources": shown}


def _mount_status(mount: Object) -> Object:
    entry = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        entry |= {"readOnly": True, "recursiveReadOnly": mount.get("recursiveReadOnly", "Disabled")}
    return entry


def phase_of(state: PodState, restart_policy: str) -> str:
    """The pod's phase. A pod that failed as a whole (deadline, eviction) is Failed whatever its containers do."""
    if state.failure is not None:
        return "Failed"
    for container in state.of_role("init"):
        ended = container.terminated or (container.last if container.waiting else None)
        if ended is not None and ended["exitCode"] != 0 and restart_policy == "Never" and not container.is_sidecar:
            return "Failed"
        if not container.is_complete:
            return "Pending"
    running = waiting = stopped = succeeded = 0
    for container in state.of_role("main"):
        ended = container.terminated or (container.last if container.running_since is None else None)
        if container.running_since is not None:
            running += 1
        elif ended is not None:
            stopped += 1
            succeeded += ended["exitCode"] == 0
        else:
            waiting += 1
    if waiting:
        return "Pending"
    if running or restart_policy == "Always":
        return "Running"
    if stopped == succeeded:
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def build_status(pod: Object, state: PodState, phase: str, shown_phase: str, now: str) -> Object:
    """The whole status of `pod` as it is to be stored.

    `phase` is what the containers amount to; `shown_phase` what is written: a terminal phase is written only when the
    last process is gone, and its reasons with it. Conditions of others are kept; a condition that keeps its
    status keeps its lastTransitionTime.
    """
    previous = pod.get("status") or {}
    conditions = _conditions(state, phase, shown_phase)
    known = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    for condition in conditions:
        condition["observedGeneration"] = state.observed_generation
        condition["lastProbeTime"] = None
        before = known.pop(condition["type"], None)
        kept = before is not None and before.get("status") == condition["status"]
        condition["lastTransitionTime"] = before["lastTransitionTime"] if before and kept else now
    if "PodScheduled" in known:
        scheduled = known.pop("PodScheduled")
        conditions.append({**scheduled, "observedGeneration": state.observed_generation})
    conditions.extend(known.values())
    status: Object = {
        "observedGeneration": state.observed_generation,
        "phase": shown_phase,
        "conditions": conditions,
        "hostIP": state.host_ip,
        "hostIPs": [{"ip": state.host_ip}],
        "startTime": state.start_time,
        "containerStatuses": [container.describe() for container in state.of_role("main")],
        "qosClass": previous.get("qosClass", "BestEffort"),
    }
    if state.failure is not None and shown_phase in TERMINAL_PHASES:
        status["reason"], status["message"] = state.failure
    if state.pod_ip:
        status["podIP"] = state.pod_ip
        status["podIPs"] = [{"ip": state.pod_ip}]
    init = state.of_role("init")
    if init:
        status["initContainerStatuses"] = [container.describe() for container in init]
    ephemeral = sorted(state.of_role("ephemeral"), key=lambda container: container.name)
    if ephemeral:
        status["ephemeralContainerStatuses"] = [container.describe() for container in ephemeral]
    for name in ("nominatedNodeName", "resize", "resourceClaimStatuses"):
        if name in previous:
            status[name] = previous[name]
    return status


def _conditions(state: PodState, phase: str, shown_phase: str) -> list[Object]:
    sandbox = state.sandbox_ready and shown_phase not in TERMINAL_PHASES
    conditions: list[Object] = [{"type": "PodReadyToStartContainers", "status": "True" if sandbox else "False"}]
    incomplete = [container.name for container in state.of_role("init") if not container.is_complete]
    if phase == "Succeeded":
        conditions.append({"type": "Initialized", "status": "True", "reason": "PodCompleted"})
    elif incomplete:
        message = f"containers with incomplete status: {_names(incomplete)}"
        reason = "ContainersNotInitialized"
        conditions.append({"type": "Initialized", "status": "False", "reason": reason, "message": message})
    else:
        conditions.append({"type": "Initialized", "status": "True"})
    ready = _readiness(state, phase)
    closed = sorted(gate for gate, status in state.gates.items() if status != "True")
    if closed and ready["status"] == "True":
        message = "the status of pod readiness gate " + "; ".join(f'"{gate}" is not "True"' for gate in closed)
        gated: Object = {"status": "False", "reason": "ReadinessGatesNotReady", "message": message}
    else:
        gated = ready
    conditions.append({"type": "Ready", **gated})
    conditions.append({"type": "ContainersReady", **ready})
    return conditions


def _readiness(state: PodState, phase: str) -> Object:
    if phase == "Succeeded":
        return {"status": "False", "reason": "PodCompleted"}
    if phase == "Failed":
        return {"status": "False", "reason": "PodFailed"}
    sidecars = [container for container in state.of_role("init") if container.is_sidecar]
    unready = [container.name for container in [*sidecars, *state.of_role("main")] if not container.ready]
    if unready:
        message = f"containers with unready status: {_names(unready)}"
        return {"status": "False", "reason": "ContainersNotReady", "message": message}
    return {"status": "True"}


def _names(names: Iterable[str]) -> str:
    return "[" + " ".join(names) + "]"
