"""Bans on a real database: counting, asking, administration, indexes, and a database that is away."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo.collection import Collection

from oc.datastore import DataStore
from oc.errors import BadRequestError, UnavailableError
from oc.od.fail2ban import AWAY_SECONDS, REMEMBER_SECONDS, Fail2Ban, normal_address, normal_login
from oc.od.settings.stores import MongodbSettings

from .support import FakeClock


@dataclass(frozen=True)
class Config:
    enable: bool = True
    failsbeforeban: int = 3
    banexpireafterseconds: int = 600
    protectednetworks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()


class CountingStore:
    """Hands on to a data store and counts how often it is used."""

    def __init__(self, store: DataStore) -> None:
        self.store = store
        self.uses = 0

    def collection(self, database: str, name: str) -> Collection[dict[str, Any]]:
        return self.store.collection(database, name)

    def guard(self, database: str, doing: str = "") -> AbstractContextManager[None]:
        self.uses += 1
        return self.store.guard(database, doing)


@pytest.fixture
def bans(datastore: DataStore, now: FakeClock, clock: FakeClock) -> Fail2Ban:
    return Fail2Ban(datastore, Config(), now, clock)


@pytest.fixture
def now() -> FakeClock:
    """The time of day; the database's own clock sweeps expired entries, so it is the real one."""
    return FakeClock(datetime.datetime.now(datetime.UTC).timestamp())


def fail(count: int, call: Callable[[str], object], ident: str) -> None:
    for _ in range(count):
        call(ident)


def test_a_source_is_banned_at_the_threshold(bans: Fail2Ban) -> None:
    fail(2, bans.fail_ip, "192.0.2.1")
    assert not bans.is_banned_ip("192.0.2.1")
    bans.fail_ip("192.0.2.1")
    assert bans.is_banned_ip("192.0.2.1")
    assert not bans.is_banned_ip("192.0.2.2")


def test_a_login_is_banned_in_any_case(bans: Fail2Ban) -> None:
    for login in ("Fry@PlanetExpress.com", " fry@planetexpress.com ", "FRY@PLANETEXPRESS.COM"):
        bans.fail_login(login)
    assert bans.is_banned_login("fry@planetexpress.com")
    assert not bans.is_banned_login("leela@planetexpress.com")


def test_addresses_and_logins_are_apart(bans: Fail2Ban) -> None:
    fail(3, bans.fail_login, "192.0.2.1")
    assert not bans.is_banned_ip("192.0.2.1")


