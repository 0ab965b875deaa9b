"""The pod cache as a state machine: what is newer wins, however it arrives."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from oc.model.deadline import Deadline
from oc.od.orchestrator.podcache import MAX_REMEMBERED, REMEMBERED_SECONDS, PodCache
from oc.od.orchestrator.podmodel import DESKTOP, Pod, choose, pod_from


def pod(name: str = "fry-00001", version: int = 10, uid: str = "u1", phase: str = "Pending", **labels: str) -> Any:
    return {
        "metadata": {
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-06-02T08:00:00Z",
            "labels": {"type": DESKTOP, "access_userid": "fry"} | labels,
        },
        "status": {"phase": phase},
    }


def relist(cache: PodCache, version: int, *pods: Any) -> None:
    """What the reflector tells of a list that shows these pods, a page each."""
    for one in pods:
        cache.listed([pod_from(one)])
    cache.complete({one["metadata"]["name"] for one in pods}, str(version))


@pytest.fixture
def cache() -> PodCache:
    return PodCache()


@pytest.fixture
def heard(cache: PodCache) -> list[tuple[str, str, str]]:
    changes: list[tuple[str, str, str]] = []
    cache.listen(lambda change, found: changes.append((change, found.name, found.phase)))
    return changes


def test_a_listed_pod_is_found_by_name_by_user_and_by_type(cache: PodCache) -> None:
    relist(cache, 20, pod(), pod("leela-00001", 11, "u2", access_userid="leela"))
    assert cache.get("fry-00001") is not None
    assert [found.name for found in cache.of_user("fry", DESKTOP)] == ["fry-00001"]
    assert cache.of_user("fry", "pod_application") == []
    assert {found.name for found in cache.of_kind(DESKTOP)} == {"fry-00001", "leela-00001"}


def test_an_older_version_never_replaces_a_newer_one(cache: PodCache) -> None:
    cache.apply("MODIFIED", pod_from(pod(version=12, phase="Running")))
    cache.take(pod_from(pod(version=11, phase="Pending")))
    cache.apply("MODIFIED", pod_from(pod(version=11, phase="Pending")))
    found = cache.get("fry-00001")
    assert found is not None
    assert found.phase == "Running"


def test_what_this_process_wrote_is_there_before_the_watch_says_so(
    cache: PodCache, heard: list[tuple[str, str, str]]
) -> None:
    relist(cache, 5)
    cache.take(pod_from(pod(version=10)))
    assert cache.get("fry-00001") is not None
    cache.apply("ADDED", pod_from(pod(version=10)))
    assert heard == [("ADDED", "fry-00001", "Pending")]


def test_a_pod_the_watch_has_already_seen_die_is_not_brought_back_by_a_late_answer(
    cache: PodCache, heard: list[tuple[str, str, str]]
) -> None:
    cache.apply("ADDED", pod_from(pod(version=10)))
    cache.apply("DELETED", pod_from(pod(version=12)))
    cache.take(pod_from(pod(version=10)))
    cache.take(pod_from(pod(version=13)))
    assert cache.get("fry-00001") is None
    assert cache.was_deleted("u1")
    assert [change for change, _, _ in heard] == ["ADDED", "DELETED"]


def test_a_late_answer_about_a_pod_that_came_and_went_unseen_is_ignored(cache: PodCache) -> None:
    relist(cache, 50)
    cache.take(pod_from(pod(version=40)))
    assert cache.get("fry-00001") is None


def test_a_pod_made_again_under_the_same_name_replaces_the_old_one(
    cache: PodCache, heard: list[tuple[str, str, str]]
) -> None:
    cache.apply("ADDED", pod_from(pod(version=10)))
    cache.take(pod_from(pod(version=20, uid="u2")))
    found = cache.get("fry-00001")
    assert found is not None
    assert found.uid == "u2"
    assert cache.was_deleted("u1")
    cache.apply("DELETED", pod_from(pod(version=19, uid="u1")))
    assert cache.get("fry-00001") is not None
    assert [change for change, _, _ in heard] == ["ADDED", "DELETED", "ADDED"]


def test_a_new_list_drops_what_is_gone_but_keeps_what_was_written_after_it(
    cache: PodCache, heard: list[tuple[str, str, str]]
) -> None:
    cache.apply("ADDED", pod_from(pod("fry-00001", 10, "u1")))
    cache.take(pod_from(pod("fry-00002", 40, "u2")))
    relist(cache, 30)
    assert cache.get("fry-00001") is None
    assert cache.get("fry-00002") is not None
    assert ("DELETED", "fry-00001", "Pending") in heard


def test_a_new_list_tells_only_of_what_changed(cache: PodCache, heard: list[tuple[str, str, str]]) -> None:
    relist(cache, 20, pod("fry-00001", 10, "u1"), pod("fry-00002", 11, "u2"), pod("fry-00003", 12, "u3"))
    heard.clear()
    relist(cache, 30, pod("fry-00001", 10, "u1"), pod("fry-00002", 25, "u2", phase="Running"))
    assert heard == [("MODIFIED", "fry-00002", "Running"), ("DELETED", "fry-00003", "Pending")]


def test_a_label_that_changes_moves_the_pod_in_the_index(cache: PodCache) -> None:
    cache.apply("ADDED", pod_from(pod(version=10)))
    cache.apply("MODIFIED", pod_from(pod(version=11, access_userid="zoidberg")))
    assert cache.of_user("fry", DESKTOP) == []
    assert len(cache.of_user("zoidberg", DESKTOP)) == 1


def test_a_pod_being_deleted_is_not_usable_at_once(cache: PodCache) -> None:
    cache.apply("ADDED", pod_from(pod(version=10, phase="Running")))
    cache.mark_terminating("fry-00001", "another")
    assert choose(cache.of_user("fry", DESKTOP)) is not None
    cache.mark_terminating("fry-00001", "u1")
    assert choose(cache.of_user("fry", DESKTOP)) is None


def test_forgetting_needs_the_right_uid(cache: PodCache) -> None:
    cache.apply("ADDED", pod_from(pod(version=10)))
    cache.forget("fry-00001", "another")
    assert cache.get("fry-00001") is not None
    cache.forget("fry-00001", "u1")
    assert cache.get("fry-00001") is None


def test_waiting_ends_when_the_condition_holds(cache: PodCache) -> None:
    waiting = threading.Event()
    results: list[bool] = []

    def running(found: Pod | None) -> bool:
        waiting.set()
        return found is not None and found.phase == "Running"

    thread = threading.Thread(target=lambda: results.append(cache.wait("fry-00001", running, Deadline(20))))
    thread.start()
    assert waiting.wait(20)
    cache.apply("ADDED", pod_from(pod(version=10)))
    cache.apply("MODIFIED", pod_from(pod(version=11, phase="Running")))
    thread.join(20)
    assert results == [True]


def test_waiting_ends_with_the_process(cache: PodCache) -> None:
    waiting = threading.Event()
    results: list[bool] = []

    def never(found: Pod | None) -> bool:
        waiting.set()
        return False

    thread = threading.Thread(target=lambda: results.append(cache.wait("fry-00001", never, Deadline(60))))
    thread.start()
    assert waiting.wait(20)
    cache.close()
    thread.join(20)
    assert results == [False]


def test_waiting_ends_at_the_deadline(cache: PodCache) -> None:
    assert cache.wait("fry-00001", lambda found: found is not None, Deadline(0.01)) is False


def test_a_failing_listener_does_not_stop_the_others(cache: PodCache, heard: list[tuple[str, str, str]]) -> None:
    def fails(change: str, found: Pod) -> None:
        raise ValueError(change)

    cache._listeners.insert(0, fails)
    cache.apply("ADDED", pod_from(pod()))
    assert heard == [("ADDED", "fry-00001", "Pending")]


def test_the_memory_of_deleted_pods_is_bounded(cache: PodCache) -> None:
    for number in range(MAX_REMEMBERED + 10):
        cache.apply("DELETED", pod_from(pod(version=number + 1, uid=f"u{number}")))
    assert not cache.was_deleted("u0")
    assert cache.was_deleted(f"u{MAX_REMEMBERED + 9}")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("by", ["the next deletion", "a call"])
def test_a_deletion_is_forgotten_after_a_minute(by: str) -> None:
    clock = Clock()
    cache = PodCache(clock=clock)
    cache.apply("DELETED", pod_from(pod(uid="u1")))
    clock.now = REMEMBERED_SECONDS - 1
    cache.apply("DELETED", pod_from(pod("leela-00001", 11, uid="u2")))
    assert cache.was_deleted("u1")
    clock.now = REMEMBERED_SECONDS + 1
    if by == "a call":
        cache.forget_old_deletions()
    else:
        cache.apply("DELETED", pod_from(pod("bender-00001", 12, uid="u3")))
    assert not cache.was_deleted("u1")
    assert cache.was_deleted("u2")


def test_a_late_answer_does_not_bring_back_a_pod_whose_deletion_is_forgotten() -> None:
    clock = Clock()
    cache = PodCache(clock=clock)
    cache.apply("ADDED", pod_from(pod(version=10)))
    cache.apply("DELETED", pod_from(pod(version=12)))
    clock.now = REMEMBERED_SECONDS + 1
    cache.forget_old_deletions()
    cache.take(pod_from(pod(version=11, phase="Running")))
    assert cache.get("fry-00001") is None


def test_the_running_desktop_is_preferred_then_the_newest() -> None:
    def made(name: str, phase: str, created: str, **more: Any) -> Pod:
        obj = pod(name, phase=phase)
        obj["metadata"] |= {"creationTimestamp": created} | more
        return msgspec.convert(obj, Pod)

    old = made("old", "Running", "2026-06-02T08:00:00Z")
    new = made("new", "Pending", "2026-06-02T09:00:00Z")
    newest = made("newest", "Pending", "2026-06-02T10:00:00Z")
    going = made("going", "Running", "2026-06-02T11:00:00Z", deletionTimestamp="2026-06-02T12:00:00Z")
    failed = made("failed", "Failed", "2026-06-02T11:00:00Z")
    assert choose([new, old, newest, going, failed]) is old
    assert choose([new, newest, going]) is newest
    assert choose([going, failed]) is None
