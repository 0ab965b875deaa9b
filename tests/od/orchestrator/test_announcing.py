"""What a user is told while an application starts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Login
from oc.od.orchestrator import ApplicationRefusedError, Orchestrator
from oc.od.orchestrator import applications as module
from oc.od.orchestrator.announcing import StartAnnouncer, Story
from oc.od.orchestrator.eventfeed import EventFeed
from oc.od.orchestrator.podmodel import PodEvent
from tests.waiting import eventually

from .support import CLIENT, ClusterAdmin, Progress, settings_with
from .test_applications import application

PATH = "spec.ephemeralContainers{fry-xeyes-1}"


def story() -> Story:
    return Story({"name": "xeyes"}, PATH, 100.0, 2.0, 5.0, 220.0, send=lambda message: None)


def event(reason: str, kind: str = "Normal", path: str = PATH, message: str = "text") -> PodEvent:
    body = {"involvedObject": {"name": "fry-1", "fieldPath": path}, "type": kind, "reason": reason, "message": message}
    return msgspec.convert(body, PodEvent)


def test_a_quick_start_is_not_told() -> None:
    subject = story()
    for reason, now in (("Pulling", 100.1), ("Pulled", 101.0), ("Created", 101.1), ("Started", 101.2)):
        assert subject.hear(event(reason), now) is None
    assert subject.over


def test_a_slow_pull_is_told_while_it_lasts_and_when_it_is_done() -> None:
    subject = story()
    assert subject.hear(event("Pulling", message="Pulling image x"), 100.1) is None
    assert subject.next_due() == 102.0
    assert subject.due(102.0) == {"name": "xeyes", "message": "Pulling image x", "reason": "Pulling"}
    assert subject.due(103.0) is None
    assert subject.hear(event("Pulled", message="done"), 104.0) == {
        "name": "xeyes",
        "message": "done",
        "reason": "Pulled",
    }
    told = subject.hear(event("Started"), 106.0)
    assert told is not None
    assert told["reason"] == "Started"


@pytest.mark.parametrize("reason", ["Failed", "BackOff"])
def test_a_failure_is_told_at_once_and_ends_the_story(reason: str) -> None:
    subject = story()
    told = subject.hear(event(reason, "Warning", message="x" * 900), 100.1)
    assert told is not None
    assert len(told["message"]) == 200
    assert subject.over
    assert subject.hear(event(reason, "Warning"), 100.2) is None


def test_events_of_other_containers_are_not_told() -> None:
    assert story().hear(event("Failed", "Warning", path="spec.containers{x-graphical}"), 101.0) is None


def test_a_story_ends_with_its_time() -> None:
    subject = story()
    assert subject.next_due() == 220.0
    assert subject.due(220.0) is None
    assert subject.over


def test_nobody_is_told_of_a_class_that_is_switched_off() -> None:
    with ThreadPoolExecutor(1) as pool:
        announcer = StartAnnouncer(settings_with(), EventFeed(), pool)
        assert announcer.follow("ephemeral_container", "fry-1", PATH, {}, lambda message: None) is None
        announcer.stop()


def test_a_dropped_or_stopped_story_leaves_no_subscription() -> None:
    feed = EventFeed()
    settings = settings_with(front__imagenotification={"ephemeral_container": True})
    with ThreadPoolExecutor(1) as pool:
        announcer = StartAnnouncer(settings, feed, pool)
        for _ in range(2):
            found = announcer.follow("ephemeral_container", "fry-1", PATH, {}, lambda message: None)
            assert found is not None
        announcer.drop(found)
        announcer.stop()
    assert feed._receivers == {}


@pytest.mark.parametrize("kind", ["ephemeral_container", "pod_application"])
def test_the_browser_is_told_that_an_image_cannot_be_pulled(
    make_orchestrator: Callable[..., Orchestrator],
    admin: ClusterAdmin,
    login: Login,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    told: list[tuple[str, str, dict[str, Any]]] = []
    real = module.notify_user

    def notify(client: Any, pod: str, container: str, method: str, payload: Any) -> bool:
        told.append((pod, method, dict(payload)))
        return real(client, pod, container, method, payload)

    monkeypatch.setattr(module, "notify_user", notify)
    orchestrator = make_orchestrator(settings_with(front__imagenotification={kind: True}))
    orchestrator.write_login_secrets(login)
    desktop = orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))
    admin.behave(image="example/absent*", failure="ErrImagePull")
    app = application(id="example/absent:1", containerengine=kind, icondata="PHN2Zz4=")
    started = orchestrator.run_application(desktop, login.identity, app, CLIENT)
    assert eventually(lambda: told)
    pod, method, payload = told[0]
    assert (pod, method) == (desktop.name, "container")
    assert payload["id"] == started.container_id
    assert payload["type"] == kind
    assert payload["icondata"] == "PHN2Zz4="
    assert payload["reason"] in ("Failed", "BackOff")


def test_a_refused_start_is_not_followed(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login
) -> None:
    orchestrator = make_orchestrator(settings_with(front__imagenotification={"pod_application": True}))
    orchestrator.write_login_secrets(login)
    desktop = orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))
    admin.fault(verb="create", resource="pods", status=403)
    with pytest.raises(ApplicationRefusedError):
        orchestrator.run_application(desktop, login.identity, application(containerengine="pod_application"), CLIENT)
    assert orchestrator.events._receivers == {}
