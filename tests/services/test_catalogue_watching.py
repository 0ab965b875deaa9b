"""Every replica sees what another one registers or deletes, without a call between them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pymongo
import pytest

from oc.datastore import DataStore
from oc.od.apps import ApplicationCatalogue
from oc.od.apps.changesignal import ChangeSignal
from oc.od.apps.store import ImageStore
from oc.od.apps.watching import CatalogueWatcher
from oc.sharecache import MemcachedCache
from tests.waiting import until

from .conftest import CatalogueSettings
from .images import image
from .peers import Commands, Database

Catalogues = Callable[[Database], ApplicationCatalogue]


def watching(catalogue: ApplicationCatalogue) -> None:
    """Start to follow, and wait until the stream is open (the first reload has been done)."""
    builds = catalogue.builds
    catalogue.start()
    until(lambda: catalogue.builds > builds)


def test_a_second_replica_sees_a_registration_a_change_and_a_deletion(
    database: Database, catalogues: Catalogues
) -> None:
    here, there = catalogues(database), catalogues(database)
    watching(there)
    here.register(image("x:1"))
    until(lambda: "x:1" in there.snapshot.by_id)
    here.register(image("x:1", cat="games"))
    until(lambda: there.snapshot.by_id["x:1"].cat == "games")
    here.delete(here.snapshot.by_id["x:1"])
    until(lambda: len(there.snapshot) == 0)


def test_what_was_registered_before_the_stream_opened_is_loaded_first(
    database: Database, catalogues: Catalogues
) -> None:
    here, there = catalogues(database), catalogues(database)
    there.load()
    here.register(image("x:1"))
    watching(there)
    assert "x:1" in there.snapshot.by_id


def test_a_burst_of_changes_is_one_or_a_few_reloads(database: Database, catalogues: Catalogues) -> None:
    here, there = catalogues(database), catalogues(database)
    watching(there)
    builds = there.builds
    here.register_many([image(f"app{number}:1") for number in range(100)])
    until(lambda: len(there.snapshot) == 100)
    assert there.builds - builds <= 10  # one where all goes well; a slow machine sees the burst in pieces


def test_writes_elsewhere_cost_the_stream_a_few_questions_a_second(
    commands: Commands, database: Database, catalogues: Catalogues
) -> None:
    there = catalogues(database)
    watching(there)
    with pymongo.MongoClient(database.url, replicaSet="rs0") as client:
        began, before = time.monotonic(), commands.names.count("getMore")
        for number in range(200):
            client["profiles"]["fry"].insert_one({"n": number})
        asked, seconds = commands.names.count("getMore") - before, time.monotonic() - began
        assert asked <= 2 + 5 * seconds
        builds = there.builds
        client["applications"]["image"].insert_one({"id": "x:1", "sha_id": "sha256:1", "name": "x"})
    until(lambda: there.builds > builds)


def test_a_dropped_collection_empties_the_catalogue_and_is_followed_again(
    database: Database, catalogues: Catalogues
) -> None:
    here, there = catalogues(database), catalogues(database)
    here.register(image("x:1"))
    watching(there)
    with pymongo.MongoClient(database.url, replicaSet="rs0") as client:
        client["applications"].drop_collection("image")
    until(lambda: len(there.snapshot) == 0)
    here.register(image("y:1"))
    until(lambda: "y:1" in there.snapshot.by_id)


def test_a_database_that_comes_late_and_one_that_restarts_are_followed(
    own_database: Database, catalogues: Catalogues
) -> None:
    own_database.options = "&serverSelectionTimeoutMS=300&heartbeatFrequencyMS=500"
    here, there = catalogues(own_database), catalogues(own_database)
    there.start()
    own_database.start()
    until(lambda: there.loaded)
    here.register(image("x:1"))
    until(lambda: "x:1" in there.snapshot.by_id)
    own_database.stop()
    own_database.start()
    until(lambda: here.load(force=True))
    here.register(image("y:1"))
    until(lambda: "y:1" in there.snapshot.by_id, 40)


def test_start_and_stop_may_come_twice_and_the_thread_ends(database: Database, catalogues: Catalogues) -> None:
    catalogue = catalogues(database)
    watching(catalogue)
    catalogue.start()
    named = [thread for thread in threading.enumerate() if thread.name == "catalogue-watcher"]
    assert len(named) == 1
    assert named[0].daemon
    catalogue.stop()
    catalogue.stop()
    assert not named[0].is_alive()
    watching(catalogue)


def test_on_a_standalone_server_the_ids_and_digests_are_compared(
    tmp_path: Path, datastores: Callable[[Database], DataStore], caplog: pytest.LogCaptureFixture
) -> None:
    server = Database(tmp_path, replica_set="").start()
    store = ImageStore(datastores(server))
    reloads: list[int] = []
    watcher = CatalogueWatcher(store, lambda: reloads.append(len(store.load())), poll_seconds=0.05)
    with caplog.at_level(logging.WARNING):
        watcher.start()
        until(lambda: reloads)
        with pymongo.MongoClient(server.url) as client:
            collection = client["applications"]["image"]
            collection.insert_one({"id": "x:1", "sha_id": "sha256:1", "name": "x"})
            until(lambda: reloads[-1] == 1)
            count = len(reloads)
            collection.update_one({"id": "x:1"}, {"$set": {"sha_id": "sha256:2"}})
            until(lambda: len(reloads) > count)
            collection.delete_one({"id": "x:1"})
            until(lambda: reloads[-1] == 0)
    watcher.stop()
    assert not watcher.alive
    assert caplog.text.count("no replica set") == 1
    server.stop()


def test_replicas_on_a_standalone_server_learn_of_every_change_from_the_shared_cache(
    tmp_path: Path, datastores: Callable[[Database], DataStore], memcached: MemcachedCache
) -> None:
    server = Database(tmp_path, replica_set="").start()
    here = ApplicationCatalogue(datastores(server), CatalogueSettings(), memcached)
    there = ApplicationCatalogue(datastores(server), CatalogueSettings(), memcached)
    # comparing alone would take an hour
    watcher = CatalogueWatcher(
        ImageStore(datastores(server)), there.reload, poll_seconds=3600, signal=ChangeSignal(memcached).read
    )
    watcher.start()
    until(lambda: there.builds > 0)
    here.register(image("x:1"))
    until(lambda: "x:1" in there.snapshot.by_id)
    here.register(image("x:1", cat="games"))  # the same digest
    until(lambda: there.snapshot.by_id["x:1"].cat == "games")
    here.replace(here.snapshot.by_id["x:1"], image("y:1"))
    until(lambda: list(there.snapshot.by_id) == ["y:1"])
    here.delete(here.snapshot.by_id["y:1"])
    until(lambda: len(there.snapshot) == 0)
    here.register_many([image("a:1"), image("b:1")])
    until(lambda: len(there.snapshot) == 2)
    here.delete_all()
    until(lambda: len(there.snapshot) == 0)
    watcher.stop()
    assert not watcher.alive
    server.stop()
