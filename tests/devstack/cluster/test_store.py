from __future__ import annotations

import asyncio
from typing import Any

import pytest

from devstack.cluster.deletion import DeleteOptions, collect_dependents, delete
from devstack.cluster.store import ADDED, DELETED, MODIFIED, AlreadyExistsError, CompactedError, MissingError, Store


def make(name: str, namespace: str = "ns", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, **more}


def test_a_new_object_gets_uid_time_and_version_and_loses_its_type() -> None:
    store = Store()
    created = store.create("configmaps", make("a", data={"k": "v"}))
    assert set(created) == {"metadata", "data"}
    assert created["metadata"]["uid"]
    assert created["metadata"]["creationTimestamp"].endswith("Z")
    assert created["metadata"]["resourceVersion"] == str(store.version)


def test_the_given_dict_is_not_the_stored_one() -> None:
    store, given = Store(), make("a", data={"k": "v"})
    store.create("configmaps", given)
    given["data"]["k"] = "changed"
    found = store.get("configmaps", "ns", "a")
    assert found is not None
    assert found["data"] == {"k": "v"}


def test_the_same_name_twice_is_refused() -> None:
    store = Store()
    store.create("configmaps", make("a"))
    with pytest.raises(AlreadyExistsError):
        store.create("configmaps", make("a"))
    store.create("configmaps", make("a", "other"))


def test_an_update_that_changes_nothing_leaves_the_version() -> None:
    store = Store()
    before = store.create("configmaps", make("a", data={"k": "v"}))
    after = store.update("configmaps", "ns", "a", lambda obj: obj["data"].update(k="v"))
    assert after is before


def test_an_update_of_what_is_not_there_is_an_error() -> None:
    with pytest.raises(MissingError):
        Store().update("configmaps", "ns", "a", lambda obj: None)


def test_a_changed_spec_counts_the_generation_up_and_a_changed_status_does_not() -> None:
    store = Store()
    store.create("pods", make("a", spec={"x": 1}, status={}))
    store.update("pods", "ns", "a", lambda obj: obj["status"].update(phase="Running"))
    found = store.get("pods", "ns", "a")
    assert found is not None
    assert found["metadata"]["generation"] == 1
    store.update("pods", "ns", "a", lambda obj: obj["spec"].update(x=2))
    found = store.get("pods", "ns", "a")
    assert found is not None
    assert found["metadata"]["generation"] == 2


def test_versions_share_what_did_not_change() -> None:
    store = Store()
    before = store.create("pods", make("a", spec={"x": [1, 2]}, status={"phase": "Pending"}))
    after = store.update("pods", "ns", "a", lambda obj: obj["status"].update(phase="Running"))
    assert after["spec"] is before["spec"]
    assert before["status"] == {"phase": "Pending"}


def test_a_list_is_ordered_by_namespace_and_name() -> None:
    store = Store()
    for name, namespace in (("b", "two"), ("c", "one"), ("a", "two"), ("a", "one")):
        store.create("configmaps", make(name, namespace))
    names = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in store.list("configmaps")]
    assert names == [("one", "a"), ("one", "c"), ("two", "a"), ("two", "b")]
    assert [o["metadata"]["name"] for o in store.list("configmaps", "two")] == ["a", "b"]


def test_the_label_index_follows_every_change() -> None:
    store = Store()
    table = store.table("configmaps")
    store.create("configmaps", make("a", metadata={"labels": {"app": "x"}}))
    assert [item.name for item in table.labelled("ns", "app", "x")] == ["a"]
    store.create("configmaps", make("b", metadata={"labels": {"app": "x"}}))
    store.update("configmaps", "ns", "a", lambda obj: obj["metadata"]["labels"].update(app="y"))
    assert [item.name for item in table.labelled(None, "app", "x")] == ["b"]
    assert [item.name for item in table.labelled("ns", "app", "y")] == ["a"]
    store.remove("configmaps", "ns", "a")
    assert table.labelled("ns", "app", "y") == []


def test_history_gives_the_changes_after_a_version_in_order() -> None:
    store = Store()
    start = store.version
    store.create("configmaps", make("a", data={"k": "1"}))
    store.update("configmaps", "ns", "a", lambda obj: obj["data"].update(k="2"))
    store.remove("configmaps", "ns", "a")
    changes = store.since("configmaps", start)
    assert [change.type for change in changes] == [ADDED, MODIFIED, DELETED]
    assert [change.item.obj["data"]["k"] for change in changes] == ["1", "2", "2"]
    assert len({change.item.version for change in changes}) == 3


