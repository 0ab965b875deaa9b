"""Browsers that are closed while their desktop starts, and whose users come back."""

from __future__ import annotations

import random
from collections.abc import Sequence

from bench.launching import RATE, READY_AFTER, Crowd, Visit, figures, log_out
from bench.load import Engine, Script
from bench.measuring import Row
from bench.podwatch import PodWatch
from bench.world import World

COUNT = 60
CUT_AFTER = (0.1, 2.0)
AWAY_SECONDS = 3.0


def vanishing(world: World) -> list[Row]:
    """Each launch is cut off at some moment; a little later the same user launches again."""
    world.control.call("POST", "pod-rules", dict(READY_AFTER))
    visits: Sequence[Visit] = ()
    try:
        with world.engine() as engine, PodWatch(world.stack) as watch:
            crowd = Crowd(engine)
            crowd.running = COUNT
            crowd.come(0)
            visits = crowd.visits
            watcher = world.watcher()
            with watcher.watching():
                for number in range(COUNT):
                    engine.start(_come_twice(crowd, random.Random(number)), after=number / RATE)
                engine.run()
            rows = figures(f"{COUNT} launches cut off, then again", engine, crowd, watcher, watch)
            for name in ("added_p50_ms", "added_p99_ms"):
                del rows[0].facts[name]  # the desktop was ready before its user came back
            return rows
    finally:
        world.control.call("DELETE", "pod-rules")
        log_out(world, visits)


def _come_twice(crowd: Crowd, chance: random.Random) -> Script:
    visit = Visit()
    crowd.visits.append(visit)
    crowd.running += 1  # the script takes it back
    first = crowd.script(visit, 0)
    crowd.engine.start(first)
    while not visit.asked:
        yield 0.02
    yield chance.uniform(*CUT_AFTER)
    _cut(crowd.engine, first, visit)
    yield AWAY_SECONDS
    try:
        yield from crowd.launch(visit, 0)
    finally:
        crowd.running -= 1


def _cut(engine: Engine, script: Script, visit: Visit) -> None:
    visit.answered = visit.answered or visit.asked  # its polls end too
    engine.vanish(script)
    script.close()
