"""When a launch is given up: the rules without a cluster."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oc.model.deadline import Deadline
from oc.od.orchestrator.errors import LaunchFailedError
from oc.od.orchestrator.eventfeed import EventFeed
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import Pod, PodEvent, pod_from
from oc.od.orchestrator.starting import Patience, PodStarter, PodVanishedError
from oc.od.orchestrator.startrules import RULES, Verdict, Where

from .support import Progress


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def manifest(phase: str = "Pending", version: int = 10, uid: str = "u1", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "fry-1", "uid": uid, "resourceVersion": str(version), "labels": {"type": "x11server"}},
        "status": {"phase": phase} | status,
    }


def waiting(reason: str, name: str = "x-graphical", message: str = "") -> dict[str, Any]:
    return {"name": name, "image": "example/desktop:1", "state": {"waiting": {"reason": reason, "message": message}}}


def stuck(reason: str, *, init: bool = False, message: str = "") -> Pod:
    kind = "initContainerStatuses" if init else "containerStatuses"
    return msgspec.convert(manifest(**{kind: [waiting(reason, message=message)]}), Pod)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    "reason", [rule.reason for rule in RULES if rule.where is Where.WAITING and rule.verdict is Verdict.AFTER_GRACE]
)
@pytest.mark.parametrize("init", [False, True])
def test_a_container_stuck_for_too_long_is_the_cause(clock: Clock, reason: str, init: bool) -> None:
    patience = Patience(30, clock)
    assert patience.cause(stuck(reason, init=init)) is None
    clock.now += 29.9
    assert patience.cause(stuck(reason, init=init)) is None
    clock.now += 0.1
    cause = patience.cause(stuck(reason, init=init, message="no such image"))
    assert cause is not None
    assert cause.endswith(f"({reason}): no such image")


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", "CrashLoopBackOff", ""])
def test_an_ordinary_wait_is_no_cause_however_long(clock: Clock, reason: str) -> None:
    patience = Patience(30, clock)
    assert patience.cause(stuck(reason)) is None
    clock.now += 3000
    assert patience.cause(stuck(reason)) is None
    assert patience.next_check() is None


def test_an_error_and_its_back_off_are_one_wait(clock: Clock) -> None:
    patience = Patience(30, clock)
    for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull"):
        assert patience.cause(stuck(reason)) is None
        clock.now += 12
    assert patience.cause(stuck("ImagePullBackOff")) is not None


def test_a_container_that_recovers_is_given_new_patience(clock: Clock) -> None:
    patience = Patience(30, clock)
    patience.cause(stuck("ImagePullBackOff"))
    clock.now += 29
    assert patience.cause(stuck("ContainerCreating")) is None
    clock.now += 5
    assert patience.cause(stuck("ImagePullBackOff")) is None
    assert patience.next_check() == pytest.approx(30)


def test_the_next_check_is_when_patience_ends(clock: Clock) -> None:
    patience = Patience(30, clock)
    patience.cause(stuck("ImagePullBackOff"))
    clock.now += 10
    assert patience.next_check() == pytest.approx(20)


class NoApi:
    """No call is allowed: everything needed is in the cache."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"an unexpected call: {name}")


def wait(
    cache: PodCache,
    events: EventFeed,
    progress: Progress,
    seconds: float = 5.0,
    uid: str = "u1",
    said: tuple[str, ...] = ("Pulling image x",),
) -> Pod:
    starter = PodStarter(NoApi(), cache, events, NoApi(), patience=0.0)  # type: ignore[arg-type]
    with starter.watching("fry-1", progress) as watch:
        for text in said:
            event = {"involvedObject": {"name": "fry-1"}, "reason": "Pulling", "message": text}
            events.apply("ADDED", msgspec.convert(event, PodEvent))
        return watch.wait_running(uid, Deadline(seconds))


def test_a_running_pod_with_an_address_is_ready() -> None:
    cache, progress = PodCache(), Progress()
    cache.take(pod_from(manifest("Running", podIP="10.0.0.1")))
    assert wait(cache, EventFeed(), progress).status.pod_ip == "10.0.0.1"
    assert progress.texts == ["b.Pulling image x", "b.Pod fry-1 is Running"]


def test_of_events_that_come_at_once_the_last_one_is_told() -> None:
    cache, progress = PodCache(), Progress()
    cache.take(pod_from(manifest("Running", podIP="10.0.0.1")))
    wait(cache, EventFeed(), progress, said=("Pulling image x", "Pulled image x", ""))
    assert progress.texts == ["b.Pulled image x", "b.Pod fry-1 is Running"]


def test_a_running_pod_without_address_is_waited_for() -> None:
    cache = PodCache()
    cache.take(pod_from(manifest("Running")))
    with pytest.raises(LaunchFailedError, match="in time"):
        wait(cache, EventFeed(), Progress(), 0.05)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_has_ended_says_why(phase: str) -> None:
    cache = PodCache()
    cache.take(pod_from(manifest(phase, reason="Evicted", message="The node was low on resource: memory.")))
    with pytest.raises(LaunchFailedError, match="failed, its node had to make room: Evicted The node was low"):
        wait(cache, EventFeed(), Progress())


def test_a_hopeless_container_ends_the_wait() -> None:
    cache = PodCache()
    cache.take(pod_from(manifest(containerStatuses=[waiting("ImagePullBackOff", message="Back-off pulling image")])))
    with pytest.raises(
        LaunchFailedError, match=r"cannot start: an image cannot be pulled \(ImagePullBackOff\): Back-off"
    ):
        wait(cache, EventFeed(), Progress())


def test_a_pod_that_is_gone_or_another_has_vanished() -> None:
    cache = PodCache()
    cache.take(pod_from(manifest("Running", podIP="10.0.0.1", uid="u2")))
    with pytest.raises(PodVanishedError):
        wait(cache, EventFeed(), Progress(), uid="u1")
    cache.forget("fry-1", "u2")
    with pytest.raises(PodVanishedError):
        wait(cache, EventFeed(), Progress(), uid="u2")


def test_events_of_other_pods_and_removed_events_are_not_told() -> None:
    events, progress, told = EventFeed(), Progress(), []
    with events.subscribe("fry-1", told.append):
        for change, name in (("ADDED", "leela-1"), ("DELETED", "fry-1"), ("ADDED", "fry-1")):
            body = {"involvedObject": {"name": name}, "message": name, "metadata": {"resourceVersion": "9"}}
            events.apply(change, msgspec.convert(body, PodEvent))
    events.apply("ADDED", msgspec.convert({"involvedObject": {"name": "fry-1"}}, PodEvent))
    assert [event.message for event in told] == ["fry-1"]
    assert progress.texts == []
