"""The shared cache, on a real memcached and in the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.od.messageinfo import MAX_TEXT_CHARS, MessageInfo
from oc.od.settings.stores import MemcachedSettings
from oc.sharecache import LocalCache, MemcachedCache, ShareCache, legal_key, open_cache
from tests.waiting import until

from .peers import Memcached, closed_port, silent_port


class Clock:
    """Monotonic seconds that move when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memcached", "local"])
def shared(request: pytest.FixtureRequest) -> Iterator[ShareCache]:
    """Each kind of cache, empty."""
    if request.param == "local":
        yield LocalCache()
        return
    client: MemcachedCache = request.getfixturevalue("memcached")
    client._client.flush_all(noreply=False)
    yield client


def test_a_stored_text_is_read_back(shared: ShareCache) -> None:
    assert shared.get("k") is None
    assert shared.set("k", "naïve ✓", 60)
    assert shared.get("k") == "naïve ✓"
    assert shared.set("k", "", 60)
    assert shared.get("k") == ""


def test_delete_says_whether_there_was_something(shared: ShareCache) -> None:
    shared.set("k", "v", 60)
    assert shared.delete("k") is True
    assert shared.delete("k") is False
    assert shared.get("k") is None


def test_add_stores_only_for_the_first(shared: ShareCache) -> None:
    assert shared.add("lock", "one", 60) is True
    assert shared.add("lock", "two", 60) is False
    assert shared.get("lock") == "one"


def test_pop_gives_the_text_once_and_leaves_room_for_add(shared: ShareCache) -> None:
    shared.set("slot", "text", 60)
    assert shared.pop("slot") == "text"
    assert shared.pop("slot") is None
    assert shared.get("slot") is None
    assert shared.add("slot", "next", 60) is True


def test_of_many_readers_at_once_only_one_pops_the_text(shared: ShareCache) -> None:
    found: list[str] = []
    for number in range(20):
        shared.set("slot", str(number), 60)
        start = threading.Barrier(4)

        def read(start: threading.Barrier = start) -> None:
            start.wait()
            text = shared.pop("slot")
            if text is not None:
                found.append(text)

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert found == [str(number) for number in range(20)]


@pytest.mark.parametrize("key", ["two words", "x" * 1000, "ctrl\x00\n", "ü", "", "\ud800", "a\r\nflush_all\r\n"])
def test_a_key_memcached_would_refuse_works_and_stays_apart(shared: ShareCache, key: str) -> None:
    assert shared.set(key, "mine", 60)
    assert shared.set(key + "!", "other", 60)
    assert shared.get(key) == "mine"


def test_a_value_that_is_too_large_or_no_text_is_refused(shared: ShareCache) -> None:
    assert shared.set("big", "x" * (1024 * 1024 + 1), 60) is False
    assert shared.add("big", "x" * (1024 * 1024 + 1), 60) is None
    assert shared.set("bad", "\ud800", 60) is False
    assert shared.get("big") is None
    assert shared.set("large", "x" * (1024 * 1024 - 2048), 60) is True


def test_a_text_in_memcached_expires(memcached: MemcachedCache) -> None:
    memcached.set("short", "v", 1)
    memcached.set("long", "v", 10 * 365 * 24 * 3600)
    assert memcached.get("short") == "v"
    until(lambda: memcached.get("short") is None)
    assert memcached.get("long") == "v"


def test_a_text_in_the_process_expires_by_its_clock() -> None:
    clock = Clock()
    local = LocalCache(clock)
    local.set("k", "v", 60)
    local.set("forever", "v", 0)
    clock.now += 59.9
    assert local.get("k") == "v"
    assert local.add("k", "w", 60) is False
    clock.now += 0.2
    assert local.get("k") is None
    assert local.add("k", "w", 60) is True
    assert local.get("forever") == "v"


def test_the_cache_in_the_process_is_bounded_and_drops_expired_entries_first() -> None:
    clock = Clock()
    local = LocalCache(clock, max_entries=3)
    local.set("old", "v", 600)
    local.set("short", "v", 1)
    local.set("new", "v", 600)
    clock.now += 2
    local.set("a", "v", 600)
    assert [local.get(key) for key in ("old", "short", "new", "a")] == ["v", None, "v", "v"]
    local.set("b", "v", 600)
    assert [local.get(key) for key in ("old", "new", "a", "b")] == [None, "v", "v", "v"]


@given(st.text(max_size=300), st.text(max_size=300))
def test_legal_keys_are_legal_and_distinct(one: str, two: str) -> None:
    key = legal_key(one)
    assert 0 < len(key) <= 250
    assert key.isascii()
    assert not any(c.isspace() or not c.isprintable() for c in key)
    assert (legal_key(two) == key) == (one == two)


def test_a_key_that_looks_like_a_digest_cannot_take_the_place_of_another() -> None:
    assert legal_key(legal_key("two words")) != legal_key("two words")


