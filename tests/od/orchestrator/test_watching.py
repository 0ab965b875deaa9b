"""The shared watch when the API drops it, forgets, falls silent or refuses; and its loop without an API."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.orchestrator import KubernetesClient, Orchestrator
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import SHARED_SELECTOR
from oc.od.orchestrator.reflector import Reflector
from oc.od.orchestrator.resources import PODS as POD_RESOURCE
from oc.od.orchestrator.watchstream import WatchStream
from tests.waiting import eventually

from .support import CLIENT, PODS, ClusterAdmin, Progress

BODY = {"spec": {"containers": [{"name": "x-graphical", "image": "example/desktop:1"}]}}


def make_pod(admin: ClusterAdmin, name: str) -> None:
    labels = {"type": "x11server", "access_userid": name, "access_provider": "planet"}
    admin.api("POST", PODS, BODY | {"metadata": {"name": name, "labels": labels}})


def remove_pod(admin: ClusterAdmin, name: str) -> None:
    admin.api("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})


def knows(orchestrator: Orchestrator, name: str) -> Callable[[], bool]:
    return lambda: orchestrator.cache.get(name) is not None


def test_a_pod_made_by_somebody_else_arrives(orchestrator: Orchestrator, admin: ClusterAdmin) -> None:
    make_pod(admin, "watched-1")
    assert eventually(knows(orchestrator, "watched-1"))
    remove_pod(admin, "watched-1")
    assert eventually(lambda: orchestrator.cache.get("watched-1") is None)


def test_a_dropped_watch_is_taken_up_where_it_ended(orchestrator: Orchestrator, admin: ClusterAdmin) -> None:
    make_pod(admin, "watched-2")
    assert eventually(knows(orchestrator, "watched-2"))
    admin.forget_requests()
    admin.devstack("DELETE", "watches?resource=pods")
    remove_pod(admin, "watched-2")
    make_pod(admin, "watched-3")
    assert eventually(knows(orchestrator, "watched-3"))
    assert eventually(lambda: orchestrator.cache.get("watched-2") is None)
    assert not [seen for seen in admin.requests_seen() if seen["verb"] == "list" and "pyos" in seen["user"]]
    remove_pod(admin, "watched-3")


def test_a_watch_the_api_has_forgotten_begins_with_a_new_list(orchestrator: Orchestrator, admin: ClusterAdmin) -> None:
    make_pod(admin, "watched-4")
    assert eventually(knows(orchestrator, "watched-4"))
    admin.fault(verb="watch", resource="pods", status=503, count=1)
    admin.devstack("DELETE", "watches?resource=pods")
    remove_pod(admin, "watched-4")
    make_pod(admin, "watched-5")
    admin.devstack("POST", "compact")
    assert eventually(knows(orchestrator, "watched-5"))
    assert eventually(lambda: orchestrator.cache.get("watched-4") is None)
    remove_pod(admin, "watched-5")


def test_a_silent_watch_is_noticed_and_replaced(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin
) -> None:
    orchestrator = make_orchestrator(silence=0.5)
    admin.devstack("POST", "watches", {"silent": True, "resource": "pods"})
    try:
        make_pod(admin, "watched-6")
        admin.devstack("POST", "watches", {"silent": False, "resource": "pods"})
        assert eventually(knows(orchestrator, "watched-6"))
    finally:
        admin.devstack("POST", "watches", {"silent": False, "resource": "pods"})
        remove_pod(admin, "watched-6")


def test_a_launch_gets_through_a_silent_watch(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    orchestrator._starter._doubt = 0.3
    admin.devstack("POST", "watches", {"silent": True})
    try:
        desktop = orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))
    finally:
        admin.devstack("POST", "watches", {"silent": False})
    assert desktop.is_reachable


def test_without_the_right_to_see_events_desktops_still_start(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, logged_in: Identity
) -> None:
    admin.fault(verb="list", resource="events", status=403)
    orchestrator = make_orchestrator()
    assert orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30)).is_reachable


def test_the_age_of_the_watch_is_known(orchestrator: Orchestrator) -> None:
    assert orchestrator.watch_age is not None
    assert 0 <= orchestrator.watch_age < 60


def test_an_orchestrator_that_never_listed_has_no_age_and_looks_live(
    client: KubernetesClient, settings: object, logged_in: Identity, orchestrator: Orchestrator
) -> None:
    created = orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))
    unstarted = Orchestrator(settings, client=client)  # type: ignore[arg-type]
    try:
        assert unstarted.watch_age is None
        found = unstarted.find_desktop(logged_in)
        assert found is not None
        assert found.uid == created.uid
        assert created.name in {desktop.name for desktop in unstarted.list_desktops()}
    finally:
        unstarted.stop()


def test_stopping_ends_the_threads(make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin) -> None:
    orchestrator = make_orchestrator()
    threads = [orchestrator._pods._thread, orchestrator._said._thread]
    orchestrator.stop()
    assert all(thread is not None and not thread.is_alive() for thread in threads)


def reflector(client: KubernetesClient) -> Reflector:
    return Reflector(client, POD_RESOURCE, PodCache(), label_selector=SHARED_SELECTOR)


def event(kind: str, obj: dict[str, object]) -> bytes:
    return msgspec.json.encode({"type": kind, "object": obj})


def test_a_bookmark_moves_the_place_to_resume_from(client: KubernetesClient) -> None:
    subject = reflector(client)
    subject._take(event("BOOKMARK", {"metadata": {"resourceVersion": "77"}}))
    assert subject._version == "77"


@pytest.mark.parametrize(("code", "kept"), [(410, None), (504, None), (500, "5"), (429, "5")])
def test_an_error_in_the_stream_says_whether_a_new_list_is_needed(
    client: KubernetesClient, code: int, kept: str | None
) -> None:
    subject = reflector(client)
    subject._version = "5"
    with pytest.raises(KubernetesError) as caught:
        subject._take(event("ERROR", {"kind": "Status", "status": "Failure", "code": code, "reason": "Expired"}))
    subject._failed(caught.value)
    assert subject._version == kept


def test_a_change_that_cannot_be_read_is_no_error_of_the_api(client: KubernetesClient) -> None:
    with pytest.raises(msgspec.ValidationError):
        reflector(client)._take(event("ADDED", {"metadata": {"name": 7}}))


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_lines_are_whole_however_they_come(pieces: int) -> None:
    lines = [b'{"a":1}', b"{}", b'{"b":"' + b"x" * 500 + b'"}']
    text = b"\n\n" + b"\n".join(lines) + b'\n \n{"never":"ended'

    class Parts:
        def parts(self, head: object) -> Iterator[bytes]:
            return (text[start : start + pieces] for start in range(0, len(text), pieces))

        def close(self) -> None: ...

    assert list(WatchStream(Parts(), None, "watching")) == lines  # type: ignore[arg-type]


def test_pauses_grow_to_a_minute_and_the_first_one_is_short() -> None:
    assert Reflector.backoff(1) <= 0.1
    for failures in range(2, 12):
        pause = Reflector.backoff(failures)
        assert 1 <= pause <= 60
    assert Reflector.backoff(1000) <= 60