def test_history_is_bounded_and_what_it_lost_is_compacted() -> None:
    store = Store(history=2)
    start = store.version
    for name in "abc":
        store.create("configmaps", make(name))
    with pytest.raises(CompactedError):
        store.since("configmaps", start)
    assert [change.item.name for change in store.since("configmaps", start + 1)] == ["b", "c"]


def test_compaction_forgets_everything_older() -> None:
    store = Store()
    start = store.version
    store.create("configmaps", make("a"))
    store.compact()
    with pytest.raises(CompactedError):
        store.since("configmaps", start)
    assert list(store.since("configmaps", store.version)) == []


def test_a_subscription_gives_what_happens_from_then_on() -> None:
    store = Store()
    store.create("configmaps", make("before"))
    seen: list[tuple[str, str]] = []

    async def follow() -> None:
        subscription = store.subscribe("configmaps")
        store.create("configmaps", make("a"))
        store.remove("configmaps", "ns", "a")
        async for type_, obj in subscription:
            seen.append((type_, obj["metadata"]["name"]))
            if len(seen) == 2:
                subscription.close()

    asyncio.run(follow())
    assert seen == [(ADDED, "a"), (DELETED, "a")]
    assert store.table("configmaps").subscribers == set()


def test_a_subscriber_that_falls_behind_is_cut_off() -> None:
    store = Store()

    async def follow() -> None:
        slow, other = store.subscribe("configmaps", limit=2), store.subscribe("configmaps")
        for name in "abc":
            store.create("configmaps", make(name))
        assert slow.closed
        assert len(other.take()) == 3

    asyncio.run(follow())


def test_an_object_with_a_finalizer_stays_until_it_is_taken_off() -> None:
    store = Store()
    store.create("configmaps", make("a", metadata={"finalizers": ["x.example/f"]}))
    store.remove("configmaps", "ns", "a")
    kept = store.get("configmaps", "ns", "a")
    assert kept is not None
    assert kept["metadata"]["deletionTimestamp"]
    store.update("configmaps", "ns", "a", lambda obj: obj["metadata"].pop("finalizers"))
    assert store.get("configmaps", "ns", "a") is None


def owned(name: str, *owners: str) -> dict[str, Any]:
    references = [{"apiVersion": "v1", "kind": "X", "name": uid, "uid": uid} for uid in owners]
    return make(name, metadata={"ownerReferences": references})


def test_what_an_object_owned_alone_goes_with_it() -> None:
    store = Store()
    store.create("configmaps", owned("mine", "u1"))
    store.create("configmaps", owned("shared", "u1", "u2"))
    store.create("configmaps", owned("other", "u2"))
    assert collect_dependents(store, "u1") == ["configmaps/mine"]
    assert [o["metadata"]["name"] for o in store.list("configmaps")] == ["other", "shared"]
    shared = store.get("configmaps", "ns", "shared")
    assert shared is not None
    assert [reference["uid"] for reference in shared["metadata"]["ownerReferences"]] == ["u2"]


@pytest.mark.parametrize(
    ("spec", "phase", "wanted", "grace"),
    [
        ({"nodeName": "n", "terminationGracePeriodSeconds": 7}, "Running", None, 7),
        ({"nodeName": "n"}, "Running", None, 30),
        ({"nodeName": "n"}, "Running", 3, 3),
        ({"nodeName": "n"}, "Running", -5, 1),
        ({}, "Pending", 30, 0),
        ({"nodeName": "n"}, "Succeeded", 30, 0),
    ],
)
def test_the_grace_of_a_pod(spec: dict[str, Any], phase: str, wanted: int | None, grace: int) -> None:
    store = Store()
    store.create("pods", make("p", spec=spec, status={"phase": phase}))
    item = store.item("pods", "ns", "p")
    assert item is not None
    last, gone = delete(store, "pods", item, DeleteOptions(grace_s=wanted))
    assert last["metadata"]["deletionGracePeriodSeconds"] == grace
    assert gone is (grace == 0)
    assert (store.get("pods", "ns", "p") is None) is gone


def test_a_second_deletion_may_only_shorten_the_grace() -> None:
    store = Store()
    store.create("pods", make("p", spec={"nodeName": "n"}, status={"phase": "Running"}))
    for wanted, grace in ((10, 10), (20, 10), (5, 5)):
        item = store.item("pods", "ns", "p")
        assert item is not None
        last, _ = delete(store, "pods", item, DeleteOptions(grace_s=wanted))
        assert last["metadata"]["deletionGracePeriodSeconds"] == grace
    assert last["metadata"]["generation"] == 2
