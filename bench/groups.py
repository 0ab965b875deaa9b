"""All scenarios, in groups that share a stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import desktops, short
from bench.limits import neighbour_rows, signature_row
from bench.measuring import Row
from bench.world import World

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """Of a run: minutes and number of the simulated users."""

    minutes: float
    minutes_two: float
    users: int


@dataclass(frozen=True)
class Group:
    """Scenarios by name, and how they are run."""

    run: Callable[[Group, Sequence[str], Options, Say], list[Row]]
    scenarios: Mapping[str, Any]


def _requests(group: Group, chosen: Sequence[str], options: Options, say: Say) -> list[Row]:
    """The scenarios of single requests: one stack for all, the prices of neighbours first."""
    del options
    with World() as world:
        assert world.stack.keys
        rows = [signature_row(world.stack.keys.user_signing.private), *neighbour_rows(world)]
        say("measured the limits")
        users = short.Users(world)
        for name in chosen:
            rows += group.scenarios[name](world, users)
            say(f"measured {name}")
    return rows


GROUPS: tuple[Group, ...] = (Group(_requests, {**short.SCENARIOS, **desktops.SCENARIOS}),)


def names() -> list[str]:
    """Of all scenarios, in order."""
    return [name for group in GROUPS for name in group.scenarios]
