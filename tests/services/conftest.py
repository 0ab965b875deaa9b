"""Fixtures: a database and a memcached shared by the tests of a run, and the objects built on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

import oc.datastore
from devstack import cache
from oc.datastore import DataStore
from oc.od.apps import ApplicationCatalogue
from oc.od.settings.front import DockSettings
from oc.od.settings.stores import MongodbSettings
from oc.sharecache import LocalCache, MemcachedCache

from .peers import Commands, Database, Memcached


@dataclasses.dataclass(frozen=True)
class KubernetesPart:
    namespace: str = "abcdesktop"


@dataclasses.dataclass(frozen=True)
class CatalogueSettings:
    """The part of the settings a catalogue reads."""

    kubernetes: KubernetesPart = KubernetesPart()
    dock: DockSettings = dataclasses.field(default_factory=lambda: DockSettings(entries={}))


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    server = Database(tmp_path_factory.mktemp("database")).start()
    yield server
    server.stop()


@pytest.fixture
def database(database_server: Database) -> Database:
    """The shared server, with every collection of earlier tests gone."""
    with pymongo.MongoClient(database_server.url, replicaSet="rs0") as client:
        for name in MongodbSettings().databases:
            for collection in client[name].list_collection_names():
                client[name].drop_collection(collection)
    return database_server


@pytest.fixture
def datastores() -> Iterator[Callable[[Database], DataStore]]:
    """Makes data stores that are closed after the test."""
    made: list[DataStore] = []

    def make(server: Database, **options: Any) -> DataStore:
        made.append(DataStore(MongodbSettings(url=server.url, param=server.param), **options))
        return made[-1]

    yield make
    for datastore in made:
        datastore.close()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """What the data stores made after it send."""
    listener = Commands()
    monkeypatch.setattr("oc.datastore._OPTIONS", {**oc.datastore._OPTIONS, "event_listeners": [listener]})
    return listener


@pytest.fixture
def datastore(database: Database, datastores: Callable[[Database], DataStore]) -> DataStore:
    return datastores(database)


@pytest.fixture
def own_database(tmp_path: Path) -> Iterator[Database]:
    """A server of this test alone, not started, which it may kill."""
    server = Database(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def catalogues(datastores: Callable[[Database], DataStore]) -> Iterator[Callable[[Database], ApplicationCatalogue]]:
    """Makes catalogues, each with its own connections as a replica has; stopped after the test."""
    made: list[ApplicationCatalogue] = []

    def make(server: Database) -> ApplicationCatalogue:
        made.append(ApplicationCatalogue(datastores(server), CatalogueSettings(), LocalCache()))
        return made[-1]

    yield make
    for catalogue in made:
        catalogue.stop()


@pytest.fixture
def catalogue(database: Database, catalogues: Callable[[Database], ApplicationCatalogue]) -> ApplicationCatalogue:
    return catalogues(database)


@pytest.fixture(scope="session")
def memcached_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memcached]:
    if not cache.is_available():
        pytest.skip("memcached is not installed")
    server = Memcached(tmp_path_factory.mktemp("memcached")).start()
    yield server
    server.stop()


@pytest.fixture
def own_memcached(tmp_path: Path) -> Iterator[Memcached]:
    """A memcached of this test alone, not started, which it may kill."""
    if not cache.is_available():
        pytest.skip("memcached is not installed")
    server = Memcached(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def memcached(memcached_server: Memcached) -> Iterator[MemcachedCache]:
    cache_client = MemcachedCache("127.0.0.1", memcached_server.port)
    yield cache_client
    cache_client.close()
