"""The catalogue on a real database: registration, searching, what a second replica reads."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pymongo.errors
import pytest

from oc.datastore import DataStore
from oc.errors import AuthenticationDeniedError, ODResourceNotFoundError, UnavailableError
from oc.od.apps import ApplicationCatalogue
from oc.od.apps.inspect import UnusableImageError
from oc.od.settings.stores import MongodbSettings
from oc.sharecache import LocalCache

from .conftest import CatalogueSettings
from .images import digest, image
from .peers import Database, closed_port

Catalogues = Callable[[Database], ApplicationCatalogue]
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "apps"


@pytest.fixture
def away() -> Iterator[ApplicationCatalogue]:
    """A catalogue whose database is away."""
    settings = MongodbSettings(url=f"mongodb://127.0.0.1:{closed_port()}", param="serverSelectionTimeoutMS=50")
    datastore = DataStore(settings)
    yield ApplicationCatalogue(datastore, CatalogueSettings(), LocalCache())
    datastore.close()


def test_a_registered_application_is_known_here_at_once_and_elsewhere_after_a_reload(
    database: Database, catalogues: Catalogues
) -> None:
    here, there = catalogues(database), catalogues(database)
    assert there.load()
    record = here.register(image("r.test/x:1"))
    assert here.snapshot.by_id["r.test/x:1"] == record
    assert "r.test/x:1" not in there.snapshot.by_id
    there.reload()
    assert there.snapshot.by_id["r.test/x:1"] == record


def test_registering_the_same_tag_again_replaces_the_document(
    catalogue: ApplicationCatalogue, datastore: DataStore
) -> None:
    catalogue.register(image("r.test/x:1"))
    catalogue.register(image("r.test/x:1", cat="games"))
    catalogue.register(image("r.test/x:2", cat="games"))
    stored = datastore.get_collection("applications", "image")
    assert sorted((item["id"], item["cat"]) for item in stored) == [("r.test/x:1", "games"), ("r.test/x:2", "games")]


def test_the_id_is_unique_in_the_database(catalogue: ApplicationCatalogue, database: Database) -> None:
    catalogue.register(image("r.test/x:1"))
    with pymongo.MongoClient(database.url, replicaSet="rs0") as client, pytest.raises(pymongo.errors.DuplicateKeyError):
        client["applications"]["image"].insert_one({"id": "r.test/x:1"})


def test_documents_that_share_an_id_do_not_stop_the_registration(
    catalogue: ApplicationCatalogue, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with pymongo.MongoClient(database.url, replicaSet="rs0") as client:
        client["applications"]["image"].insert_many([{"id": "dup"}, {"id": "dup"}])
    with caplog.at_level(logging.ERROR):
        catalogue.register(image("r.test/x:1"))
    assert "no unique index" in caplog.text
    assert "r.test/x:1" in catalogue.reload().by_id


def test_a_list_is_stored_in_one_request_and_unusable_images_are_skipped(
    catalogue: ApplicationCatalogue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    collection = catalogue._store.collection()
    original = collection.bulk_write

    def bulk_write(requests: list[object], **options: bool) -> object:
        writes.append(len(requests))
        return original(requests, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(collection, "bulk_write", bulk_write)
    monkeypatch.setattr(catalogue._store, "collection", lambda: collection)
    images: list[object] = [image(f"r.test/app{number}:1", icondata="QUJD" * 4000) for number in range(116)]
    with caplog.at_level(logging.WARNING):
        stored = catalogue.register_many([*images[:50], {"RepoTags": ["broken:1"]}, *images[50:], 3])
    assert [app.id for app in stored] == [f"r.test/app{number}:1" for number in range(116)]
    assert caplog.text.count("is skipped") == 2
    assert "broken:1" in caplog.text
    assert writes == [116]
    assert len(catalogue.reload()) == 116


def test_of_two_images_with_one_tag_in_a_list_the_last_counts(catalogue: ApplicationCatalogue) -> None:
    stored = catalogue.register_many([image("x:1", cat="old"), image("y:1"), image("x:1", cat="new")])
    assert [(app.id, app.cat) for app in stored] == [("x:1", "new"), ("y:1", None)]
    assert catalogue.reload().by_id["x:1"].cat == "new"


def test_all_published_samples_are_registered(catalogue: ApplicationCatalogue) -> None:
    if not SHARED.is_dir():
        pytest.skip("the published image descriptions (../shared/data/apps) are not here")
    for path in sorted(SHARED.glob("*.json")):
        document = json.loads(path.read_text())
        assert len(catalogue.register_many(document)) == len(document)
    assert len(catalogue.snapshot) == 19
    before = catalogue.snapshot
    assert catalogue.reload() is before
    shown = catalogue.for_user([])
    assert len(shown) == 19
    assert all(entry["icondata"] and entry["launch"] and entry["icon"] for entry in shown)


def test_replicas_that_register_the_same_image_at_once_leave_one_document(
    database: Database, catalogues: Catalogues, datastore: DataStore
) -> None:
    replicas = [catalogues(database) for _ in range(4)]
    images = [image(f"r.test/app{number}:1") for number in range(20)]
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def register(replica: ApplicationCatalogue) -> None:
        start.wait()
        try:
            replica.register_many(images)
        except Exception as error:  # noqa: BLE001 - reported by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=register, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(datastore.get_collection("applications", "image")) == 20


def test_deleting_one_and_deleting_all(catalogue: ApplicationCatalogue, datastore: DataStore) -> None:
    catalogue.register_many([image("a:1"), image("b:1"), image("c:1")])
    catalogue.delete(catalogue.snapshot.by_id["b:1"])
    assert list(catalogue.snapshot.by_id) == ["a:1", "c:1"]
    datastore.add_all("applications", {"image": [{"id": "unknown here"}]})
    assert catalogue.delete_all() == ["a:1", "c:1", "unknown here"]
    assert len(catalogue.snapshot) == 0
    assert datastore.get_collection("applications", "image") == []


def test_a_replacement_may_bring_another_tag(catalogue: ApplicationCatalogue) -> None:
    old = catalogue.register(image("x:1"))
    catalogue.replace(old, image("x:2"))
    assert list(catalogue.snapshot.by_id) == ["x:2"]
    assert list(catalogue.reload().by_id) == ["x:2"]


def test_an_unusable_description_changes_nothing(catalogue: ApplicationCatalogue) -> None:
    before = catalogue.snapshot
    with pytest.raises(UnusableImageError):
        catalogue.register({"RepoTags": ["x:1"]})
    assert catalogue.snapshot is before


def test_the_revision_and_the_views_stay_while_nothing_differs(catalogue: ApplicationCatalogue) -> None:
    catalogue.register(image("x:1"))
    shown, builds = catalogue.view([]), catalogue.builds
    catalogue.reload()
    assert catalogue.builds == builds + 1
    assert catalogue.view([]) is shown
    hits = catalogue.hits
    catalogue.for_user([])
    assert catalogue.hits == hits + 1


class TestTheSearchForALaunch:
    def test_an_allowed_application_is_found_by_word_and_a_hidden_one_is_not_there(
        self, catalogue: ApplicationCatalogue
    ) -> None:
        catalogue.register_many([image("x:1", mimetype="t/x"), image("crew:1", acl='{"permit":["crew"]}')])
        for word in ("x:1", "x", "x.X", "/usr/bin/x", "t/x"):
            assert catalogue.find_for_user([], word).id == "x:1"
        assert catalogue.find_for_user(["crew"], "crew").id == "crew:1"
        for word in ("crew:1", "crew", "nothing", digest("x:1", mimetype="t/x")):
            with pytest.raises(ODResourceNotFoundError):
                catalogue.find_for_user([], word)
        assert catalogue.find_by_image(digest("x:1", mimetype="t/x")) is catalogue.snapshot.by_id["x:1"]

    def test_an_application_that_is_withdrawn_between_search_and_launch_is_denied(
        self, catalogue: ApplicationCatalogue
    ) -> None:
        catalogue.register(image("x:1"))
        stale = catalogue.view([])
        catalogue.register(image("x:1", acl='{"permit":["crew"]}'))
        catalogue._views.view = lambda *_: stale  # type: ignore[method-assign]
        with pytest.raises(AuthenticationDeniedError):
            catalogue.find_for_user([], "x:1")
        catalogue.delete_all()
        with pytest.raises(ODResourceNotFoundError):
            catalogue.find_for_user([], "x:1")


class TestADatabaseThatIsAway:
    def test_loading_at_boot_gives_an_empty_catalogue_and_no_error(self, away: ApplicationCatalogue) -> None:
        assert away.load(force=True) is False
        assert not away.loaded
        assert away.for_user([]) == []

    def test_changes_and_reloads_are_unavailable_and_the_old_state_stays(self, away: ApplicationCatalogue) -> None:
        for call in (
            lambda: away.register(image("x:1")),
            lambda: away.register_many([image("x:1")]),
            away.reload,
            away.delete_all,
        ):
            with pytest.raises(UnavailableError):
                call()
        assert len(away.snapshot) == 0
