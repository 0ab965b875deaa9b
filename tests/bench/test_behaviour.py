"""What simulated users do: when they refresh, how they launch, what they leave."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from bench.launching import AUTH, LAUNCHED, POLL, POLL_SECONDS, Crowd, Visit, added_ms
from bench.load import Answer, Ask, Engine, Script
from bench.podwatch import PodWatch, Seen
from bench.users import Day, Intervals, Page, refresh_times
from bench.vanishing import _cut
from oc.od.orchestrator.podmodel import pod_from


def reply(status: int = 200, head: bytes = b"", **result: Any) -> Answer:
    return Answer(status, json.dumps({"status": status, "result": result}).encode(), 1.0, head)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine([]) as made:
        yield made


def test_a_page_refreshes_at_three_quarters_of_a_tokens_life_then_at_85_percent() -> None:
    assert list(islice(refresh_times(360), 3)) == [270, 576, 882]
    assert list(islice(refresh_times(420), 2)) == [315, 672]


def test_every_refresh_comes_before_the_token_it_replaces_ends() -> None:
    times = list(islice(refresh_times(360), 20))
    issued = [0.0, *times]
    assert all(next_ < start + 360 for start, next_ in zip(issued, times, strict=False))


def test_a_user_logs_in_then_launches_with_his_token_and_polls_meanwhile(engine: Engine) -> None:
    crowd, visit = Crowd(engine), Visit()
    crowd.running = 1
    script = crowd.script(visit, 0)
    login = next(script)
    assert isinstance(login, Ask)
    assert login.name == AUTH
    launch = script.send(reply(userid="u", jwt_user_token="the-token"))
    assert isinstance(launch, Ask)
    assert launch.name == LAUNCHED
    assert b"Bearer the-token" in launch.data
    poll = crowd._poll(visit, 0)
    assert getattr(next(poll), "name", "") == POLL
    assert poll.send(reply()) == POLL_SECONDS
    with pytest.raises(StopIteration):
        script.send(reply(target_ip="x"))
    assert visit.succeeded
    assert crowd.running == 0
    with pytest.raises(StopIteration):
        next(poll)


def test_a_refused_launch_comes_again_after_the_time_it_was_told(engine: Engine) -> None:
    visit = Visit(token="t")
    script = Crowd(engine).launch(visit, 0)
    first = next(script)
    assert script.send(reply(503, b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n\r\n")) == 5.0
    assert next(script) == first
    with pytest.raises(StopIteration):
        script.send(reply())
    assert visit.refused == 1
    assert visit.succeeded


def test_a_launch_whose_answer_tells_an_error_did_not_succeed(engine: Engine) -> None:
    visit = Visit(token="t")
    script = Crowd(engine).launch(visit, 0)
    next(script)
    with pytest.raises(StopIteration):
        script.send(Answer(200, b'{"status": 500, "result": null, "error": "no"}', 1.0))
    assert not visit.succeeded
    assert visit.answered


def test_a_refused_login_is_tried_again_too(engine: Engine) -> None:
    crowd, visit = Crowd(engine), Visit()
    crowd.running = 1
    script = crowd.script(visit, 0)
    login = next(script)
    assert script.send(reply(503, b"HTTP/1.1 503 Busy\r\nretry-after: 2\r\n\r\n")) == 2.0
    assert next(script) == login
    launch = script.send(reply(userid="u", jwt_user_token="t"))
    assert isinstance(launch, Ask)
    assert launch.name == LAUNCHED


def test_a_failed_login_ends_the_visit(engine: Engine) -> None:
    crowd, visit = Crowd(engine), Visit()
    crowd.running = 1
    script = crowd.script(visit, 0)
    next(script)
    with pytest.raises(StopIteration):
        script.send(reply(500))
    assert crowd.running == 0
    assert not visit.succeeded


def test_a_page_takes_the_new_token_for_what_follows() -> None:
    visit = Visit(token="old")
    page = Page(visit, 0, Day(), random.Random(1))
    keeping = page.keep("refreshtoken", "auth/refreshtoken", "jwt_user_token", 360.0)
    pause = next(keeping)
    assert isinstance(pause, float)
    assert 260 < pause <= 270
    ask = next(keeping)
    assert isinstance(ask, Ask)
    assert b"Bearer old" in ask.data
    keeping.send(reply(jwt_user_token="new"))
    assert visit.token == "new"


def test_a_page_at_work_starts_applications_and_looks_at_them() -> None:
    page = Page(Visit(token="t"), 0, Day(), random.Random(1))
    names = drained(page.work(Intervals(application=10.0)), 4)
    assert names == ["listsecrets", "ocrun", "listcontainer", "listsecrets"]


def test_nothing_begins_after_the_end(engine: Engine) -> None:
    page = Page(Visit(token="t"), 0, Day(end=time.perf_counter()), random.Random(1))
    assert drained(page.work(Intervals()), 1) == []
    assert drained(page.watch_tasks(Intervals()), 1) == []
    assert drained(page.reload(Intervals(), Crowd(engine)), 1) == []
    assert drained(page.keep("refreshtoken", "auth/refreshtoken", "jwt_user_token", 360.0), 1) == []


def drained(script: Script, count: int) -> list[str]:
    """The names of the first ``count`` requests of a script."""
    names: list[str] = []
    try:
        wanted = next(script)
        while len(names) < count:
            if isinstance(wanted, Ask):
                names.append(wanted.name)
                wanted = script.send(reply())
            else:
                wanted = next(script)
    except StopIteration:
        pass
    return names


def test_a_cut_launch_polls_no_more(engine: Engine) -> None:
    crowd, visit = Crowd(engine), Visit(token="t")
    script = crowd.launch(visit, 0)
    next(script)
    poll = crowd._poll(visit, 0)
    next(poll)
    _cut(engine, script, visit)
    poll.send(reply())
    with pytest.raises(StopIteration):
        next(poll)
    assert not visit.succeeded


def watch(*seen: Seen) -> PodWatch:
    made = PodWatch.__new__(PodWatch)
    made.desktops = {str(number): one for number, one in enumerate(seen)}
    return made


def test_two_desktops_at_once_are_a_double_one_after_another_are_not() -> None:
    assert watch(Seen("a", "u", 1.0), Seen("b", "u", 2.0)).is_doubled("u")
    assert watch(Seen("a", "u", 1.0, ending=3.0), Seen("b", "u", 2.0)).is_doubled("u")
    assert not watch(Seen("a", "u", 1.0, ending=1.5), Seen("b", "u", 2.0)).is_doubled("u")
    assert not watch(Seen("a", "u", 1.0), Seen("b", "v", 2.0)).is_doubled("u")


def test_the_time_added_begins_when_the_desktop_is_ready() -> None:
    visit = Visit(userid="u", answered=12.5, succeeded=True)
    assert added_ms(visit, watch(Seen("a", "u", 10.0, ready=12.0))) == pytest.approx(500)
    assert added_ms(visit, watch(Seen("a", "u", 10.0))) is None
    assert added_ms(Visit(userid="u"), watch(Seen("a", "u", 10.0, ready=12.0))) is None


def test_events_of_a_watch_become_times() -> None:
    made = watch()
    pod: dict[str, Any] = {"metadata": {"uid": "1", "name": "p", "labels": {"access_userid": "u"}}, "status": {}}

    def tell(kind: str, **more: str) -> None:
        seen = {**pod, "metadata": {**pod["metadata"], **more}}
        made._take(kind, pod_from(seen))

    tell("ADDED")
    assert made.desktops["1"].ready is None
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    tell("MODIFIED")
    ready = made.desktops["1"].ready
    assert ready is not None
    tell("MODIFIED", deletionTimestamp="now")
    assert made.desktops["1"].ready == ready
    assert made.desktops["1"].ending is not None


def test_an_error_of_a_watch_has_no_pod() -> None:
    made = watch()
    gone = b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","metadata":{},"code":410}}'
    assert not made._hear(gone)
    assert not made.desktops
