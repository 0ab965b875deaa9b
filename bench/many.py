"""What grows with the number of desktops: the operators' list, finding one, memory, an idle process, a collection."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.launching import PROBE, PROBE_SECONDS
from bench.limits import closed_loop
from bench.load import Ask, Engine, Script, encode
from bench.measuring import Row
from bench.statistics import quantile, slope
from bench.world import Client, World

SIZES = (10, 100, 1_000, 10_000)
IDLE_SIZES = (0, 100, 1_000)
COLLECTED = 1_000
_IDLE_SECONDS = 15.0
_WAIT_SECONDS = 180.0
#: Deletions are remembered for a minute, and free memory is given back by the next look for idle things after that.
_GIVEN_BACK_SECONDS = 130.0
_SECRETS = ("ldif", "localaccount", "posixaccount", "vnc")


class Desktops:
    """One real desktop and its copies, which cost no launch; pyos sees all of them through its watch."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.owner = world.user(desktop=True)
        self.name = str(self._list()[0]["name"])
        self.count = 1

    def make(self, count: int, *, secrets: bool = False) -> None:
        """Have ``count`` of them, and wait until pyos has seen the last."""
        more = count - self.count
        if more <= 0:
            return
        namespace = self._world.stack.namespace
        userid = {self.owner.userid: f"{self.owner.userid[:-6]}-{{n}}"}
        order = {"namespace": namespace, "count": more, "first": self.count}
        if secrets:
            for kind in _SECRETS:
                name = f"auth-{kind}-{self.owner.userid}"
                self._world.control.call(
                    "POST", "copies", {**order, "kind": "secrets", "name": name, "replace": userid}
                )
        names = {self.name: f"{self.name}-{{n}}", **userid}
        self._world.control.call("POST", "copies", {**order, "kind": "pods", "name": self.name, "replace": names})
        self.count = count
        self.wait(count)

    def purge(self) -> None:
        """Delete all of them at once, as an operator with kubectl would; until pyos knows of none."""
        path = f"/api/v1/namespaces/{self._world.stack.namespace}/pods?labelSelector=type%3Dx11server"
        self._world.stack.cluster_admin("DELETE", path, {"gracePeriodSeconds": 0})
        self.count = 0
        self.wait(0)

    def wait(self, count: int) -> None:
        """Until pyos counts so many. Raises TimeoutError."""
        end = time.monotonic() + _WAIT_SECONDS
        while self.counted() != count:
            if time.monotonic() > end:
                raise TimeoutError(f"pyos counts {self.counted()} desktops, not {count}")
            time.sleep(0.1)

    def counted(self) -> int:
        """How many pyos knows of."""
        text = str(self._world.operator.ask("GET", "accounting/metrics"))
        line = next(line for line in text.splitlines() if line.startswith('pyos_desktop_total{desktop="current"'))
        return int(float(line.rpartition(" ")[2]))

    def _list(self) -> list[dict[str, object]]:
        return list(self._world.operator.ask("GET", "manager/desktop"))


def rss_mb(world: World) -> float:
    """Resident memory of pyos now, in megabytes of a million bytes."""
    return sum(process.rss_bytes() for process in world.processes) / 1e6


def idle(world: World) -> list[Row]:
    """Processor time of a process that nobody asks anything, while desktops are there."""
    rows, desktops = [], None
    for size in IDLE_SIZES:
        if size:
            desktops = desktops or Desktops(world)
            desktops.make(size)
        time.sleep(2)
        watcher = world.watcher()
        with watcher.watching():
            time.sleep(_IDLE_SECONDS)
        row = Row(f"idle, {size} desktops", seconds=watcher.seconds)
        row.facts |= {
            "cpu_percent": watcher.cpu_seconds * 100 / watcher.seconds,
            "kubernetes_calls_a_minute": sum(watcher.calls.kubernetes.values()) * 60 / watcher.seconds,
            "mongodb_a_minute": watcher.calls.mongodb * 60 / watcher.seconds,
            "memcached_a_minute": watcher.calls.memcached * 60 / watcher.seconds,
            "rss_mb": rss_mb(world),
        }
        rows.append(row)
    return rows


