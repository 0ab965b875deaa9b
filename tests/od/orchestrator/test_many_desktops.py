"""What a request costs must not grow with the desktops of other users: counted, not timed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.memory import give_back
from oc.od.orchestrator import Desktop, Orchestrator, podcache
from oc.od.orchestrator.client import PAGE_SIZE
from oc.od.orchestrator.podcache import REMEMBERED_SECONDS, PodCache
from oc.od.orchestrator.podmodel import DESKTOP, POD_LIST, SHARED_SELECTOR, Pod, pod_from, unpack
from oc.od.orchestrator.reflector import Reflector
from oc.od.orchestrator.resources import PODS as POD_RESOURCE
from tests.waiting import eventually

from .support import CLIENT, PODS, ClusterAdmin, Progress

MANY = 600


class Unpacking:
    """Counts the pods taken out of the cache."""

    count = 0

    def __call__(self, packed: bytes) -> Pod:
        self.count += 1
        return unpack(packed)


@pytest.fixture
def unpacking(monkeypatch: pytest.MonkeyPatch) -> Unpacking:
    counter = Unpacking()
    monkeypatch.setattr(podcache, "unpack", counter)
    return counter


@pytest.fixture
def desktop(orchestrator: Orchestrator, logged_in: Identity) -> Desktop:
    return orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))


def crowd_of(orchestrator: Orchestrator, label: str) -> set[str]:
    """Names of the desktops with that label that the cache knows: pods of other tests may come and go."""
    return {pod.name for pod in orchestrator.cache.of_kind("x11server") if label in pod.labels}


@pytest.fixture
def crowd(orchestrator: Orchestrator, admin: ClusterAdmin, logged_in: Identity, desktop: Desktop) -> Iterator[str]:
    """Several hundred desktops like the user's own; the label that they have in common."""
    label = f"crowd-{logged_in.userid}"
    patch = {"metadata": {"labels": {label: "y"}}}
    admin.api("PATCH", f"{PODS}/{desktop.name}", patch, "application/merge-patch+json")
    order = {"kind": "pods", "namespace": "abcdesktop", "name": desktop.name, "count": MANY}
    replace = {desktop.name: "crowd{n}-" + desktop.name[:40], logged_in.userid: "crowd{n}"}
    admin.devstack("POST", "copies", order | {"replace": replace})
    assert eventually(lambda: len(crowd_of(orchestrator, label)) > MANY)
    yield label
    admin.api("DELETE", f"{PODS}?labelSelector={label}&gracePeriodSeconds=0")
    assert eventually(lambda: not crowd_of(orchestrator, label))


def test_a_users_desktop_is_found_among_hundreds_without_looking_at_the_others(
    orchestrator: Orchestrator, admin: ClusterAdmin, logged_in: Identity, crowd: str, unpacking: Unpacking
) -> None:
    with admin.counted() as calls:
        found = orchestrator.find_desktop(logged_in)
        assert found is not None
        assert unpacking.count == 1
        assert [one.uid for one in orchestrator.list_desktops(logged_in.userid)] == [found.uid]
        assert unpacking.count == 2
        assert orchestrator.applications(found, logged_in) == []
        assert unpacking.count <= 4
    assert calls == {}


def test_hundreds_of_desktops_are_listed_without_a_call_and_each_is_looked_at_once(
    orchestrator: Orchestrator, admin: ClusterAdmin, crowd: str, unpacking: Unpacking
) -> None:
    desktops = sum(1 for _ in orchestrator.cache.of_kind("x11server"))
    before = unpacking.count
    with admin.counted() as calls:
        listing = orchestrator.list_desktops()
        first = next(listing)
        assert unpacking.count == before + 1  # one at a time: ten thousand are never held at once
        names = [first.name, *(one.name for one in listing)]
    assert calls == {}
    assert desktops > MANY
    assert unpacking.count - before < 1.5 * desktops  # once each; pods of other tests may leave meanwhile
    assert names == sorted(names)
    assert len(set(names)) > MANY


