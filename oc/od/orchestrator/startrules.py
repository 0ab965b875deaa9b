"""What a starting desktop pod may say, and what a launch makes of it: one table, the other side of docs/launch.md.

A launch is a state machine over the pod's status. Everything the cluster says is progress for the user; a launch is
given up only for what this table says, or at its deadline. Warning events are never terminal by themselves: the
kubelet and the scheduler try again.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from oc.od.orchestrator.podmodel import ContainerStatus, Pod

MAX_TEXT = 400
_PREEMPTION = re.compile(r"\s*(preemption:|no new claims to deallocate).*", re.DOTALL)
_SHORT_OF = re.compile(r"Insufficient ([A-Za-z0-9./_-]*[A-Za-z0-9])")


class Verdict(enum.Enum):
    """What becomes of the launch."""

    PROGRESS = "progress"
    AFTER_GRACE = "abort after grace"
    NOW = "abort now"


class Where(enum.Enum):
    """Where in the pod's status a reason stands."""

    WAITING = "container waiting"
    POD = "pod failed"
    CONDITION = "condition PodScheduled"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. ``text``: what it means, in words for the user."""

    where: Where
    reason: str
    verdict: Verdict
    text: str


RULES: tuple[Rule, ...] = (
    Rule(Where.WAITING, "ContainerCreating", Verdict.PROGRESS, "its containers are being created"),
    Rule(Where.WAITING, "PodInitializing", Verdict.PROGRESS, "it is being prepared"),
    Rule(Where.WAITING, "CrashLoopBackOff", Verdict.PROGRESS, "a container ends again and again"),
    Rule(Where.WAITING, "ErrImagePull", Verdict.AFTER_GRACE, "an image cannot be pulled"),
    Rule(Where.WAITING, "ImagePullBackOff", Verdict.AFTER_GRACE, "an image cannot be pulled"),
    Rule(Where.WAITING, "InvalidImageName", Verdict.AFTER_GRACE, "the name of an image is not valid"),
    Rule(Where.WAITING, "ErrImageNeverPull", Verdict.AFTER_GRACE, "an image is not on the node and may not be pulled"),
    Rule(Where.WAITING, "CreateContainerConfigError", Verdict.AFTER_GRACE, "something a container needs is missing"),
    Rule(Where.WAITING, "CreateContainerError", Verdict.AFTER_GRACE, "a container cannot be created"),
    Rule(Where.WAITING, "RunContainerError", Verdict.AFTER_GRACE, "a container cannot be started"),
    Rule(Where.POD, "Evicted", Verdict.NOW, "its node had to make room"),
    Rule(Where.POD, "Preempting", Verdict.NOW, "it had to make room for a pod of higher priority"),
    Rule(Where.POD, "OutOfcpu", Verdict.NOW, "its node has no processor time left"),
    Rule(Where.POD, "OutOfmemory", Verdict.NOW, "its node has no memory left"),
    Rule(Where.POD, "OutOfpods", Verdict.NOW, "its node is full"),
    Rule(Where.POD, "NodeAffinity", Verdict.NOW, "its node does not fit it any more"),
    Rule(Where.POD, "UnexpectedAdmissionError", Verdict.NOW, "its node refuses it"),
    Rule(Where.POD, "Terminated", Verdict.NOW, "its node is shutting down"),
    Rule(Where.POD, "NodeShutdown", Verdict.NOW, "its node is shutting down"),
    Rule(Where.POD, "NodeLost", Verdict.NOW, "its node is gone"),
    Rule(Where.POD, "DeadlineExceeded", Verdict.NOW, "its time is over"),
    Rule(Where.CONDITION, "Unschedulable", Verdict.PROGRESS, "no node takes it yet"),
    Rule(Where.CONDITION, "SchedulingGated", Verdict.PROGRESS, "the cluster holds it back"),
)
"""A container that waits for another reason is progress; a pod that failed for another reason is over."""

_BY_PLACE = {(rule.where, rule.reason): rule for rule in RULES}


def rule_for(where: Where, reason: str) -> Rule | None:
    """The row of a reason, None when the table has none."""
    return _BY_PLACE.get((where, reason))


@dataclass(frozen=True, slots=True)
class Stuck:
    """A container in a state that ends the launch when it lasts."""

    container: str
    text: str


def stuck_containers(pod: Pod) -> Iterator[Stuck]:
    """The containers waiting for a reason that is not borne for long."""
    for container in _started(pod):
        waiting = container.state.waiting
        rule = rule_for(Where.WAITING, waiting.reason) if waiting else None
        if waiting and rule and rule.verdict is Verdict.AFTER_GRACE:
            yield Stuck(container.name, f"{rule.text} ({waiting.reason}): {waiting.message or container.image}")


def ended(pod: Pod) -> str | None:
    """Why a pod cannot become a desktop any more, None while it can."""
    status = pod.status
    lost = status.reason == "NodeLost"
    if status.phase not in ("Failed", "Succeeded") and not lost:
        return None
    said = " ".join(text for text in (status.reason, status.message) if text)
    rule = rule_for(Where.POD, status.reason)
    if rule:
        return _cut(f"the desktop pod has failed, {rule.text}: {said}")
    died = next((text for text in map(_death, _started(pod)) if text), "")
    return _cut(f"the desktop pod is {status.phase}" + (f": {said or died}" if said or died else ""))


def why_not_yet(pod: Pod | None) -> str:
    """What a pod that does not run is waiting for, in words for the user; empty when nothing tells."""
    if pod is None:
        return ""
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            if condition.reason == "Unschedulable":
                return _cut(no_room(pod, condition.message))
            rule = rule_for(Where.CONDITION, condition.reason)
            return _cut(f"{rule.text if rule else condition.reason} {condition.message}".strip())
    for stuck in stuck_containers(pod):
        return _cut(stuck.text)
    for container in _started(pod):
        waiting = container.state.waiting
        rule = rule_for(Where.WAITING, waiting.reason) if waiting else None
        if waiting and waiting.reason == "CrashLoopBackOff" and rule:
            return _cut(f"{rule.text} (container {container.name}): {waiting.message}")
    return ""


def no_room(pod: Pod, message: str) -> str:
    """Say in words what the scheduler's ``message`` ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu. ...")
    means for this pod, with the message behind it.
    """
    said = _PREEMPTION.sub("", message).strip().rstrip(".")
    short = list(dict.fromkeys(_SHORT_OF.findall(said)))
    devices = [name for name in short if "/" in name]
    if devices:
        wanted = " and ".join(_amount(name, pod.requested(name)) for name in devices)
        means = f"no node has {wanted} free"
    elif short:
        means = f"no node has room for it ({', '.join(short)})"
    elif "PersistentVolumeClaim" in said or "persistentvolumeclaim" in said:
        means = "its volume is not ready"
    else:
        means = "no node takes it"
    return f"{means}: {said}" if said else means


def _amount(name: str, number: int) -> str:
    if not name.endswith("/gpu"):
        return f"{number} {name}" if number else name
    return f"{number} GPUs" if number > 1 else "a GPU"


def _started(pod: Pod) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)


def _death(container: ContainerStatus) -> str:
    terminated = container.state.terminated
    if terminated is None or terminated.exit_code == 0:
        return ""
    return f"container {container.name} ended with {terminated.reason or 'Error'} (exit status {terminated.exit_code})"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
