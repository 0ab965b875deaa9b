"""Logins with a directory: OpenLDAP's server with a small company in it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.limits import CLIENTS, ROUNDS, best_of, closed_loop
from bench.load import Ask, encode
from bench.measuring import Row
from bench.world import World
from devstack.peers.planetexpress import provider
from devstack.peers.slapd import Slapd, missing

NAME = "auth LDAP"
_LOGIN = {"manager": "explicit", "provider": "planet", "userid": "Philip J. Fry", "password": "fry"}


def configuration(slapd: Slapd) -> dict[str, Any]:
    """od.config keys: one provider, two servers."""
    providers = {"planet": {"config_ref": "ldapconfig", "enabled": True}}
    return {
        "ldapconfig": {"planet": provider(slapd.ldap)},
        "authmanagers": {"explicit": {"show_domains": True, "providers": providers}, "implicit": {"providers": {}}},
    }


def login(world: World, slapd: Slapd) -> list[Row]:
    """The same user again and again: his secrets are there after the first time."""
    rows = []
    ask = Ask(NAME, encode("POST", "auth/auth", _LOGIN))
    for count in CLIENTS:
        rounds, before = [], slapd.log_size()
        for _ in range(ROUNDS):
            with world.engine() as engine:
                rounds.append(closed_loop(engine, world.watcher(), NAME, [ask] * count))
        asked, done, row = slapd.requests(before), sum(one.requests + one.warm for one in rounds), best_of(rounds)
        row.facts |= {
            "signatures": 1,
            "ldap_requests": len(asked) / done,
            "ldap_binds": asked.count("BIND") / done,
            "ldap_connections": slapd.connections(before)[0] / done,
        }
        rows.append(row)
    return rows


def run() -> list[Row]:
    """The rows; none where slapd is not installed. Prints why."""
    reason = missing()
    if reason:
        print(f"no login with a directory: {reason}")
        return []
    with (
        tempfile.TemporaryDirectory(prefix="pyos-bench-") as directory,
        Slapd(Path(directory) / "slapd") as slapd,
        World(overrides=configuration(slapd)) as world,
    ):
        return login(world, slapd)
