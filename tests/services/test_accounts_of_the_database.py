"""The deployed way: one account, made once in each database, allowed to read and write there and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pymongo
import pytest

from oc.datastore import DataStore
from oc.errors import UnavailableError
from oc.od.apps import ApplicationCatalogue
from oc.od.settings.stores import MongodbSettings
from tests.waiting import until

from .images import image
from .peers import Database

PASSWORD = "p@ss/w0rd"
DATABASES = MongodbSettings().databases


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A server that asks for accounts, with ``pyos`` in each database but ``image``."""
    server = Database(tmp_path_factory.mktemp("guarded")).start()
    try:
        with pymongo.MongoClient(server.url, replicaSet="rs0") as client:
            for name in DATABASES:
                if name != "image":
                    client[name].command("createUser", "pyos", pwd=PASSWORD, roles=[{"role": "readWrite", "db": name}])
        server.stop()
        server.require_auth = True
        server.account = "pyos:p%40ss%2Fw0rd@"
        yield server.start()
    finally:
        server.stop()


def test_each_database_is_used_with_the_account_it_holds(
    guarded: Database, datastores: Callable[[Database], DataStore]
) -> None:
    datastore = datastores(guarded)
    for name in DATABASES:
        if name != "image":
            assert datastore.set(name, "fry", "dock", [name])
            assert datastore.get(name, "fry", "dock") == [name]
            assert "fry" in datastore.list_collections(name)
            assert datastore.ping(name)


def test_the_catalogue_is_kept_and_followed_with_that_account(
    guarded: Database, catalogues: Callable[[Database], ApplicationCatalogue]
) -> None:
    here, there = catalogues(guarded), catalogues(guarded)
    there.start()
    until(lambda: there.loaded)
    here.register(image("x:1"))
    until(lambda: "x:1" in there.snapshot.by_id)


def test_a_database_without_the_account_is_unavailable(
    guarded: Database, datastores: Callable[[Database], DataStore]
) -> None:
    datastore = datastores(guarded)
    assert datastore.ping("image") is False
    assert datastore.ping("profiles") is True


def test_a_wrong_password_is_unavailable_and_in_no_text(
    guarded: Database,
    datastores: Callable[[Database], DataStore],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guarded, "account", "pyos:hunter2hunter2@")
    datastore = datastores(guarded)
    with caplog.at_level(logging.DEBUG, logger="oc"), pytest.raises(UnavailableError) as refusal:
        datastore.get("profiles", "fry", "dock")
    assert "refuses our account" in caplog.text
    assert "hunter2" not in caplog.text + str(refusal.value)
