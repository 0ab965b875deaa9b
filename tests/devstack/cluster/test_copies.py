"""Many objects at once: copies straight into the store, and lists of them page by page."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from .bed import Bed


def original(bed: Bed, space: str, name: str = "desk-zero") -> dict[str, Any]:
    body = {
        "metadata": {"name": name, "labels": {"user": "zero", "kept": "y"}},
        "data": {"whose": "of zero", "same": "text"},
    }
    answer = bed.post(f"{space}/configmaps", body)
    assert answer.status == 201
    return dict(answer.body)


def order(space: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "configmaps",
        "namespace": space.rpartition("/")[2],
        "name": "desk-zero",
        "replace": {"zero": "user{n}"},
        **more,
    }


def test_copies_differ_where_they_are_told_to_and_are_objects_of_their_own(bed: Bed, space: str) -> None:
    first = original(bed, space)
    assert bed.admin("POST", "copies", order(space, count=3, first=7)).body == {"made": 3}
    found = bed.get(f"{space}/configmaps?labelSelector=kept%3Dy").body["items"]
    assert [one["metadata"]["name"] for one in found] == ["desk-user7", "desk-user8", "desk-user9", "desk-zero"]
    copy = found[1]
    assert copy["metadata"]["labels"] == {"user": "user8", "kept": "y"}
    assert copy["data"] == {"whose": "of user8", "same": "text"}
    assert len({one["metadata"]["uid"] for one in found}) == 4
    assert len({one["metadata"]["resourceVersion"] for one in found}) == 4
    assert bed.get(f"{space}/configmaps/desk-zero").body["data"] == first["data"]


def test_what_does_not_change_is_held_once(bed: Bed, space: str) -> None:
    original(bed, space)
    bed.patch(f"{space}/configmaps/desk-zero", {"binaryData": {"raw": "c2FtZQ=="}})
    bed.admin("POST", "copies", order(space, count=2))
    parts = {id(obj["binaryData"]) for obj in bed.call(bed.cluster.store.list, "configmaps", order(space)["namespace"])
             if "binaryData" in obj}  # fmt: skip
    assert len(parts) == 1


def test_a_watch_sees_every_copy_although_it_is_told_of_many(bed: Bed, space: str) -> None:
    original(bed, space)
    version = bed.get(f"{space}/configmaps").body["metadata"]["resourceVersion"]
    with bed.watch(f"{space}/configmaps", resourceVersion=version) as following:
        assert bed.admin("POST", "copies", order(space, count=350)).status == 200
        seen = {following()["object"]["metadata"]["name"] for _ in range(350)}
    assert seen == {f"desk-user{number}" for number in range(350)}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "nobody"}, 404),
        ({"replace": {"of": "to"}}, 409),
        ({"count": 0}, 400),
        ({"count": 100_001}, 400),
        ({"colour": "red"}, 400),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused(
    bed: Bed, space: str, change: dict[str, Any], status: int
) -> None:
    original(bed, space)
    assert bed.admin("POST", "copies", order(space, **change)).status == status


def test_a_name_that_is_taken_is_not_overwritten(bed: Bed, space: str) -> None:
    original(bed, space)
    assert bed.admin("POST", "copies", order(space)).status == 200
    assert bed.admin("POST", "copies", order(space)).status == 409


# -- pages -----------------------------------------------------------------------------------------------------------
def pages(bed: Bed, path: str, limit: int, selector: str = "", between: Any = None) -> list[list[str]]:
    found: list[list[str]] = []
    token = ""
    while True:
        text = f"{path}?limit={limit}&labelSelector={quote(selector)}&continue={token}"
        answer = bed.get(text)
        assert answer.status == 200, answer.body
        found.append([one["metadata"]["name"] for one in answer.body["items"]])
        token = answer.body["metadata"].get("continue", "")
        if not token:
            return found
        if between is not None:
            between()


@pytest.mark.parametrize("selector", ["", "user", "user in (user1,user2,user3,user4,user5,user6)"])
def test_pages_together_are_the_list(bed: Bed, space: str, selector: str) -> None:
    original(bed, space)
    bed.admin("POST", "copies", order(space, count=9))
    whole = pages(bed, f"{space}/configmaps", 0, selector)[0]
    parts = pages(bed, f"{space}/configmaps", 2, selector)
    assert [name for part in parts for name in part] == whole
    assert {len(part) for part in parts[:-1]} == {2}


def test_pages_show_the_state_of_the_first_one_whatever_happens_meanwhile(bed: Bed, space: str) -> None:
    original(bed, space)
    bed.admin("POST", "copies", order(space, count=6))
    whole = pages(bed, f"{space}/configmaps", 0, "user")[0]
    numbers = iter(range(100))

    def change() -> None:
        number = next(numbers)
        bed.delete(f"{space}/configmaps/desk-user{number}")
        bed.delete(f"{space}/configmaps/desk-user{5 - number}")
        bed.patch(f"{space}/configmaps/desk-zero", {"metadata": {"labels": {"user": None}}})
        bed.admin("POST", "copies", order(space, first=50 + number, replace={"zero": f"user{number}b"}))

    parts = pages(bed, f"{space}/configmaps", 2, "user", change)
    assert [name for part in parts for name in part] == whole


def test_how_many_remain_is_told_of_lists_without_a_selector(bed: Bed, space: str) -> None:
    original(bed, space)
    bed.admin("POST", "copies", order(space, count=4))
    total = len(bed.get(f"{space}/configmaps").body["items"])
    assert bed.get(f"{space}/configmaps?limit=2").body["metadata"]["remainingItemCount"] == total - 2
    assert "remainingItemCount" not in bed.get(f"{space}/configmaps?limit=2&labelSelector=user").body["metadata"]