def memory(world: World) -> list[Row]:
    """Resident memory at start, with 10,000 desktops in the cache, and after all were removed."""
    start = rss_mb(world)
    desktops = Desktops(world)
    before = rss_mb(world)
    desktops.make(SIZES[-1])
    filled = rss_mb(world)
    desktops.purge()
    time.sleep(_GIVEN_BACK_SECONDS)
    after = rss_mb(world)
    row = Row(f"memory, {SIZES[-1]} desktops")
    row.facts |= {
        "rss_start_mb": start,
        "rss_before_mb": before,
        "rss_filled_mb": filled,
        "rss_purged_mb": after,
        "kb_a_desktop": (filled - before) * 1000 / SIZES[-1],
        "purged_to_before": after / before,
    }
    return [row]


def manager(world: World) -> list[Row]:
    """The list of operators, one desktop by name, and the desktop of a user, with ever more desktops."""
    desktops, rows = Desktops(world), []
    lists: list[tuple[float, float]] = []
    finds: list[tuple[float, float]] = []
    for size in SIZES:
        desktops.make(size)
        desktops.owner.token = desktops.owner.post("auth/refreshtoken")["result"]["jwt_user_token"]
        listing = Ask(f"manager, list of {size} desktops", world.operator.request("manager/desktop", method="GET"))
        by_name = Ask(
            f"manager, one of {size} desktops",
            world.operator.request(f"manager/desktop/{desktops.name}", method="GET"),
        )
        by_user = Ask(f"desktop of a user, {size} desktops", _refresh(desktops.owner))
        found = [_alone(world, listing, 6.0 if size > 1000 else 2.0), _alone(world, by_name), _alone(world, by_user)]
        length = len(repr(world.operator.ask("GET", "manager/desktop")))
        found[0].facts |= {"answer_kb": length / 1000, "rss_mb": rss_mb(world)}
        lists.append((length, found[0].cpu_ms))
        finds.append((size, found[2].cpu_ms))
        rows += found
    growth = Row("growth with desktops")
    growth.facts |= {
        "list_cpu_by_answer_size": slope(lists[1:]),
        "find_cpu_by_desktops": slope(finds[1:]),
    }
    return [*rows, growth]


def _refresh(owner: Client) -> bytes:
    return owner.request("composer/refreshdesktoptoken", {"app": None})


def _alone(world: World, ask: Ask, seconds: float = 2.0) -> Row:
    with world.engine() as engine:
        return closed_loop(engine, world.watcher(), ask.name, [ask], seconds=seconds)


def garbage(world: World) -> list[Row]:
    """One collection that removes 1,000 desktops nobody is connected to; is the service alive meanwhile?"""
    desktops = Desktops(world)
    desktops.make(COLLECTED, secrets=True)
    name = f"garbage collection of {COLLECTED} desktops"
    ask = Ask(name, world.operator.request("manager/garbagecollector?expirein=0", method="GET"), seconds=300)
    removed: list[int] = []
    with world.engine() as engine:
        watcher = world.watcher()
        with watcher.watching():
            engine.start(_collect(engine, ask, removed))
            engine.run()
        engine.check()
        row = watcher.row_of(name, engine, 1)
        probes: Sequence[float] = engine.tally(PROBE).milliseconds
    row.facts |= {
        "removed": sum(removed),
        "seconds": row.seconds,
        "cpu_ms_a_desktop": row.cpu_ms / COLLECTED,
        "kubernetes_calls_a_desktop": row.kubernetes_calls / COLLECTED,
        "healthz_p99_ms": quantile(probes, 0.99),
    }
    row.kubernetes = {call: count for call, count in row.kubernetes.items() if count >= 1}
    return [row]


def _collect(engine: Engine, ask: Ask, removed: list[int]) -> Script:
    engine.start(_probe(removed))
    answer = yield ask
    removed.append(len(answer.json()) if answer is not None and answer.status == 200 else 0)


def _probe(over: Sequence[int]) -> Script:
    ask = Ask(PROBE, encode("GET", "healthz"))
    while not over:
        yield ask
        yield PROBE_SECONDS
