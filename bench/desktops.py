"""Desktops and applications of one or a few users: cold launch, resume, start of applications, logout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from bench.limits import ROUNDS, best_of
from bench.load import Ask, in_turn
from bench.measuring import Row
from bench.short import Users, repeated
from bench.world import LAUNCH, Client, World
from devstack.session import SAMPLES

EPHEMERAL, POD = "dev.local/clock.d:1.0", "dev.local/notes.d:1.0"
_READINESS = "get pods/exec"


def each_once(world: World, name: str, asks: Sequence[Ask], clients: int, *, signatures: int = 0) -> Row:
    """The row of requests that can be made only once, shared out among ``clients``."""
    with world.engine() as engine:
        watcher = world.watcher()
        for number in range(clients):
            engine.start(in_turn(asks[number::clients]))
        with watcher.watching():
            engine.run()
        engine.check()
        row = watcher.row_of(name, engine, clients, asks[0].name)
    row.facts["signatures"] = signatures
    row.facts["unlabelled_lists"] = watcher.calls.unlabelled_lists
    row.facts["api_calls"] = row.kubernetes_calls - row.kubernetes.get(_READINESS, 0)
    return row


def _launch(caller: Client, name: str) -> Ask:
    return Ask(name, caller.request("composer/launchdesktop", LAUNCH))


def cold(world: World, users: Users) -> list[Row]:
    """First launches, with 1 and with 8 clients; pods are Ready at once."""
    del users
    rows = []
    for count in (1, 8):
        rounds = []
        for _ in range(ROUNDS):
            callers = world.users(40)
            name = "launchdesktop, cold"
            rounds.append(each_once(world, name, [_launch(caller, name) for caller in callers], count, signatures=1))
            for caller in callers:
                caller.post("auth/logout")
        rows.append(best_of(rounds))
    return rows


def resume(world: World, users: Users) -> list[Row]:
    """The page is loaded again: the desktop is there."""
    rows = []
    for count in (1, 8):
        name = "launchdesktop, resume"
        asks = [_launch(caller, name) for caller in users.first(count)]
        rows.append(users.bare.beside(partial(repeated, world, name, asks)))
        rows[-1].facts["signatures"] = 1
    return rows


def ocrun(world: World, users: Users) -> list[Row]:
    """Applications of both classes; two of each for every user."""
    del users
    world.register(json.loads(SAMPLES.read_text(encoding="utf-8")))
    rows = []
    for name, image in (("ocrun, ephemeral container", EPHEMERAL), ("ocrun, pod", POD)):
        callers = world.users(16, desktop=True)
        data = [caller.request("composer/ocrun", {"image": image, "args": ""}) for caller in callers]
        rows += [each_once(world, name, [Ask(name, one) for one in data], count) for count in (1, 8)]
        for caller in callers:
            caller.post("auth/logout")
    return rows


def logout(world: World, users: Users) -> list[Row]:
    """The desktop and the secrets of a user are removed."""
    del users
    rows = []
    for count in (1, 8):
        callers = world.users(24, desktop=True)
        asks = [Ask("logout", caller.request("auth/logout")) for caller in callers]
        rows.append(each_once(world, "logout", asks, count))
    return rows


SCENARIOS = {"cold": cold, "resume": resume, "ocrun": ocrun, "logout": logout}