@pytest.mark.parametrize(
    "spellings", [("2001:DB8::1", "2001:db8:0:0::1", " 2001:db8::1"), ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7 ")]
)
def test_spellings_of_one_address_are_one_source(bans: Fail2Ban, spellings: tuple[str, ...]) -> None:
    for spelling in spellings:
        bans.fail_ip(spelling)
    assert all(bans.is_banned_ip(spelling) for spelling in spellings)


def test_a_ban_ends_after_its_time_even_before_the_server_sweeps(
    bans: Fail2Ban, now: FakeClock, clock: FakeClock
) -> None:
    fail(3, bans.fail_ip, "192.0.2.1")
    assert bans.is_banned_ip("192.0.2.1")
    now.advance(599)
    clock.advance(599)
    assert bans.is_banned_ip("192.0.2.1")
    now.advance(2)
    clock.advance(2)
    assert not bans.is_banned_ip("192.0.2.1")
    assert bans.list("ipaddr") == []


def test_each_failure_extends_the_time(bans: Fail2Ban, now: FakeClock, clock: FakeClock) -> None:
    fail(3, bans.fail_ip, "192.0.2.1")
    for time in (now, clock):
        time.advance(500)
    bans.fail_ip("192.0.2.1")
    for time in (now, clock):
        time.advance(500)
    assert bans.is_banned_ip("192.0.2.1")


def test_failures_at_once_are_all_counted(bans: Fail2Ban) -> None:
    """Also the first ones, which all want to create the entry."""
    threads = [threading.Thread(target=fail, args=(5, bans.fail_ip, "192.0.2.1")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert bans.find("ipaddr", "192.0.2.1")["count"] == 40


def test_protected_networks_are_never_counted_nor_banned(datastore: DataStore, now: FakeClock) -> None:
    networks = (ipaddress.ip_network("192.168.1.0/24"), ipaddress.ip_network("fd00::/8"))
    bans = Fail2Ban(datastore, Config(protectednetworks=networks), now)
    for address in ("192.168.1.9", "::ffff:192.168.1.9", "fd00::1"):
        fail(5, bans.fail_ip, address)
        assert bans.find("ipaddr", address)["count"] == 0
        bans.ban("ipaddr", address)
        assert not bans.is_banned_ip(address)
        bans.unban("ipaddr", address)
    fail(3, bans.fail_ip, "192.168.2.9")
    assert bans.is_banned_ip("192.168.2.9")


def test_switched_off_it_never_touches_the_database_but_administration_works(
    datastore: DataStore, now: FakeClock
) -> None:
    store = CountingStore(datastore)
    bans = Fail2Ban(store, Config(enable=False), now)
    fail(5, bans.fail_ip, "192.0.2.1")
    fail(5, bans.fail_login, "fry")
    assert not bans.is_banned_ip("192.0.2.1")
    assert not bans.is_banned_login("fry")
    assert store.uses == 0
    bans.ban("login", "fry")
    assert [entry["id"] for entry in bans.list("login")] == ["fry"]
    assert not bans.is_banned_login("fry")


def test_an_answer_is_remembered_for_a_moment(datastore: DataStore, now: FakeClock, clock: FakeClock) -> None:
    store = CountingStore(datastore)
    bans = Fail2Ban(store, Config(), now, clock)
    for _ in range(10):
        assert not bans.is_banned_ip("192.0.2.1")
    assert store.uses == 1
    other_replica = Fail2Ban(datastore, Config(), now, clock)
    other_replica.ban("ipaddr", "192.0.2.1")
    clock.advance(REMEMBER_SECONDS)
    assert bans.is_banned_ip("192.0.2.1")
    assert store.uses == 2


def test_one_s_own_changes_are_seen_at_once(bans: Fail2Ban) -> None:
    assert not bans.is_banned_login("fry")
    bans.ban("login", "fry")
    assert bans.is_banned_login("fry")
    bans.unban("login", "fry")
    assert not bans.is_banned_login("fry")
    bans.ban("login", "fry")
    assert bans.is_banned_login("fry")
    bans.drop("login")
    assert not bans.is_banned_login("fry")


@pytest.mark.parametrize("text", ["", "x", "10.0.0", "10.0.0.1; drop", "1" * 1000, "$where"])
def test_what_is_no_address_is_not_counted(bans: Fail2Ban, text: str) -> None:
    bans.fail_ip(text)
    assert not bans.is_banned_ip(text)
    with pytest.raises(BadRequestError):
        bans.ban("ipaddr", text)


@pytest.mark.parametrize("text", ["", "  ", "x" * 257, "a\nb", "\0", "x" * 100_000])
def test_what_is_no_login_is_not_counted(bans: Fail2Ban, text: str) -> None:
    bans.fail_login(text)
    assert not bans.is_banned_login(text)
    for call in (bans.ban, bans.find, bans.unban):
        with pytest.raises(BadRequestError):
            call("login", text)


def test_normal_forms() -> None:
    assert normal_address("fe80::1%eth0") == "fe80::1"
    assert normal_login("DOMAIN\\Fry") == "domain\\fry"
    assert normal_login("Straße") == normal_login("STRASSE")


# --- administration ---------------------------------------------------------------------------------------------------


def test_banning_tells_whether_the_entry_was_new(bans: Fail2Ban) -> None:
    assert bans.ban("login", "fry") == {"n": 1, "Inserted": 1, "ok": 1.0, "updatedExisting": False}
    assert bans.ban("login", "FRY") == {"n": 1, "nModified": 1, "ok": 1.0, "updatedExisting": True}


def test_a_ban_raises_the_count_but_never_lowers_it(bans: Fail2Ban) -> None:
    bans.fail_ip("192.0.2.1")
    bans.ban("ipaddr", "192.0.2.1")
    assert bans.find("ipaddr", "192.0.2.1")["count"] == 3
    fail(4, bans.fail_ip, "192.0.2.1")
    bans.ban("ipaddr", "192.0.2.1")
    assert bans.find("ipaddr", "192.0.2.1")["count"] == 7


def test_the_list_holds_bans_only(bans: Fail2Ban, now: FakeClock) -> None:
    fail(2, bans.fail_ip, "192.0.2.1")
    bans.ban("ipaddr", "2001:db8::1")
    [entry] = bans.list("ipaddr")
    date = entry.pop("date")
    assert entry == {"id": "2001:db8::1", "count": 3, "banexpireAfterSeconds": 600}
    assert abs(datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.UTC).timestamp() - now.now) < 0.01
    assert "+" not in date


def test_an_entry_is_described_also_below_the_threshold_and_when_absent(bans: Fail2Ban) -> None:
    bans.fail_login("fry")
    entry = bans.find("login", "Fry")
    assert (entry["id"], entry["count"], entry["isban"], entry["banexpireAfterSeconds"]) == ("fry", 1, False, 600)
    assert bans.find("login", "leela") == {
        "id": "leela",
        "count": 0,
        "date": None,
        "banexpireAfterSeconds": 600,
        "isban": False,
    }
    bans.ban("login", "leela")
    assert bans.find("login", "leela")["isban"] is True


def test_unbanning_tells_how_many_were_deleted(bans: Fail2Ban) -> None:
    bans.ban("login", "fry")
    assert bans.unban("login", "fry") == {"n": 1, "ok": 1.0}
    assert bans.unban("login", "fry") == {"n": 0, "ok": 1.0}


@pytest.mark.parametrize("collection", ["", "ip", "logins", "system.users", "ipaddr.x"])
def test_other_collections_are_refused(bans: Fail2Ban, collection: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: bans.list(collection),
        lambda: bans.drop(collection),
        lambda: bans.find(collection, "fry"),
        lambda: bans.ban(collection, "fry"),
        lambda: bans.unban(collection, "fry"),
    ]
    for call in calls:
        with pytest.raises(BadRequestError) as caught:
            call()
        assert caught.value.message == "Invalid type parameters Bad Request"


# --- indexes ----------------------------------------------------------------------------------------------------------


def indexes(datastore: DataStore, name: str = "login") -> dict[str, Any]:
    information = datastore.collection("fail2ban", name).index_information()
    return {index["key"][0][0]: index for index in information.values()}


def test_entries_are_unique_and_expire(bans: Fail2Ban, datastore: DataStore) -> None:
    bans.ban("login", "fry")
    found = indexes(datastore)
    assert found["id"]["unique"] is True
    assert found["date"]["expireAfterSeconds"] == 600


def test_an_index_of_another_configuration_is_replaced(datastore: DataStore, now: FakeClock) -> None:
    Fail2Ban(datastore, Config(), now).ban("login", "fry")
    Fail2Ban(datastore, Config(banexpireafterseconds=60), now).ban("login", "leela")
    assert indexes(datastore)["date"]["expireAfterSeconds"] == 60
    assert {entry["id"] for entry in Fail2Ban(datastore, Config(), now).list("login")} == {"fry", "leela"}


def test_an_old_index_that_is_not_unique_is_replaced(datastore: DataStore, now: FakeClock) -> None:
    datastore.collection("fail2ban", "login").create_index("id")
    Fail2Ban(datastore, Config(), now).ban("login", "fry")
    assert indexes(datastore)["id"]["unique"] is True


def test_doubled_entries_of_an_older_version_do_not_stop_the_counting(datastore: DataStore, now: FakeClock) -> None:
    datastore.collection("fail2ban", "login").insert_many([{"id": "fry", "count": 1}, {"id": "fry", "count": 1}])
    bans = Fail2Ban(datastore, Config(), now)
    bans.fail_login("fry")
    assert bans.find("login", "fry")["count"] == 1


def test_after_dropping_the_indexes_are_there_again(bans: Fail2Ban, datastore: DataStore) -> None:
    bans.ban("login", "fry")
    assert bans.drop("login") is None
    assert bans.list("login") == []
    assert set(indexes(datastore)) == {"_id", "id", "date"}


@pytest.mark.parametrize("document", [{"count": "many"}, {"count": 9}, {"count": 9, "date": "yesterday"}, {}])
def test_a_damaged_entry_bans_nobody(bans: Fail2Ban, datastore: DataStore, document: dict[str, Any]) -> None:
    datastore.collection("fail2ban", "login").insert_one({"id": "fry", **document})
    assert not bans.is_banned_login("fry")
    assert bans.find("login", "fry")["isban"] is False


# --- database away ----------------------------------------------------------------------------------------------------


@pytest.fixture
def away() -> Any:
    store = DataStore(MongodbSettings(url="mongodb://127.0.0.1:1", param="serverSelectionTimeoutMS=50"))
    yield CountingStore(store)
    store.close()


def test_while_the_database_is_away_nobody_is_banned_and_few_calls_try(
    away: CountingStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    bans = Fail2Ban(away, Config(), clock, clock)
    for _ in range(50):
        bans.fail_ip("192.0.2.1")
        assert not bans.is_banned_ip("192.0.2.1")
        assert not bans.is_banned_login("fry")
    assert away.uses == 1
    clock.advance(AWAY_SECONDS)
    assert not bans.is_banned_ip("192.0.2.1")
    assert away.uses == 2
    assert sum("nobody is banned" in record.getMessage() for record in caplog.records) == 1


def test_administration_says_that_the_database_is_away(away: CountingStore) -> None:
    with pytest.raises(UnavailableError):
        Fail2Ban(away, Config()).list("login")


def test_when_the_database_is_back_bans_apply_again(
    datastore: DataStore, away: CountingStore, now: FakeClock, clock: FakeClock
) -> None:
    bans = Fail2Ban(away, Config(), now, clock)
    bans.fail_login("fry")
    away.store = datastore
    clock.advance(AWAY_SECONDS)
    fail(3, bans.fail_login, "fry")
    assert bans.is_banned_login("fry")
