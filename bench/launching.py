"""Many launches at a steady rate, by clients that behave as the page: they poll for texts every 300 ms meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from bench.load import Answer, Ask, Engine, Script, encode
from bench.measuring import Row, Watcher
from bench.podwatch import PodWatch
from bench.statistics import quantile
from bench.world import LAUNCH, LOGIN, World

RATE = 10.0
READY_AFTER: Mapping[str, Any] = {"labels": {"type": "x11server"}, "start_after_s": 1.0, "spread_s": 4.0}
LATE_SERVICES: Mapping[str, Any] = {"labels": {"type": "x11server"}, "ready_after_s": 1.0, "spread_s": 4.0}
POLL_SECONDS = 0.3
PROBE_SECONDS = 0.05
LAUNCH_SECONDS = 320.0
AUTH, LAUNCHED, POLL, PROBE = "auth anonymous", "launchdesktop", "getmessageinfo", "healthz"
_PYOS = "system:serviceaccount:*:pyos-serviceaccount"
_DROP_SECONDS = 5.0
_WRITES = "[cdpu]*"
#: 200 requests a second, and one in a hundred answered with 409 (what is written only), 429 or 500.
BAD_API_SERVER: Sequence[Mapping[str, Any]] = (
    {"user": _PYOS, "verb": _WRITES, "status": 409, "share": 0.0034},
    {"user": _PYOS, "status": 429, "share": 0.0033, "retry_after_s": 1},
    {"user": _PYOS, "status": 500, "share": 0.0033},
    {"user": _PYOS, "per_second": 200.0},
)


@dataclass
class Visit:
    """One user's launch. Times of ``time.perf_counter``; 0 what did not come."""

    userid: str = ""
    token: str = ""
    asked: float = 0.0
    answered: float = 0.0
    succeeded: bool = False
    refused: int = 0


@dataclass
class Crowd:
    """Visits at ``rate`` a second, the healthz probe beside them."""

    engine: Engine
    servers: int = 1
    visits: list[Visit] = field(default_factory=list)
    running: int = 0

    def come(self, count: int, rate: float = RATE) -> None:
        """Let ``count`` users come from now on."""
        for number in range(count):
            visit = Visit()
            self.visits.append(visit)
            self.running += 1
            self.engine.start(self.script(visit, number % self.servers), after=number / rate)
        for server in range(self.servers):
            self.engine.start(self._probe(server))

    def script(self, visit: Visit, server: int) -> Script:
        """Log in and launch, as the page does."""
        try:
            answer = yield from self._until_admitted(Ask(AUTH, encode("POST", "auth/auth", LOGIN), server), visit)
            if answer is None or answer.status != 200:
                return
            result = answer.json()["result"]
            visit.userid, visit.token = result["userid"], result["jwt_user_token"]
            yield from self.launch(visit, server)
        finally:
            self.running -= 1

    def launch(self, visit: Visit, server: int) -> Script:
        """Launch, and poll beside it until the answer is there. A 503 is obeyed: come again after Retry-After."""
        ask = Ask(
            LAUNCHED,
            encode("POST", "composer/launchdesktop", LAUNCH, token=visit.token),
            server,
            seconds=LAUNCH_SECONDS,
        )
        visit.asked, visit.answered = time.perf_counter(), 0.0
        self.engine.start(self._poll(visit, server))
        answer = yield from self._until_admitted(ask, visit)
        visit.answered = time.perf_counter()
        visit.succeeded = answer is not None and answer.status == 200 and not answer.json().get("error")

    def _until_admitted(self, ask: Ask, visit: Visit) -> Generator[Ask | float, Answer | None, Answer | None]:
        """The answer. A refusal that says when to come again is obeyed, as a user does who is told to try again."""
        patient = replace(ask, uncounted=(503,))
        answer = yield patient
        while answer is not None and answer.status == 503 and b"retry-after" in answer.head.lower():
            visit.refused += 1
            yield float(answer.head.lower().partition(b"retry-after:")[2].partition(b"\r")[0])
            answer = yield patient
        return answer

    def _poll(self, visit: Visit, server: int) -> Script:
        ask = Ask(POLL, encode("POST", "core/getmessageinfo", token=visit.token), server)
        while not visit.answered and time.perf_counter() < visit.asked + LAUNCH_SECONDS:
            yield ask
            yield POLL_SECONDS

    def _probe(self, server: int) -> Script:
        ask = Ask(PROBE, encode("GET", "healthz"), server)
        while self.running:
            yield ask
            yield PROBE_SECONDS


