"""The history of logins and desktops."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest

from oc.datastore import DataStore
from oc.errors import UnavailableError
from oc.model.identity import ClientInfo, Identity
from oc.od.history import History
from oc.od.settings import HistorySettings
from tests.waiting import until

from .peers import Commands, Database

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
    assert history.dropped == 1
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


def test_too_many_waiting_records_are_dropped_counted_and_said(
    own_database: Database, datastores: Callable[..., DataStore], caplog: pytest.LogCaptureFixture
) -> None:
    history = History(datastores(own_database), max_waiting_bytes=1500)
    with caplog.at_level(logging.ERROR):
        history.login(Identity("p", "t", "bad", "\ud800"), BROWSER, {})
        for _ in range(10):
            history.login(FRY, BROWSER, {})
    assert caplog.text.count("history records are dropped") == 1
    assert 0 < history.waiting < 10
    assert history.waiting + history.dropped == 11
    history.stop(0.1)


def desktops_stop(history: History, count: int) -> list[str]:
    names = [f"fry-{number}" for number in range(count)]
    for name in names:
        history.desktop(FRY, None, "stop", name, "node1", True)
    return names


def names_kept(datastore: DataStore) -> list[str]:
    return [item["desktop_id"] for item in datastore.get_collection("desktop", "history")]


def test_a_purge_of_ten_thousand_desktops_loses_nothing_and_asks_little(
    database: Database, datastores: Callable[..., DataStore], commands: Commands
) -> None:
    datastore = datastores(database)
    history = History(datastore)
    names = desktops_stop(history, 10_000)
    assert history.flush(60)
    history.stop()
    assert history.dropped == 0
    assert names_kept(datastore) == names
    assert commands.names.count("insert") < 1000  # 20 would do; how many depends on who is faster


def test_records_that_wait_go_many_in_a_request_in_their_order(
    own_database: Database, datastores: Callable[..., DataStore], commands: Commands
) -> None:
    datastore = datastores(own_database)
    history = History(datastore, retry_seconds=0.05)
    history.login(FRY, BROWSER, {})
    assert not history.flush(0.1)  # this one is in hand
    names = desktops_stop(history, 1200)
    for number in range(100):
        history.login(Identity("anonymous", "anonymous", f"guest-{number}", "Anonymous"), BROWSER, {})
    assert history.waiting == 1301
    own_database.start()
    assert history.flush(30)
    history.stop()
    assert names_kept(datastore) == names
    assert len(datastore.list_collections("loginHistory")) == 101
    assert commands.names.count("insert") + commands.names.count("bulkWrite") == 5


def test_a_record_that_comes_alone_is_written_at_once(
    history: History, datastore: DataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oc.od.history.PAUSE_SECONDS", 3600)
    history.desktop(FRY, BROWSER, "start", "fry-abcde", "node1")
    assert history.flush(10)
    assert names_kept(datastore) == ["fry-abcde"]


def test_a_batch_whose_answer_was_lost_is_stored_once(datastore: DataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    insert, answers = datastore.add_all, iter([False])

    def losing_the_first_answer(*arguments: Any) -> None:
        insert(*arguments)
        if not next(answers, True):
            desktops_stop(history, 3)  # what comes meanwhile goes with the second attempt or later
            raise UnavailableError("the database is not available")

    monkeypatch.setattr(datastore, "add_all", losing_the_first_answer)
    history = History(datastore, retry_seconds=0.01)
    history.desktop(FRY, BROWSER, "start", "fry-abcde", "node1")
    assert history.flush(10)
    history.stop()
    assert names_kept(datastore) == ["fry-abcde", "fry-0", "fry-1", "fry-2"]


def test_a_record_the_database_refuses_takes_no_other_with_it(
    history: History, database: Database, datastore: DataStore, caplog: pytest.LogCaptureFixture
) -> None:
    with pymongo.MongoClient(database.url, replicaSet="rs0") as client:
        client["desktop"].create_collection("history", validator={"desktop_id": {"$ne": "fry-5"}})
    with caplog.at_level(logging.ERROR):
        names = desktops_stop(history, 10)
        assert history.flush(30)
    assert names_kept(datastore) == [name for name in names if name != "fry-5"]
    assert history.dropped == 1
    assert caplog.text.count("a record of desktop is not kept in the history") == 1


def test_records_not_written_at_a_stop_are_written_when_others_come(
    own_database: Database, datastores: Callable[..., DataStore], caplog: pytest.LogCaptureFixture
) -> None:
    own_database.options = "&serverSelectionTimeoutMS=200&heartbeatFrequencyMS=500"
    datastore = datastores(own_database)
    history = History(datastore, retry_seconds=0.05)
    desktops_stop(history, 2)
    with caplog.at_level(logging.WARNING):
        history.stop(0.1)
    assert "2 history records are lost" in caplog.text
    until(lambda: not any(thread.name == "history" for thread in threading.enumerate()))
    own_database.start()
    history.desktop(FRY, BROWSER, "start", "fry-abcde", "node1")
    assert history.flush(30)
    history.stop()
    assert names_kept(datastore) == ["fry-0", "fry-1", "fry-abcde"]


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