def test_without_a_watch_a_list_of_hundreds_comes_in_pages(
    orchestrator: Orchestrator, admin: ClusterAdmin, crowd: str
) -> None:
    unstarted = Orchestrator(orchestrator._settings, client=orchestrator.client)
    names = crowd_of(orchestrator, crowd)
    with admin.counted() as calls:
        assert {one.name for one in unstarted.list_desktops()} >= names
        assert {pod.name for pod in unstarted.live_desktops()} >= names
    assert set(calls) == {"list pods"}
    assert calls["list pods"] >= 2 * (-(-len(names) // PAGE_SIZE))


def test_a_watch_that_was_forgotten_is_begun_again_in_pages(
    orchestrator: Orchestrator, admin: ClusterAdmin, crowd: str
) -> None:
    names = crowd_of(orchestrator, crowd)
    with admin.counted() as calls:
        admin.fault(verb="watch", resource="pods", status=410, count=1)
        admin.devstack("DELETE", "watches?resource=pods")
        assert eventually(
            lambda: sum(seen["verb"] == "list" for seen in admin.requests_of("pods")) * PAGE_SIZE >= len(names)
        )
        assert eventually(lambda: orchestrator.watch_age is not None and len(orchestrator.cache) >= len(names))
    assert calls["list pods"] >= -(-len(names) // PAGE_SIZE)
    assert crowd_of(orchestrator, crowd) == names


# -- without an API --------------------------------------------------------------------------------------------------
def manifest(number: int, **more: Any) -> dict[str, Any]:
    labels = {"type": DESKTOP, "access_userid": f"user{number}"}
    metadata = {"name": f"desktop-{number}", "uid": f"uid-{number}", "resourceVersion": str(number + 1)}
    fields: dict[str, Any] = {"f:spec": {f"f:field{n}": {} for n in range(500)}}
    noise = {"managedFields": [{"manager": "pyos", "fieldsV1": fields}]}
    containers = [{"name": "x-graphical", "image": "i", "env": [{"name": "A", "value": "b" * 2000}]}]
    return {
        "metadata": metadata | noise | {"labels": labels},
        "spec": {"containers": containers},
        "status": {"phase": "Running", "podIP": "10.1.1.1"},
    } | more


class Pages:
    """Stands for the client: a list of several pages, during each of which somebody asks the cache."""

    def __init__(self, cache: PodCache, pages: list[list[dict[str, Any]]]) -> None:
        self._cache = cache
        self._pages = pages
        self.answered: list[str | None] = []

    def page(self, resource: object, selector: str, decoder: Any, **query: Any) -> object:
        number = int(query["continue_"] or 0)
        more = str(number + 1) if number + 1 < len(self._pages) else ""
        text = {"metadata": {"resourceVersion": "9000", "continue": more}, "items": self._pages[number]}
        assert decoder is POD_LIST
        asking = threading.Thread(target=self._ask)
        asking.start()
        asking.join(10)
        return decoder.decode(msgspec.json.encode(text))

    def _ask(self) -> None:
        pods = self._cache.of_user("user1", DESKTOP)
        self.answered.append(pods[0].name if pods else None)


def test_the_cache_answers_while_a_list_is_taken_in() -> None:
    cache = PodCache()
    everything = [manifest(number) for number in range(9)]
    client = Pages(cache, [everything[:3], everything[3:6], everything[6:]])
    reflector = Reflector(client, POD_RESOURCE, cache, label_selector=SHARED_SELECTOR)  # type: ignore[arg-type]
    assert reflector._list() == "9000"
    assert client.answered == [None, "desktop-1", "desktop-1"]
    assert len(cache) == 9
    client.answered.clear()
    reflector._list()
    assert client.answered == ["desktop-1"] * 3


def test_what_is_kept_of_a_desktop_is_a_small_part_of_what_the_api_tells() -> None:
    cache = PodCache()
    told = msgspec.json.encode(manifest(1))
    cache.apply("ADDED", pod_from(manifest(1)))
    kept = cache._pods["desktop-1"].packed
    assert len(kept) < len(told) / 20
    assert b"f:field" not in kept
    assert b"bbb" not in kept


def test_a_purge_leaves_nothing_behind() -> None:
    now = [0.0]
    cache = PodCache(clock=lambda: now[0])
    for number in range(1000):
        cache.listed([pod_from(manifest(number))])
    assert len(cache) == 1000
    for number in range(1000):
        gone = manifest(number)
        gone["metadata"]["resourceVersion"] = str(5000 + number)
        cache.apply("DELETED", pod_from(gone))
    now[0] = REMEMBERED_SECONDS + 1
    assert cache.forget_old_deletions()
    assert not cache.forget_old_deletions()
    give_back()
    assert [len(part) for part in (cache._pods, cache._users, cache._kinds, cache._deleted)] == [0, 0, 0, 0]
