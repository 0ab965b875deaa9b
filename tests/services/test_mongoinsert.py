"""Many documents in few requests, whatever the server can, and again when the answer was lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymongo
import pytest
from bson import ObjectId

from oc.datastore import DataStore
from oc.errors import ODError, UnavailableError

from .peers import Commands, Database


@pytest.fixture(params=["bulkWrite", "insert"])
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What several collections are written with: by a server of version 8.0 and by an older one."""
    if request.param == "insert":
        monkeypatch.setattr("oc.mongoinsert._BULK_WRITE_VERSION", 1_000_000)
    return str(request.param)


def documents(count: int = 3, collections: int = 2) -> dict[str, list[dict[str, Any]]]:
    return {f"c{name}": [{"_id": ObjectId(), "n": n} for n in range(count)] for name in range(collections)}


def numbers(datastore: DataStore, collections: int = 2) -> list[list[int]]:
    return [[one["n"] for one in datastore.get_collection("desktop", f"c{name}")] for name in range(collections)]


def test_documents_of_several_collections_are_inserted_in_their_order(
    command: str, commands: Commands, database: Database, datastores: Callable[[Database], DataStore]
) -> None:
    datastore = datastores(database)
    assert datastore.ping("desktop")  # by now the driver knows the server
    datastore.add_all("desktop", documents())
    assert numbers(datastore) == [[0, 1, 2], [0, 1, 2]]
    assert commands.names.count(command) == (1 if command == "bulkWrite" else 2)


def test_a_first_request_serves_several_collections(datastore: DataStore) -> None:
    datastore.add_all("desktop", documents())
    assert numbers(datastore) == [[0, 1, 2], [0, 1, 2]]


def test_what_is_there_already_counts_as_inserted_and_the_rest_is_added(command: str, datastore: DataStore) -> None:
    several = documents()
    datastore.add_all("desktop", {"c0": several["c0"][1:2]})
    datastore.add_all("desktop", several)
    datastore.add_all("desktop", several)
    assert [sorted(one) for one in numbers(datastore)] == [[0, 1, 2], [0, 1, 2]]


def test_a_refused_document_is_said_even_among_some_that_are_there(
    command: str, database: Database, datastore: DataStore
) -> None:
    with pymongo.MongoClient(database.url, replicaSet="rs0") as client:
        client["desktop"].create_collection("c1", validator={"n": {"$ne": 1}})
    several = documents()
    datastore.add_all("desktop", {"c0": several["c0"]})
    with pytest.raises(ODError) as refusal:
        datastore.add_all("desktop", several)
    assert not isinstance(refusal.value, UnavailableError)
    assert numbers(datastore) == [[0, 1, 2], [0, 2]]


def test_a_server_that_went_away_is_unavailable(
    command: str, own_database: Database, datastores: Callable[[Database], DataStore]
) -> None:
    own_database.options = "&serverSelectionTimeoutMS=300"
    datastore = datastores(own_database.start())
    datastore.add_all("desktop", documents())
    own_database.stop()
    with pytest.raises(UnavailableError):
        datastore.add_all("desktop", documents())


def test_the_account_of_a_database_may_write_several_collections_of_it_in_one_request(
    own_database: Database, commands: Commands, datastores: Callable[[Database], DataStore]
) -> None:
    own_database.start()
    with pymongo.MongoClient(own_database.url, replicaSet="rs0") as client:
        client["desktop"].command("createUser", "pyos", pwd="x", roles=[{"role": "readWrite", "db": "desktop"}])
    own_database.stop()
    own_database.require_auth, own_database.account = True, "pyos:x@"
    datastore = datastores(own_database.start())
    assert datastore.ping("desktop")
    datastore.add_all("desktop", documents())
    assert numbers(datastore) == [[0, 1, 2], [0, 1, 2]]
    assert "bulkWrite" in commands.names
