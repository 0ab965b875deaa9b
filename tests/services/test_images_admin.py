"""What the manager's image routes answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oc.errors import BadRequestError, ODResourceNotFoundError
from oc.od.apps import Application, ApplicationCatalogue, admin

from .images import digest, image


def test_an_object_answers_its_record_and_a_list_the_usable_ones(catalogue: ApplicationCatalogue) -> None:
    record = admin.post_images(catalogue, image("x:1"))
    assert isinstance(record, dict)
    assert (record["id"], "_id" in record) == ("x:1", False)
    records = admin.post_images(catalogue, [image("y:1"), {"broken": 1}, image("z:1")])
    assert [item["id"] for item in records] == ["y:1", "z:1"]  # type: ignore[index]
    assert list(admin.list_images(catalogue)) == ["x:1", "y:1", "z:1"]
    assert json.loads(admin.list_images_json(catalogue)[0]) == admin.list_images(catalogue)


def test_an_empty_list_is_accepted(catalogue: ApplicationCatalogue) -> None:
    assert admin.post_images(catalogue, []) == []
    assert admin.put_images(catalogue, []) == []


@pytest.mark.parametrize("body", [None, "text", 3, True])
def test_a_body_that_is_neither_object_nor_list_is_refused(catalogue: ApplicationCatalogue, body: object) -> None:
    for route in (admin.post_images, admin.put_images):
        with pytest.raises(BadRequestError, match="Invalid parameters Bad Request"):
            route(catalogue, body)


@pytest.mark.parametrize("body", [{}, {"RepoTags": ["x:1"]}, [{}], [3, None]])
def test_nothing_usable_is_refused(catalogue: ApplicationCatalogue, body: object) -> None:
    for route in (admin.post_images, admin.put_images):
        with pytest.raises(BadRequestError, match="failed to add json image format to collection") as refusal:
            route(catalogue, body)
        assert refusal.value.status == 400
    assert admin.list_images(catalogue) == {}


def test_put_says_whether_the_image_is_being_pulled(catalogue: ApplicationCatalogue) -> None:
    asked: list[tuple[str, str | None]] = []

    def prefetch(application: Application, node: str | None) -> bool:
        asked.append((application.id, node))
        return application.id == "x:1"

    record = admin.put_images(catalogue, image("x:1"), node="node1", prefetch=prefetch)
    assert isinstance(record, dict)
    assert record["pulling"] is True
    records = admin.put_images(catalogue, [image("y:1")], prefetch=prefetch)
    assert [item["pulling"] for item in records] == [False]  # type: ignore[index]
    assert asked == [("x:1", "node1"), ("y:1", None)]
    without: Any = admin.put_images(catalogue, image("x:1"))
    assert without["pulling"] is False
    assert "pulling" not in admin.get_image(catalogue, "x:1")


@pytest.mark.parametrize("word", ["r.test/x:1", digest("r.test/x:1"), "sha256:" + digest("r.test/x:1"), "x"])
def test_one_image_is_read_and_deleted_by_each_of_its_names(catalogue: ApplicationCatalogue, word: str) -> None:
    admin.post_images(catalogue, [image("r.test/x:1"), image("r.test/y:1")])
    assert admin.get_image(catalogue, word)["id"] == "r.test/x:1"
    assert admin.delete_image(catalogue, word) == [word]
    assert list(admin.list_images(catalogue)) == ["r.test/y:1"]
    for route in (admin.get_image, admin.delete_image):
        with pytest.raises(ODResourceNotFoundError) as refusal:
            route(catalogue, word)
        assert (refusal.value.status, refusal.value.message) == (404, "Not found")


def test_everything_is_deleted_by_the_star_and_by_its_own_route(catalogue: ApplicationCatalogue) -> None:
    admin.post_images(catalogue, [image("x:1"), image("y:1")])
    assert admin.delete_image(catalogue, "*") == ["x:1", "y:1"]
    assert admin.delete_images(catalogue) == []
    assert admin.list_images(catalogue, refresh=True) == {}


def test_a_known_image_is_replaced_and_an_unknown_one_is_not_there(catalogue: ApplicationCatalogue) -> None:
    admin.post_images(catalogue, image("x:1"))
    assert admin.patch_image(catalogue, "x:1", image("x:1", cat="games"))["cat"] == "games"
    assert admin.patch_image(catalogue, "x:1", [image("x:1", cat="office")])["cat"] == "office"
    assert admin.get_image(catalogue, "x:1")["cat"] == "office"
    with pytest.raises(ODResourceNotFoundError):
        admin.patch_image(catalogue, "y:1", image("y:1"))
    for body in ({}, [], "text"):
        with pytest.raises(BadRequestError):
            admin.patch_image(catalogue, "x:1", body)


def test_the_catalogue_can_be_read_from_the_database_again(
    catalogue: ApplicationCatalogue, database: Any, catalogues: Any
) -> None:
    admin.post_images(catalogues(database), image("x:1"))
    assert admin.list_images(catalogue) == {}
    assert list(admin.list_images(catalogue, refresh=True)) == ["x:1"]
