"""The lock of a user's launch: threads wait on each other, replicas on the cache, and neither on a dead holder."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from oc.errors import DeadlineExceededError
from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.composer.launchlock import LaunchLock
from oc.sharecache import LocalCache

FRY = Identity(provider="planet", providertype="ldap", userid="fry", name="Fry")
LEELA = Identity(provider="planet", providertype="ldap", userid="leela", name="Leela")


class AwayCache(LocalCache):
    """A cache that does not answer."""

    def add(self, key: str, value: str, ttl: int) -> bool | None:
        return None


def never() -> bool:
    return False


def test_threads_of_one_process_hold_a_users_lock_one_after_another() -> None:
    lock, inside, most, guard = LaunchLock(LocalCache()), 0, 0, threading.Lock()

    def launch(_: int) -> None:
        nonlocal inside, most
        with lock.hold(FRY, Deadline(30), never):
            with guard:
                inside += 1
                most = max(most, inside)
            with guard:
                inside -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(launch, range(64)))
    assert most == 1


def test_two_users_do_not_wait_on_each_other() -> None:
    lock = LaunchLock(LocalCache())
    with lock.hold(FRY, Deadline(5), never), lock.hold(LEELA, Deadline(5), never):
        pass


def test_another_replica_waits_until_the_key_is_released() -> None:
    cache = LocalCache()
    first, waited = LaunchLock(cache), threading.Event()
    entered: list[str] = []

    def sleep(_: float) -> None:
        waited.set()

    second = LaunchLock(cache, sleep=sleep)

    def launch() -> None:
        with second.hold(FRY, Deadline(30), never):
            entered.append("second")

    thread = threading.Thread(target=launch)
    with first.hold(FRY, Deadline(30), never):
        thread.start()
        assert waited.wait(10)
        entered.append("first")
    thread.join(10)
    assert entered == ["first", "second"]


def test_a_desktop_that_came_up_meanwhile_ends_the_wait_for_another_replica() -> None:
    cache = LocalCache()
    with LaunchLock(cache).hold(FRY, Deadline(30), never):
        other = LaunchLock(cache, sleep=lambda seconds: pytest.fail("no wait was needed"))
        with other.hold(FRY, Deadline(30), lambda: True):
            pass


def test_a_joiner_does_not_release_the_key_of_its_holder() -> None:
    cache = LocalCache()
    with LaunchLock(cache).hold(FRY, Deadline(30), never):
        with LaunchLock(cache).hold(FRY, Deadline(30), lambda: True):
            pass
        assert cache.add("launch:planet:fry", "x", 5) is False


def test_the_key_is_free_after_a_launch_that_failed() -> None:
    cache = LocalCache()
    lock = LaunchLock(cache)
    with pytest.raises(RuntimeError, match="broken"), lock.hold(FRY, Deadline(30), never):
        raise RuntimeError("broken")
    with lock.hold(FRY, Deadline(30), lambda: pytest.fail("the key is still there")):
        pass


def test_a_launch_goes_on_without_the_key_while_the_cache_is_away() -> None:
    with LaunchLock(AwayCache()).hold(FRY, Deadline(30), never):
        pass


def test_a_thread_that_waits_to_its_deadline_is_told_so() -> None:
    lock = LaunchLock(LocalCache())
    with lock.hold(FRY, Deadline(30), never), ThreadPoolExecutor(1) as pool:

        def launch() -> None:
            with lock.hold(FRY, Deadline(0), never):
                pytest.fail("two hold the lock")

        with pytest.raises(DeadlineExceededError):
            pool.submit(launch).result(10)


def test_the_key_of_a_replica_that_died_costs_a_launch_a_part_of_its_time_only() -> None:
    cache, clock = LocalCache(), Clock()
    assert cache.add("launch:planet:fry", "of a dead replica", 360)
    deadline = Deadline(300, clock)
    with LaunchLock(cache, sleep=clock.sleep).hold(FRY, deadline, never):
        assert deadline.remaining() > 290
    hurried = Deadline(2, clock)
    with LaunchLock(cache, sleep=clock.sleep).hold(FRY, hurried, never):
        assert hurried.remaining() > 1
    assert cache.get("launch:planet:fry") == "of a dead replica"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
