"""The requests of the web front end that touch no cluster, or little of it: one route a row, 1, 8 and 32 clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.applications import SHIPPED, documents
from bench.limits import CLIENTS, Bare, closed_loop
from bench.load import Ask
from bench.measuring import Row
from bench.world import LOGIN, Client, World

SMALL_CATALOGUE = 29
_TOKEN_SECONDS = 200.0


@dataclass(frozen=True)
class Route:
    """One route of the table. ``signatures``: tokens an answer holds."""

    name: str
    path: str
    signatures: int = 0
    body: Any = None
    desktop: bool = True


ROUTES = {
    "healthz": Route("healthz", "healthz", desktop=False),
    "getmessageinfo": Route("getmessageinfo", "core/getmessageinfo"),
    "whoami": Route("whoami", "user/whoami"),
    "refreshtoken": Route("refreshtoken", "auth/refreshtoken", signatures=1),
    "refreshdesktoptoken": Route("refreshdesktoptoken", "composer/refreshdesktoptoken", 1, {"app": None}),
    "listcontainer": Route("listcontainer", "composer/listcontainer"),
}


class Users:
    """Logged in once for all rows: as many as the most clients, each with a desktop; tokens are renewed in time."""

    def __init__(self, world: World, bare: Bare) -> None:
        """bare: what rows are compared with."""
        self._world = world
        self.bare = bare
        self._made: list[Client] = []
        self._renewed = time.monotonic()

    def first(self, count: int) -> list[Client]:
        """``count`` of them."""
        if time.monotonic() - self._renewed > _TOKEN_SECONDS:
            self._renewed = time.monotonic()
            for client in self._made:
                client.token = client.post("auth/refreshtoken")["result"]["jwt_user_token"]
        self._made += self._world.users(count - len(self._made), desktop=True)
        return self._made[:count]


def repeated(world: World, name: str, asks: list[Ask]) -> Row:
    """The row of clients that repeat what they ask."""
    with world.engine() as engine:
        return closed_loop(engine, world.watcher(), name, asks)


def route(world: World, users: Users, wanted: Route) -> list[Row]:
    """The rows of one route."""
    rows = []
    for count in CLIENTS:
        callers = users.first(count) if wanted.desktop else [Client(world.ports[0])] * count
        asks = [Ask(wanted.name, caller.request(wanted.path, wanted.body)) for caller in callers]
        rows.append(users.bare.beside(partial(repeated, world, wanted.name, asks)))
        rows[-1].facts["signatures"] = wanted.signatures
    return rows


def applications(world: World, users: Users) -> list[Row]:
    """getuserapplist with a small and with the shipped number of applications."""
    rows = []
    for count in (SMALL_CATALOGUE, SHIPPED):
        world.operator.ask("DELETE", "manager/images")
        world.register(documents(count))
        own = len(users.first(1)[0].post("composer/getuserapplist")["result"])
        found = route(world, users, Route(f"getuserapplist, {count} apps", "composer/getuserapplist"))
        for row in found:
            row.facts["applications"] = own
        rows += found
    return rows


def login_anonymous(world: World, users: Users) -> list[Row]:
    """Logins without a name: each makes a new user."""
    rows = []
    for count in CLIENTS:
        asks = [Ask("auth anonymous", Client(world.ports[0]).request("auth/auth", LOGIN))] * count
        rows.append(users.bare.beside(partial(repeated, world, "auth anonymous", asks)))
        rows[-1].facts["signatures"] = 1
    return rows


ShortScenario = Callable[[World, Users], list[Row]]
SCENARIOS: dict[str, ShortScenario] = {
    **{name: lambda world, users, wanted=wanted: route(world, users, wanted) for name, wanted in ROUTES.items()},  # type: ignore[misc]
    "getuserapplist": applications,
    "auth": login_anonymous,
}
