"""What is to be reached: one table. Each target names a figure of a row; nothing measured is not reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.measuring import Row


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


def _most(row: str, figure: str, value: float, unit: str = "", clients: int | None = None) -> Target:
    return Target(row, figure, value, unit=unit, clients=clients)


def _least(row: str, figure: str, value: float, unit: str = "", clients: int | None = None) -> Target:
    return Target(row, figure, value, at_least=True, unit=unit, clients=clients)


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
#: The product this one replaces, on the same kind of machine: processor time a request.
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

TARGETS: tuple[Target, ...] = (
    _most("launchdesktop, cold", "api_calls", 6),
    _most("launchdesktop, cold", "unlabelled_lists", 0),
    *(_most(name, "cpu_ms", value, "ms") for name, value in _CPU_MS.items()),
    *(_least(name, "of_bare", 0.6) for name in _NEAR_BARE),
    *(_most(name, "cpu_ms", value / 10, "ms") for name, value in BEFORE_CPU_MS.items()),
    _most("auth anonymous", "mongodb", 1.2),
    _most("auth anonymous", "memcached", 1.2),
)
