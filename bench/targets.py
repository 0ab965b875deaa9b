"""What is to be reached: one table. Each target names a figure of a row; nothing measured is not reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.measuring import Row

REACH, FLOOR = "reach", "floor: a tenth of before"


@dataclass(frozen=True)
class Target:
    """``figure`` of the rows called ``row`` is at most (or, with ``at_least``, at least) ``value``.

    Of several rows the worst counts; ``clients`` picks one of them.
    """

    row: str
    figure: str
    value: float
    at_least: bool = False
    clients: int | None = None
    unit: str = ""
    why: str = REACH

    def measured(self, rows: Sequence[Row]) -> float | None:
        """The worst figure, None when there is none."""
        found = [
            figure
            for row in rows
            if row.name == self.row and self.clients in (None, row.clients)
            if (figure := row.figure(self.figure)) is not None
        ]
        return (min if self.at_least else max)(found) if found else None

    def met(self, rows: Sequence[Row]) -> bool | None:
        """Whether it is reached, None when it was not measured."""
        value = self.measured(rows)
        if value is None:
            return None
        return value >= self.value if self.at_least else value <= self.value

    @property
    def text(self) -> str:
        """What is wanted, in words."""
        return f"{'≥' if self.at_least else '≤'} {self.value:g}{self.unit and ' ' + self.unit}"


def _most(row: str, figure: str, value: float, unit: str = "", why: str = REACH) -> Target:
    return Target(row, figure, value, unit=unit, why=why)


def _least(row: str, figure: str, value: float, unit: str = "") -> Target:
    return Target(row, figure, value, at_least=True, unit=unit)


_NEAR_BARE = (
    "getmessageinfo", "refreshtoken", "refreshdesktoptoken", "whoami", "getuserapplist, 29 apps",
    "getuserapplist, 116 apps",
)  # fmt: skip
_CPU_MS = {
    "auth anonymous": 4.0,
    "refreshtoken": 1.5,
    "refreshdesktoptoken": 1.5,
    "getmessageinfo": 0.7,
    "getuserapplist, 29 apps": 1.0,
    "getuserapplist, 116 apps": 1.0,
    "launchdesktop, resume": 5.0,
    "launchdesktop, cold": 25.0,
    "ocrun, ephemeral container": 15.0,
    "ocrun, pod": 15.0,
    "manager, list of 1000 desktops": 50.0,
}
#: The product this one replaces, on the same kind of machine: processor time a request. A tenth of it is the floor.
BEFORE_CPU_MS = {
    "auth anonymous": 71.0,
    "getuserapplist, 29 apps": 6.0,
    "getmessageinfo": 2.0,
    "refreshdesktoptoken": 102.0,
    "launchdesktop, resume": 187.0,
    "launchdesktop, cold": 404.0,
    "ocrun, ephemeral container": 344.0,
    "ocrun, pod": 143.0,
    "listcontainer": 62.0,
    "logout": 145.0,
}
_LAUNCHES = ("500 launches at 10/s", "500 launches at 10/s, bad API server")
_LOGINS = ("auth anonymous", "auth LDAP")
#: One round trip, and what the process does by itself meanwhile.
_ONE = 1.2

TARGETS: tuple[Target, ...] = (
    # cold launches
    _most("launchdesktop, cold", "api_calls", 6),
    _most("launchdesktop, cold", "unlabelled_lists", 0),
    _most(_LAUNCHES[0], "added_p50_ms", 50, "ms"),
    _most(_LAUNCHES[0], "added_p99_ms", 300, "ms"),
    *(_least(name, "succeeded_share", 1) for name in _LAUNCHES),
    *(_most(name, "doubled", 0) for name in _LAUNCHES),
    *(_most(name, "healthz_p99_ms", 50, "ms") for name in _LAUNCHES),
    *(_most(name, "getmessageinfo_p99_ms", 100, "ms") for name in _LAUNCHES),
    _least("60 launches cut off, then again", "succeeded_share", 1),
    _most("60 launches cut off, then again", "doubled", 0),
    # single requests
    *(_least(name, "of_bare", 0.6) for name in _NEAR_BARE),
    *(_most(name, "cpu_ms", value, "ms") for name, value in _CPU_MS.items()),
    *(_most(name, "signatures", 1) for name in _LOGINS),
    *(_most(name, "memcached", _ONE) for name in _LOGINS),
    *(_most(name, "mongodb", _ONE) for name in _LOGINS),
    # people at work
    _most("1000 users, 1 replica", "cpu_percent", 40, "% of a core"),
    _most("a second replica", "cpu_of_one", 1.2),
    # growth
    _most("growth with desktops", "list_cpu_by_answer_size", 1.1),
    _most("growth with desktops", "find_cpu_by_desktops", 0.1),
    _most("memory, 10000 desktops", "rss_start_mb", 120, "MB"),
    _most("memory, 10000 desktops", "kb_a_desktop", 20, "kB"),
    _most("memory, 10000 desktops", "purged_to_before", 1.2),
    _most("idle, 1000 desktops", "cpu_percent", 1, "% of a core"),
    _least("garbage collection of 1000 desktops", "removed", 1000),
    _most("boot, everything reachable", "seconds", 1.5, "s"),
    _most("boot, MongoDB and memcached away", "seconds", 5, "s"),
    # the floor
    *(_most(name, "cpu_ms", value / 10, "ms", FLOOR) for name, value in BEFORE_CPU_MS.items()),
)
