"""All scenarios, in groups that share a stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench import boot, catalogue, desktops, directory, many, short
from bench.launching import BAD_API_SERVER, LATE_SERVICES, launches
from bench.limits import bare_handler, neighbour_rows, signature_row
from bench.measuring import Row, Stolen
from bench.users import active_users
from bench.vanishing import vanishing
from bench.world import World

Say = Callable[[str], None]
QUIET = 0.03
TRIES = 3


@dataclass(frozen=True)
class Options:
    """Of a run: minutes and number of the simulated users."""

    minutes: float
    minutes_two: float
    users: int


Scenario = Callable[[World], list[Row]]
Runner = Callable[[Sequence[str], Options, Say], list[Row]]


@dataclass(frozen=True)
class Group:
    """Names of scenarios, and what runs those that are wanted."""

    scenarios: Sequence[str]
    run: Runner


_REQUESTS = {**short.SCENARIOS, **desktops.SCENARIOS, **catalogue.SCENARIOS}
_LAUNCHES: Mapping[str, Scenario] = {
    "launch1": lambda world: launches(world, "1 launch", 1),
    "launch50": lambda world: launches(world, "50 launches at 10/s", 50),
    "launch50late": lambda world: launches(world, "50 launches at 10/s, services late", 50, pods=LATE_SERVICES),
    "launch500": lambda world: launches(world, "500 launches at 10/s", 500),
    "launch500bad": lambda world: launches(world, "500 launches at 10/s, bad API server", 500, BAD_API_SERVER),
    "vanish": vanishing,
}
_ALONE: Mapping[str, Scenario] = {
    "boot": boot.boot,
    "idle": many.idle,
    "memory": many.memory,
    "manager": many.manager,
    "garbage": many.garbage,
}


def measured(name: str, scenario: Callable[[], list[Row]], say: Say, tries: int = 1) -> list[Row]:
    """The rows of a scenario. One that fails is a row that says so: the others are measured all the same.

    tries: how often it is measured while other tenants of the machine take more than QUIET of its processors' time; the
    quietest counts.
    """
    found: list[tuple[float, list[Row]]] = []
    for _ in range(tries):
        with Stolen() as stolen:
            rows = _rows(name, scenario, say)
        found.append((stolen.share, rows))
        if stolen.share <= QUIET or any(row.failed for row in rows):
            break
        say(f"{name}: others took {stolen.share:.0%} of the processors' time")
    share, rows = min(found, key=lambda one: (not any(row.failed for row in one[1]), one[0]))
    if tries > 1 and rows:
        rows[0].facts["stolen_percent"] = share * 100
    return rows


def _rows(name: str, scenario: Callable[[], list[Row]], say: Say) -> list[Row]:
    try:
        rows = scenario()
    except (RuntimeError, OSError, TimeoutError) as error:
        say(f"FAILED {name}: {error}")
        return [Row(f"FAILED: {name}", failed=1, notes=[f"{type(error).__name__}: {error}"])]
    say(f"measured {name}")
    return rows


def _requests(chosen: Sequence[str], options: Options, say: Say) -> list[Row]:
    """The scenarios of single requests: one stack for all, the prices of neighbours first."""
    del options
    with World() as world, bare_handler() as bare:
        assert world.stack.keys
        rows = [signature_row(world.stack.keys.user_signing.private), *neighbour_rows(world)]
        say("measured the limits")
        users = short.Users(world, bare)
        for name in chosen:
            rows += measured(name, partial(_REQUESTS[name], world, users), say)
    return rows


def _launches(chosen: Sequence[str], options: Options, say: Say) -> list[Row]:
    """Launches share a stack: what one leaves behind, the next would show."""
    del options
    rows = []
    with World() as world:
        for name in chosen:
            rows += measured(name, partial(_LAUNCHES[name], world), say, TRIES)
    return rows


def _with_world(scenario: Scenario, replicas: int = 1) -> list[Row]:
    with World(replicas=replicas) as world:
        return scenario(world)


def _alone(chosen: Sequence[str], options: Options, say: Say) -> list[Row]:
    """Each on a stack of its own: memory is that of a process that did nothing before."""
    del options
    rows = []
    for name in chosen:
        rows += measured(name, partial(_with_world, _ALONE[name]), say, TRIES)
    return rows


def _directory(chosen: Sequence[str], options: Options, say: Say) -> list[Row]:
    del chosen, options
    return measured("ldap", directory.run, say)


def _users(chosen: Sequence[str], options: Options, say: Say) -> list[Row]:
    """Users at work, at one and at two replicas."""
    rows = []
    for name, replicas, minutes in (("users", 1, options.minutes), ("users2", 2, options.minutes_two)):
        if name in chosen:
            scenario = partial(active_users, count=options.users, minutes=minutes)
            rows += measured(name, partial(_with_world, scenario, replicas), say)
    spent = [row.facts["cpu_percent"] for row in rows if row.facts.get("desktops") and "arriving" not in row.name]
    if len(spent) == 2:
        rows.append(Row("a second replica", facts={"cpu_of_one": spent[1] / spent[0]}))
    return rows


GROUPS: tuple[Group, ...] = (
    Group(tuple(_REQUESTS), _requests),
    Group(("ldap",), _directory),
    Group(tuple(_ALONE), _alone),
    Group(tuple(_LAUNCHES), _launches),
    Group(("users", "users2"), _users),
)


def names() -> list[str]:
    """Of all scenarios, in order."""
    return [name for group in GROUPS for name in group.scenarios]