class TestADeadServer:
    def test_a_refused_connection_answers_as_an_empty_cache_would(self) -> None:
        away = MemcachedCache("127.0.0.1", closed_port())
        assert away.available
        assert (away.get("k"), away.set("k", "v", 60), away.add("k", "v", 60)) == (None, False, None)
        assert (away.delete("k"), away.pop("k"), away.ping()) == (False, None, False)
        assert not away.available

    def test_a_name_that_does_not_resolve_is_a_server_that_is_away(self) -> None:
        away = MemcachedCache("no-such-host.invalid", 11211)
        assert away.set("k", "v", 60) is False
        assert not away.available

    def test_a_silent_server_costs_one_timeout_then_nothing_is_sent_until_the_retry(self) -> None:
        clock = Clock()
        with silent_port() as port:
            away = MemcachedCache("127.0.0.1", port, timeout=0.05, clock=clock)
            asked: list[str] = []
            original = away._client.get
            away._client.get = lambda key: asked.append(key) or original(key)
            for _ in range(5):
                assert away.get("k") is None
            assert len(asked) == 1
            clock.now += 29.9
            away.get("k")
            assert len(asked) == 1
            clock.now += 0.2
            away.get("k")
            away.get("k")
            assert len(asked) == 2

    def test_after_a_restart_pooled_connections_are_replaced_without_an_error(self, own_memcached: Memcached) -> None:
        client = MemcachedCache("127.0.0.1", own_memcached.start().port)
        start = threading.Barrier(6)

        def use() -> None:
            start.wait()
            for _ in range(20):
                client.set("k", "v", 60)

        users = [threading.Thread(target=use) for _ in range(6)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        own_memcached.stop()
        own_memcached.start()
        assert client.get("k") is None
        assert client.available
        assert client.set("k", "again", 60)
        assert client.get("k") == "again"
        client.close()

    def test_a_killed_server_is_found_again_after_the_retry_time(self, own_memcached: Memcached) -> None:
        clock = Clock()
        client = MemcachedCache("127.0.0.1", own_memcached.start().port, clock=clock)
        assert client.set("k", "v", 60)
        own_memcached.stop()
        assert client.get("k") is None
        assert not client.available
        own_memcached.start()
        assert client.set("k", "v", 60) is False
        clock.now += 31
        assert client.set("k", "v", 60) is True
        assert client.available
        client.close()

    def test_a_frozen_server_does_not_hold_anybody_longer_than_the_timeout(
        self, own_memcached: Memcached, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = MemcachedCache("127.0.0.1", own_memcached.start().port, timeout=0.1)
        client.set("k", "v", 60)
        with own_memcached.frozen():
            assert client.get("k") is None
            assert not client.available
        assert "is away (timed out)" in caplog.text
        client.close()


class TestMessages:
    def test_the_last_text_wins_and_is_read_once(self, shared: ShareCache) -> None:
        messages = MessageInfo(shared)
        assert messages.push("fry", "b.one")
        assert messages.push("fry", "c.two")
        assert messages.popflush("fry") == "c.two"
        assert messages.popflush("fry") is None

    def test_start_empties_the_slot_and_writes_its_text(self, shared: ShareCache) -> None:
        messages = MessageInfo(shared)
        messages.push("fry", "old")
        messages.start("fry")
        assert messages.popflush("fry") is None
        messages.start("fry", "a.hello")
        assert messages.popflush("fry") == "a.hello"

    def test_stop_writes_the_word_that_ends_the_polling(self, shared: ShareCache) -> None:
        messages = MessageInfo(shared)
        messages.stop("fry")
        assert messages.popflush("fry") == "stopinfo"

    def test_a_queue_belongs_to_one_user(self, shared: ShareCache) -> None:
        messages = MessageInfo(shared)
        fry, leela = messages.getqueue("fry"), messages.getqueue("leela")
        fry.start("a.fry")
        assert leela.popflush() is None
        assert fry.push("b.fry")
        assert fry.popflush() == "b.fry"
        leela.stop()
        assert messages.popflush("leela") == "stopinfo"

    def test_a_user_id_does_not_reach_the_keys_of_another_family(self, shared: ShareCache) -> None:
        shared.set("fry", "a secret of another family", 60)
        assert MessageInfo(shared).popflush("fry") is None

    def test_without_a_server_there_are_no_texts_and_no_errors(self) -> None:
        messages = MessageInfo(MemcachedCache("127.0.0.1", closed_port()))
        messages.start("fry", "a.hello")
        messages.stop("fry")
        assert messages.push("fry", "b.x") is False
        assert messages.popflush("fry") is None

    def test_a_long_text_is_cut(self, shared: ShareCache) -> None:
        messages = MessageInfo(shared)
        messages.push("fry", "x" * 10_000)
        assert messages.popflush("fry") == "x" * MAX_TEXT_CHARS


def test_the_configured_host_decides_which_cache_is_opened() -> None:
    assert isinstance(open_cache(MemcachedSettings()), MemcachedCache)
    assert isinstance(open_cache(MemcachedSettings(host="local")), LocalCache)
