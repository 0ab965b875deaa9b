"""People at work: what the pages of many users ask, minute after minute.

A page logs in, launches and polls, then draws its desktop. From then on it refreshes the user's token after 75 % of its
life and later always after 85 %, the desktop's token likewise (http-api.md 3.1, auth.md 2.13), and its user starts an
application now and then, looks at the list of running ones, loads the page again. Some have the task manager open,
which asks every five seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.applications import SHIPPED, documents, image
from bench.launching import PROBE, Crowd, Visit, log_out
from bench.load import Ask, Engine, Script, encode
from bench.measuring import Row, Watcher
from bench.statistics import quantile
from bench.world import World

ARRIVALS_A_SECOND = 10.0
ARRIVING_SECONDS = 400.0
DRAIN_SECONDS = 30.0
_STEP_SECONDS = 1.0
FIRST_REFRESH, NEXT_REFRESH = 0.75, 0.85
APPLICATION_SECONDS = 300.0
RELOAD_SECONDS = 1800.0
TASKS_SECONDS = 5.0
TASK_MANAGERS = 0.02
HEALTH_SECONDS = 0.5
_KEYS = ("dock", "color", "backgroundType", "wallpaper")


@dataclass(frozen=True)
class Intervals:
    """Seconds between what one user does; means of what comes by chance."""

    application: float = APPLICATION_SECONDS
    reload: float = RELOAD_SECONDS
    tasks: float = TASKS_SECONDS


@dataclass
class Day:
    """When everybody goes home: a moment of ``time.perf_counter``."""

    end: float = float("inf")

    def lasts(self, seconds: float) -> bool:
        """Whether it is not over in ``seconds``."""
        return time.perf_counter() + seconds < self.end


def refresh_times(life: float) -> Iterator[float]:
    """When a page refreshes a token that lives ``life`` seconds, in seconds since it got the first."""
    moment = life * FIRST_REFRESH
    while True:
        yield moment
        moment += life * NEXT_REFRESH


class Page:
    """The page of one user, once the desktop is there."""

    def __init__(self, visit: Visit, server: int, day: Day, chance: random.Random) -> None:
        self._visit = visit
        self._server = server
        self._day = day
        self._chance = chance

    def draw(self) -> Script:
        """What a page asks when its desktop appears."""
        yield self._ask("whoami", "user/whoami")
        yield self._ask("getuserapplist", "composer/getuserapplist")
        yield self._ask("getkeyinfo", "core/getkeyinfo", {"provider": "menuconfig"})
        for key in _KEYS:
            yield self._ask("store get", "store/get", {"key": key}, right=(200, 404))
        yield self._ask("listsecrets", "composer/listsecrets")
        yield self._ask("list_applications_by_phase", "composer/list_applications_by_phase", {"phase": "Waiting"})

    def keep(self, route: str, path: str, key: str, life: float) -> Script:
        """Refresh a token in time; ``key``: where the new one stands in the answer."""
        began = time.perf_counter()
        for moment in refresh_times(life):
            pause = max(0.0, began + moment - time.perf_counter())
            if not self._day.lasts(pause):
                return
            yield pause
            answer = yield self._ask(route, path, {"app": None} if key == "authorization" else None)
            if answer is not None and answer.status == 200 and key == "jwt_user_token":
                self._visit.token = answer.json()["result"][key]

    def work(self, intervals: Intervals) -> Script:
        """Start an application now and then."""
        while (pause := self._chance.expovariate(1 / intervals.application)) and self._day.lasts(pause):
            yield pause
            yield self._ask("listsecrets", "composer/listsecrets")
            body = {"image": image(self._chance.randrange(SHIPPED)), "args": "", "timezone": "Europe/Paris"}
            yield self._ask("ocrun", "composer/ocrun", body)
            yield self._ask("listcontainer", "composer/listcontainer")

    def watch_tasks(self, intervals: Intervals) -> Script:
        """The task manager is open."""
        while self._day.lasts(intervals.tasks):
            yield intervals.tasks
            yield self._ask("listcontainer", "composer/listcontainer")

    def reload(self, intervals: Intervals, crowd: Crowd) -> Script:
        """Load the page again now and then: the launch finds the desktop."""
        while (pause := self._chance.expovariate(1 / intervals.reload)) and self._day.lasts(pause):
            yield pause
            yield from crowd.launch(self._visit, self._server)
            yield from self.draw()

    def _ask(self, name: str, path: str, body: object = None, right: tuple[int, ...] = (200,)) -> Ask:
        return Ask(name, encode("POST", path, body, token=self._visit.token), self._server, right)


class Users:
    """Comes and works: the clients of one measurement. Tokens live as the service says."""

    def __init__(self, engine: Engine, servers: int, intervals: Intervals, user_seconds: float, desktop_seconds: float):
        self.crowd = Crowd(engine, servers)
        self._engine = engine
        self._servers = servers
        self._intervals = intervals
        self._lives = (user_seconds, desktop_seconds)
        self.day = Day()

    def come(self, count: int) -> None:
        """Let ``count`` users come one after another and work until the day ends."""
        self.crowd.running += count
        for number in range(count):
            self._engine.start(self._user(number), after=number / ARRIVALS_A_SECOND)
        for server in range(self._servers):
            self._engine.start(self._probe(server))

    def _user(self, number: int) -> Script:
        chance, server, visit = random.Random(number), number % self._servers, Visit()
        self.crowd.visits.append(visit)
        yield from self.crowd.script(visit, server)
        if not visit.succeeded:
            return
        page = Page(visit, server, self.day, chance)
        yield from page.draw()
        self._engine.start(page.keep("refreshtoken", "auth/refreshtoken", "jwt_user_token", self._lives[0]))
        path = "composer/refreshdesktoptoken"
        self._engine.start(page.keep("refreshdesktoptoken", path, "authorization", self._lives[1]))
        self._engine.start(page.work(self._intervals))
        self._engine.start(page.reload(self._intervals, self.crowd))
        if chance.random() < TASK_MANAGERS:
            self._engine.start(page.watch_tasks(self._intervals))

    def _probe(self, server: int) -> Script:
        ask = Ask(PROBE, encode("GET", "healthz"), server)
        while self.day.lasts(0.0):
            yield ask
            yield HEALTH_SECONDS


def active_users(world: World, count: int, minutes: float) -> list[Row]:
    """``count`` users come at 10 a second; measured are the ``minutes`` after the last has his desktop."""
    world.register(documents())
    replicas = len(world.services)
    name = f"{count} users, {replicas} replica{'s' if replicas > 1 else ''}"
    lives = [float(world.services[0].values()[f"jwt_token_{which}"]["exp"]) for which in ("user", "desktop")]
    with world.engine() as engine:
        users = Users(engine, replicas, Intervals(), *lives)
        users.come(count)
        coming, latest = world.watcher(), time.perf_counter() + ARRIVING_SECONDS
        with coming.watching():
            while users.crowd.running and time.perf_counter() < latest:
                engine.run(_STEP_SECONDS)
        arrival = _row(f"{name}, arriving at {ARRIVALS_A_SECOND:g}/s", engine, coming, users.crowd.visits)
        engine.reset()
        users.day.end = time.perf_counter() + minutes * 60
        working, before = world.watcher(), [process.cpu_seconds() for process in world.processes]
        with working.watching():
            engine.run(minutes * 60)
        row = _row(name, engine, working, users.crowd.visits)
        for number, process in enumerate(world.processes):
            spent = process.cpu_seconds() - before[number]
            row.facts[f"cpu_percent_replica_{number + 1}"] = spent * 100 / working.seconds
        engine.run(DRAIN_SECONDS)
    log_out(world, users.crowd.visits)
    return [arrival, row]


def _row(name: str, engine: Engine, watcher: Watcher, visits: Sequence[Visit]) -> Row:
    measured = [which for which in engine.tallies if which != PROBE]
    row = watcher.row_of(name, engine, len(visits), *measured)
    row.facts |= {
        "cpu_percent": watcher.cpu_seconds * 100 / watcher.seconds,
        "generator_cpu_percent": watcher.generator_seconds * 100 / watcher.seconds,
        "desktops": sum(visit.succeeded for visit in visits),
        "kubernetes_calls_a_second": row.kubernetes_calls * row.per_second,
        "mongodb_a_second": row.mongodb * row.per_second,
        "memcached_a_second": row.memcached * row.per_second,
        "healthz_p99_ms": quantile(engine.tally(PROBE).milliseconds, 0.99),
    }
    for which in sorted(measured):
        times = engine.tally(which).milliseconds
        row.facts[f"{which}_a_minute"] = len(times) * 60 / watcher.seconds
        row.facts[f"{which}_p99_ms"] = quantile(times, 0.99)
    row.notes += [f"{which}: {text}" for which, tally in engine.tallies.items() for text in tally.texts[:2]]
    return row
