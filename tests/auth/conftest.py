"""Fixtures of the authentication tests: keys of every size an installation may have, a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.stack import Stack
from oc.datastore import DataStore
from oc.od.settings.stores import MongodbSettings

from .support import FakeClock, KeyFiles, make_keys


@pytest.fixture(scope="session")
def key_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def signing(key_directory: Path) -> KeyFiles:
    return make_keys(key_directory, "signing", 2048)


@pytest.fixture(scope="session")
def foreign(key_directory: Path) -> KeyFiles:
    return make_keys(key_directory, "foreign", 2048)


@pytest.fixture(scope="session")
def payload_keys(key_directory: Path) -> dict[int, KeyFiles]:
    return {bits: make_keys(key_directory, f"payload{bits}", bits) for bits in (512, 1024, 2048)}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A database of the development stack, with the product's account and rights."""
    with Stack(tmp_path_factory.mktemp("database"), parts={"database"}) as stack:
        yield stack


@pytest.fixture
def datastore(database: Stack) -> Iterator[DataStore]:
    """Connections to the database; the collections of fail2ban are gone, with their indexes."""
    assert database.mongodb_url is not None
    store = DataStore(MongodbSettings(url=database.mongodb_url, param=database.mongodb_parameters))
    for name in ("ipaddr", "login"):
        store.drop_collection("fail2ban", name)
    yield store
    store.close()
