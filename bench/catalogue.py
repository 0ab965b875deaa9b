"""The operator registers the whole shipped catalogue with one request."""

from __future__ import annotations

import json

from bench.applications import SHIPPED, documents
from bench.desktops import each_once
from bench.load import Ask
from bench.measuring import Row
from bench.short import Users
from bench.world import World

AGAIN = 5


def catalogue(world: World, users: Users) -> list[Row]:
    """116 applications in one request, into an empty catalogue; then the same again, which changes nothing."""
    del users
    given = documents(SHIPPED)
    world.operator.ask("DELETE", "manager/images")
    rows = []
    for name, times in ((f"register {SHIPPED} applications", 1), (f"register {SHIPPED} applications again", AGAIN)):
        asks = [Ask(name, world.operator.request("manager/image", given))] * times
        rows.append(each_once(world, name, asks, 1))
        rows[-1].facts["request_mb"] = len(json.dumps(given)) / 1e6
    return rows


SCENARIOS = {"catalogue": catalogue}
