"""The history of logins and desktops."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator

import pytest

from oc.datastore import DataStore
from oc.model.identity import ClientInfo, Identity
from oc.od.history import History
from oc.od.settings import HistorySettings
from tests.waiting import until

from .peers import Database

FRY = Identity("planet", "ldap", "fry", "Philip J. Fry", labels={"shipcrew": "true"})
BROWSER = ClientInfo("10.244.0.1", useragent="Mozilla/5.0")
NOON = datetime.datetime(2026, 5, 5, 12)
PLACE = {"accuracy": 14.9, "latitude": 48.85, "longitude": 2.37}


@pytest.fixture
def history(datastore: DataStore) -> Iterator[History]:
    made = History(datastore, now=lambda: NOON)
    yield made
    made.stop()


def test_a_login_is_kept_with_the_fields_of_the_user_and_the_browser(history: History, datastore: DataStore) -> None:
    attributes = {
        "mail": ["fry@planetexpress.com", "other@x"],
        "objectClass": [b"person", "inetOrgPerson"],
        "geolocation": {**PLACE, "evil": {"$where": 1}},
        "jpegPhoto": b"...",
    }
    history.login(FRY, BROWSER, attributes)
    assert history.flush(10)
    (kept,) = datastore.get_collection("loginHistory", "fry")
    kept.pop("_id")
    assert kept == {
        "userid": "fry",
        "name": "Philip J. Fry",
        "mail": "fry@planetexpress.com",
        "geolocation": PLACE,
        "objectClass": ["person", "inetOrgPerson"],
        "labels": {"shipcrew": "true"},
        "provider": "planet",
        "providertype": "ldap",
        "date": "2026-05-05 12:00:00",
        "useragent": "Mozilla/5.0",
        "ipaddr": "10.244.0.1",
        "type": "login",
    }


def test_a_desktop_that_starts_and_one_that_is_collected_are_kept(history: History, datastore: DataStore) -> None:
    history.desktop(FRY, BROWSER, "start", "fry-abcde", "node1")
    history.desktop(FRY, None, "stop", "fry-abcde", "node1", True)
    assert history.flush(10)
    start, stop = datastore.get_collection("desktop", "history")
    assert (start["eventtype"], start["isgarbaged"], start["useragent"]) == ("start", None, "Mozilla/5.0")
    assert (stop["eventtype"], stop["isgarbaged"], stop["ipaddr"]) == ("stop", True, None)
    assert (stop["desktop_id"], stop["node"], stop["type"], stop["userid"]) == ("fry-abcde", "node1", "desktop", "fry")


def test_strange_attributes_never_raise(history: History, datastore: DataStore) -> None:
    for attributes in ({"mail": 3, "objectClass": {}, "geolocation": "x"}, {"geolocation": {"latitude": 10**400}}, {}):
        history.login(FRY, BROWSER, attributes)
    history.login(Identity("p", "t", "", ""), BROWSER, {})
    history.login(Identity("p", "t", "a$b", "\ud800"), BROWSER, {"mail": "\ud800"})
    assert history.flush(10)
    assert [item["mail"] for item in datastore.get_collection("loginHistory", "fry")] == [None] * 3


def test_records_wait_for_a_database_that_is_away(own_database: Database, datastores: Callable[..., DataStore]) -> None:
    datastore = datastores(own_database)
    history = History(datastore, retry_seconds=0.05)
    history.login(FRY, BROWSER, {})
    history.desktop(FRY, BROWSER, "start", "fry-abcde", "node1")
    assert not history.flush(0.1)
    own_database.start()
    assert history.flush(20)
    assert len(datastore.get_collection("loginHistory", "fry")) == 1
    assert len(datastore.get_collection("desktop", "history")) == 1
    history.stop()


def test_too_many_waiting_records_are_dropped_and_said(
    own_database: Database, datastores: Callable[..., DataStore], caplog: pytest.LogCaptureFixture
) -> None:
    history = History(datastores(own_database), max_waiting=3)
    with caplog.at_level(logging.ERROR):
        for _ in range(10):
            history.login(FRY, BROWSER, {})
    assert "history records are dropped" in caplog.text
    history.stop(0.1)


def test_stop_writes_what_waits_and_records_may_come_again(datastore: DataStore) -> None:
    history = History(datastore)
    history.stop()
    history.login(FRY, BROWSER, {})
    history.stop()
    assert len(datastore.get_collection("loginHistory", "fry")) == 1
    history.login(FRY, BROWSER, {})
    until(lambda: len(datastore.get_collection("loginHistory", "fry")) == 2)
    history.stop()


# --- retention --------------------------------------------------------------------------------------------------------


def indexes(datastore: DataStore, database: str, collection: str) -> dict[str, int | None]:
    found = datastore.collection(database, collection).index_information()
    return {name: index.get("expireAfterSeconds") for name, index in found.items() if name != "_id_"}


def keep(datastore: DataStore, seconds: int | None) -> None:
    history = History(datastore, HistorySettings(retention=seconds))
    history.login(FRY, BROWSER, {})
    history.desktop(FRY, BROWSER, "start", "fry-abcde", "node1")
    assert history.flush(10)
    history.stop()


def test_without_a_retention_records_stay_for_ever(datastore: DataStore) -> None:
    keep(datastore, None)
    assert indexes(datastore, "loginHistory", "fry") == {}
    assert indexes(datastore, "desktop", "history") == {}


def test_a_retention_lets_the_database_delete_old_records(datastore: DataStore) -> None:
    keep(datastore, 86400)
    assert indexes(datastore, "loginHistory", "fry") == {"pyos_retention": 86400}
    assert indexes(datastore, "desktop", "history") == {"pyos_retention": 86400}
    assert len(datastore.get_collection("loginHistory", "fry")) == 1


def test_another_retention_replaces_the_first(datastore: DataStore) -> None:
    keep(datastore, 86400)
    keep(datastore, 3600)
    assert indexes(datastore, "loginHistory", "fry") == {"pyos_retention": 3600}


def test_a_retention_that_was_taken_away_ends(datastore: DataStore) -> None:
    keep(datastore, 86400)
    keep(datastore, None)
    assert indexes(datastore, "loginHistory", "fry") == {}
    assert len(datastore.get_collection("loginHistory", "fry")) == 2


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [(None, [("loginHistory", "fry"), ("desktop", "history")]), (60, [("loginHistory", "7d4a0f0e-5a0b")])],
    ids=["for ever", "a minute"],
)
def test_a_generated_id_costs_one_round_trip_unless_its_record_is_to_end(
    datastore: DataStore, monkeypatch: pytest.MonkeyPatch, seconds: int | None, asked: list[tuple[str, str]]
) -> None:
    looked_at: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "oc.od.retention.Retention._set", lambda _, database, collection: looked_at.append((database, collection))
    )
    history = History(datastore, HistorySettings(retention=seconds))
    history.login(Identity("anonymous", "anonymous", "7d4a0f0e-5a0b", "anonymous"), BROWSER, {})
    if seconds is None:
        history.login(FRY, BROWSER, {})
        history.desktop(FRY, BROWSER, "start", "fry-abcde", "node1")
    assert history.flush(10)
    history.stop()
    assert looked_at == asked
    assert len(datastore.get_collection("loginHistory", "7d4a0f0e-5a0b")) == 1


def test_logins_of_generated_ids_may_be_left_out(datastore: DataStore) -> None:
    nobody = Identity("anonymous", "anonymous", "7d4a0f0e-5a0b", "anonymous")
    history = History(datastore, HistorySettings(anonymous=False))
    history.login(nobody, BROWSER, {})
    history.login(FRY, BROWSER, {})
    history.desktop(nobody, BROWSER, "start", "anonymous-abcde", "node1")
    assert history.flush(10)
    history.stop()
    assert datastore.list_collections("loginHistory") == ["fry"]
    assert len(datastore.get_collection("desktop", "history")) == 1
    history = History(datastore)
    history.login(nobody, BROWSER, {})
    assert history.flush(10)
    history.stop()
    assert len(datastore.list_collections("loginHistory")) == 2
