"""Bounded lanes: long requests wait for each other, short ones never wait for them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from devstack.keys import ensure_keys
from oc.auth.tokens import UserTokens
from oc.errors import UnavailableError
from oc.model.identity import Identity
from oc.od.base_controller import BaseController
from oc.od.messageinfo import MessageInfo
from oc.od.settings import settings_from_mapping
from oc.sharecache import LocalCache
from oc.web import Call, expose
from oc.web.lanes import Lane, default_lanes, pool_size
from tests.waiting import until

from .harness import make_services, serving


class SlowController(BaseController):
    """A launch that ends when the test says so."""

    def __init__(self) -> None:
        super().__init__(None)
        self.go_on = threading.Event()
        self.inside = threading.Semaphore(0)

    @expose(body=dict, lane="launch")
    def launch(self, call: Call, body: dict[str, Any]) -> object:
        self.inside.release()
        assert self.go_on.wait(20)
        return "launched"


def test_healthz_answers_while_the_lane_and_its_queue_are_full():
    slow = SlowController()
    lanes = {"launch": Lane("launch", size=3, queue=2, patience=20)}
    with serving(slow, lanes=lanes, threads=pool_size(2, lanes)) as client, ThreadPoolExecutor(5) as pool:
        running = [pool.submit(client.post, "/API/slow/launch", {}) for _ in range(5)]
        try:
            for _ in range(3):
                assert slow.inside.acquire(timeout=10)
            until(lambda: lanes["launch"].load == (3, 2))
            for _ in range(20):
                assert client.get("/API/healthz").body == b"OK"
            refused = client.post("/API/slow/launch", {})
        finally:
            slow.go_on.set()
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert [answer.result(20).json["result"] for answer in running] == ["launched"] * 5
    assert lanes["launch"].load == (0, 0)


def test_a_lane_admits_its_size_and_refuses_beyond_its_queue():
    lane = Lane("x", size=1, queue=0)
    with lane.enter(), pytest.raises(UnavailableError) as caught, lane.enter():
        raise AssertionError("two were let in")
    assert caught.value.status == 503
    assert caught.value.retry_after is not None


def test_a_place_is_given_back_after_a_failure():
    lane = Lane("x", size=1, queue=0)
    for _ in range(3):
        with pytest.raises(RuntimeError), lane.enter():
            raise RuntimeError
    assert lane.load == (0, 0)


class HangingController(BaseController):
    """A short request whose database does not answer."""

    def __init__(self) -> None:
        super().__init__(None)
        self.go_on = threading.Event()
        self.inside = threading.Semaphore(0)

    @expose(auth="optional", body=dict)
    def read(self, call: Call, body: dict[str, Any]) -> object:
        self.inside.release()
        assert self.go_on.wait(20)
        return "read"


def test_healthz_answers_while_short_requests_hang():
    hanging = HangingController()
    lanes = {"short": Lane("short", size=2, queue=1, patience=20)}
    with serving(hanging, lanes=lanes, threads=pool_size(1, lanes)) as client, ThreadPoolExecutor(3) as pool:
        running = [pool.submit(client.post, "/API/hanging/read", {}) for _ in range(3)]
        try:
            for _ in range(2):
                assert hanging.inside.acquire(timeout=10)
            until(lambda: lanes["short"].load == (2, 1))
            assert client.get("/API/healthz").body == b"OK"
            assert client.get("/API/version").status == 200
            assert client.post("/API/hanging/read", {}).status == 503
        finally:
            hanging.go_on.set()
        assert [answer.result(20).json["result"] for answer in running] == ["read"] * 3


def test_who_waits_gets_the_place_that_becomes_free():
    lane = Lane("x", size=1, queue=1, patience=10)
    entered = threading.Event()

    def second() -> None:
        with lane.enter():
            entered.set()

    with lane.enter():
        thread = threading.Thread(target=second)
        thread.start()
        until(lambda: lane.load == (1, 1))
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def test_nobody_is_refused_while_those_who_wait_have_free_places_and_only_not_run_yet():
    lane = Lane("test", size=1, queue=1, patience=20)
    first = lane.enter()
    first.__enter__()

    def work() -> None:
        with lane.enter():
            pass

    waiting = threading.Thread(target=work)
    waiting.start()
    assert until(lambda: lane.load == (1, 1))
    with lane._lock:  # nobody else gets to run
        first.__exit__(None, None, None)
        assert lane.load == (0, 1)
        with lane.enter():
            assert lane.load == (1, 0)
    waiting.join(20)


def test_everybody_who_waits_gets_a_turn_however_many_come_and_go():
    lane = Lane("test", size=3, queue=60, patience=20)
    inside, most = 0, 0
    counting = threading.Lock()

    def work(number: int) -> None:
        nonlocal inside, most
        for _ in range(20):
            with lane.enter(f"user{number % 2}" if number % 4 else ""):
                with counting:
                    inside += 1
                    most = max(most, inside)
                with counting:
                    inside -= 1

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(work, range(40)))
    assert lane.load == (0, 0)
    assert most <= 3


def test_a_place_that_becomes_free_wakes_one_of_those_who_wait(monkeypatch: pytest.MonkeyPatch):
    lane = Lane("test", size=1, queue=10, patience=20)
    woken: list[bool] = []
    wait = threading.Condition.wait

    def counted(self: threading.Condition, timeout: float | None = None) -> bool:
        found = wait(self, timeout)
        if self._lock is lane._lock:  # type: ignore[attr-defined]
            woken.append(found)
        return found

    def work() -> None:
        with lane.enter():
            pass

    with lane.enter():
        monkeypatch.setattr(threading.Condition, "wait", counted)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert until(lambda: lane.load == (1, 8))
        woken.clear()
    for thread in threads:
        thread.join(20)
    assert len(woken) == 8


def test_patience_ends():
    lane = Lane("x", size=1, queue=1, patience=0.01)
    with lane.enter(), pytest.raises(UnavailableError), lane.enter():
        raise AssertionError("let in")
    assert lane.load == (0, 0)


@pytest.mark.parametrize("thread_pool", [1, 10, 100])
def test_the_server_has_a_thread_for_every_place_and_for_short_requests(thread_pool):
    lanes = default_lanes(thread_pool)
    assert pool_size(thread_pool, lanes) == thread_pool + sum(lane.size + lane.queue for lane in lanes.values())
    assert set(lanes) == {"launch", "login", "work", "short"}


def test_one_user_leaves_places_to_others():
    """A page that launches again and again, while its desktop hangs, must not keep everybody else out."""
    lane = Lane("x", size=4, queue=4, patience=10)
    go_on, inside = threading.Event(), threading.Semaphore(0)

    def click(user: str) -> str:
        with lane.enter(user):
            inside.release()
            assert go_on.wait(20)
        return user

    with ThreadPoolExecutor(8) as pool:
        clicks = [pool.submit(click, "fry") for _ in range(7)]
        until(lambda: lane.load == (3, 4))
        with pytest.raises(UnavailableError), lane.enter("fry"):
            raise AssertionError("more than the share was let in")
        for _ in range(3):
            assert inside.acquire(timeout=10)
        other = pool.submit(click, "leela")
        try:
            assert inside.acquire(timeout=10)
            assert lane.load == (4, 4)
        finally:
            go_on.set()
        assert other.result(20) == "leela"
        assert [one.result(20) for one in clicks] == ["fry"] * 7
    assert lane.load == (0, 0)


def test_a_lane_forgets_who_has_left():
    lane = Lane("x", size=1, queue=0)
    for number in range(100):
        with lane.enter(f"user{number}"):
            pass
        with lane.enter("somebody"), pytest.raises(UnavailableError), lane.enter(f"user{number}"):
            raise AssertionError("two were let in")
    assert not lane._of_user


def test_who_came_first_goes_first_and_is_told_the_place():
    lane = Lane("x", size=1, queue=3)
    order: list[str] = []
    told: dict[str, list[int]] = {"first": [], "second": [], "third": []}

    def visit(name: str) -> None:
        with lane.enter(name, told[name].append):
            order.append(name)

    with ThreadPoolExecutor(3) as pool, lane.enter("before"):
        for count, name in enumerate(told, 1):
            pool.submit(visit, name)
            until(lambda count=count: lane.load == (1, count))
        until(lambda: all(told.values()))
        assert told == {"first": [1], "second": [2], "third": [3]}
    assert order == ["first", "second", "third"]
    assert lane.load == (0, 0)


def test_a_place_is_told_again_when_it_changes():
    lane = Lane("x", size=1, queue=2)
    told: list[int] = []
    leave = threading.Event()

    def first() -> None:
        with lane.enter("first"):
            assert leave.wait(20)

    def second() -> None:
        with lane.enter("second", told.append):
            pass

    with ThreadPoolExecutor(2) as pool:
        with lane.enter("before"):
            pool.submit(first)
            until(lambda: lane.load == (1, 1))
            pool.submit(second)
            until(lambda: told == [2])
        until(lambda: told == [2, 1])
        leave.set()
    assert lane.load == (0, 0)


def test_nobody_waits_for_one_who_has_the_share_of_a_user():
    lane = Lane("x", size=2, queue=6)

    def visit() -> None:
        with lane.enter("greedy"):
            pass

    with ThreadPoolExecutor(1) as pool, lane.enter("greedy"):
        waiting = pool.submit(visit)
        until(lambda: lane.load == (1, 1))
        with lane.enter("modest"):
            assert lane.load == (2, 1)
        assert not waiting.done()


def test_telling_does_not_hold_up_the_others():
    lane = Lane("x", size=1, queue=2)
    telling, go_on = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        telling.set()
        assert go_on.wait(20)

    def visit() -> None:
        with lane.enter("told", slow):
            pass

    with ThreadPoolExecutor(1) as pool:
        with lane.enter("before"):
            waiting = pool.submit(visit)
            assert telling.wait(20)
            assert lane.load == (1, 1)  # neither this nor leaving waits
        go_on.set()
        waiting.result(20)


class UsersLaunch(SlowController):
    """A launch for users."""

    @expose(auth="user", body=dict, lane="launch")
    def own(self, call: Call, body: dict[str, Any]) -> object:
        return super().launch(call, body)


def test_a_user_who_waits_for_a_launch_reads_the_place_in_the_queue(tmp_path: Path):
    keys = ensure_keys(tmp_path).user_signing
    files = {"exp": 360, "jwtuserprivatekeyfile": str(keys.private), "jwtuserpublickeyfile": str(keys.public)}
    tokens = UserTokens(settings_from_mapping({"desktop.pod": {}, "jwt_token_user": files}, {}).jwt_user)
    texts = MessageInfo(LocalCache())
    slow = UsersLaunch()
    lanes = {"launch": Lane("launch", size=1, queue=2, patience=20), "short": Lane("short", 2, 2)}
    services = make_services(usertokens=tokens, messageinfo=texts)

    def token(userid: str) -> dict[str, str]:
        identity = Identity(provider="planet", providertype="ldap", userid=userid, name=userid)
        return {"ABCAuthorization": f"Bearer {tokens.issue(identity)}"}

    with (
        serving(slow, services=services, lanes=lanes, threads=pool_size(2, lanes)) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        running = [pool.submit(client.post, "/API/userslaunch/launch", {})]
        try:
            assert slow.inside.acquire(timeout=10)
            for count, userid in enumerate(("fry", "leela"), 1):
                running.append(pool.submit(client.post, "/API/userslaunch/own", {}, token(userid)))
                until(lambda count=count: lanes["launch"].load == (1, count))
            read = {userid: until(lambda userid=userid: texts.popflush(userid)) for userid in ("fry", "leela")}
            assert texts.popflush("fry") is None
        finally:
            slow.go_on.set()
        assert [answer.result(20).status for answer in running] == [200] * 3
    assert read == {
        "fry": "b.Many desktops are being started, yours is number 1 in the queue",
        "leela": "b.Many desktops are being started, yours is number 2 in the queue",
    }