@contextmanager
def dropping_watches(world: World) -> Iterator[None]:
    """Meanwhile the API server cuts all watches every 5 s. Not by the engine, which would measure its own waiting."""
    over = threading.Event()

    def drop() -> None:
        while not over.wait(_DROP_SECONDS):
            world.control.call("DELETE", "watches")

    thread = threading.Thread(target=drop, name="drop-watches")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def launches(
    world: World,
    name: str,
    count: int,
    rules: Sequence[Mapping[str, Any]] = (),
    pods: Mapping[str, Any] = READY_AFTER,
) -> list[Row]:
    """``count`` launches at 10 a second; pods are Ready after 1 to 5 seconds. ``rules``: faults of the API server."""
    world.control.call("POST", "pod-rules", dict(pods))
    for rule in rules:
        world.control.call("POST", "faults", dict(rule))
    try:
        with world.engine() as engine, PodWatch(world.stack) as watch:
            crowd = Crowd(engine, len(world.services))
            watcher = world.watcher()
            with watcher.watching(), dropping_watches(world) if rules else nullcontext():
                crowd.come(count)
                engine.run()
            return figures(name, engine, crowd, watcher, watch)
    finally:
        world.control.call("DELETE", "faults")
        world.control.call("DELETE", "pod-rules")
        log_out(world, crowd.visits)


def log_out(world: World, visits: Sequence[Visit]) -> None:
    """Every desktop of the visits is removed."""
    with world.engine() as engine:
        for visit in visits:
            if visit.token:
                engine.start(_one(Ask("logout", encode("POST", "auth/logout", token=visit.token), right=(200, 401))))
        engine.run()


def _one(ask: Ask) -> Script:
    yield ask


def figures(name: str, engine: Engine, crowd: Crowd, watcher: Watcher, watch: PodWatch) -> list[Row]:
    row = watcher.row_of(name, engine, crowd.servers, LAUNCHED)
    row.clients = len(crowd.visits)
    row.failed = sum(not visit.succeeded for visit in crowd.visits)
    added = [time_ for visit in crowd.visits if (time_ := added_ms(visit, watch)) is not None]
    logins, polls, probes = (engine.tally(which).milliseconds for which in (AUTH, POLL, PROBE))
    row.facts |= {
        "succeeded_share": sum(visit.succeeded for visit in crowd.visits) / len(crowd.visits),
        "doubled": sum(watch.is_doubled(visit.userid) for visit in crowd.visits if visit.userid),
        "refused_503": sum(visit.refused for visit in crowd.visits),
        "added_p50_ms": quantile(added, 0.5),
        "added_p99_ms": quantile(added, 0.99),
        "login_p99_ms": quantile(logins, 0.99),
        "healthz_p50_ms": quantile(probes, 0.5),
        "healthz_p99_ms": quantile(probes, 0.99),
        "getmessageinfo_p50_ms": quantile(polls, 0.5),
        "getmessageinfo_p99_ms": quantile(polls, 0.99),
        "polls": len(polls),
        "side_requests_failed": sum(engine.tally(which).failed for which in (AUTH, POLL, PROBE)),
        "api_calls_with_login": row.kubernetes_calls - row.kubernetes.get("get pods/exec", 0),
        "unlabelled_lists": watcher.calls.unlabelled_lists,
        "cpu_share": watcher.cpu_seconds / watcher.seconds,
    }
    for which in (AUTH, LAUNCHED, POLL, PROBE):
        for text in engine.tally(which).texts[:2]:
            row.notes.append(f"{which}: {text}")
    return [row]


def added_ms(visit: Visit, watch: PodWatch) -> float | None:
    """Milliseconds between the user's desktop being Ready and the answer; None where one of them did not come."""
    ready = [seen.ready for seen in watch.of(visit.userid) if seen.ready is not None]
    return (visit.answered - ready[-1]) * 1000 if ready and visit.succeeded else None
