"""Keys of users that every replica knows."""

from __future__ import annotations

import threading

from oc.od.authorized_keys import BUCKETS, KEEP_SECONDS, AuthorizedKeys
from oc.sharecache import LocalCache


def line(name: str) -> str:
    return f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5{name}"


def test_replicas_see_each_other_s_keys_and_the_last_one_wins() -> None:
    cache = LocalCache()
    one, two = AuthorizedKeys(cache), AuthorizedKeys(cache)
    assert one.add_key("fry", line("old"))
    assert two.add_key("fry", line("new"))
    assert two.add_key("leela", line("leela"))
    assert one.get_key("fry") == line("new")
    assert one.as_dict() == {"fry": line("new"), "leela": line("leela")}
    assert one.remove_key("leela")
    assert two.get_key("leela") is None


def test_configured_keys_are_there_from_the_start_and_stay() -> None:
    keys = AuthorizedKeys(LocalCache(), {"bastion": line("bastion")})
    keys.add_key("fry", line("fry"))
    assert set(keys.lines()) == {line("bastion"), line("fry")}
    keys.clear_keys()
    assert keys.lines() == [line("bastion")]
    assert keys.get_key("bastion") == line("bastion")


def test_what_would_be_two_lines_is_no_key() -> None:
    keys = AuthorizedKeys(LocalCache())
    for bad in ("", "ssh-rsa A\nssh-rsa B", "ssh-rsa \r", "x" * 9000, "ssh-rsa é"):
        assert keys.add_key("fry", bad) is False
    assert keys.lines() == []


def test_many_users_at_once_lose_no_key() -> None:
    cache = LocalCache()
    replicas = [AuthorizedKeys(cache) for _ in range(4)]
    names = [f"user{number}" for number in range(40)]

    def add(index: int) -> None:
        for name in names[index::4]:
            replicas[index].add_key(name, line(name))

    threads = [threading.Thread(target=add, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(replicas[0].as_dict()) == set(names)


def test_a_lock_that_nobody_gives_back_holds_nobody_for_ever() -> None:
    cache = LocalCache()
    for number in range(BUCKETS):
        cache.add(f"authorizedkeys:{number}:lock", "1", 60)
    pauses: list[float] = []
    assert AuthorizedKeys(cache, pause=pauses.append).add_key("fry", line("fry"))
    assert 0 < sum(pauses) < 5


def test_without_the_cache_nothing_is_kept_and_nothing_fails() -> None:
    class Away(LocalCache):
        def get(self, key: str) -> str | None:
            return None

        def set(self, key: str, value: str, ttl: int) -> bool:
            return False

        def add(self, key: str, value: str, ttl: int) -> bool | None:
            return None

    keys = AuthorizedKeys(Away(), {"bastion": line("bastion")})
    assert keys.add_key("fry", line("fry")) is False
    assert keys.lines() == [line("bastion")]


def test_broken_entries_of_the_cache_are_passed_over() -> None:
    cache = LocalCache()
    for number in range(BUCKETS):
        cache.set(f"authorizedkeys:{number}", ("[]", "no json", '{"x": 1}')[number % 3], KEEP_SECONDS)
    keys = AuthorizedKeys(cache)
    assert keys.lines() == []
    assert keys.add_key("fry", line("fry"))
    assert keys.lines() == [line("fry")]
