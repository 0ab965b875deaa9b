"""Quantiles, targets, limits and the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from bench import applications
from bench.groups import measured
from bench.limits import BARE, Bare, Costs, best_of, best_of_bare, costs
from bench.measuring import Row, Stolen
from bench.report import document, render, requests_table, targets_table
from bench.statistics import quantile, slope
from bench.targets import TARGETS, Target


def row(name: str = "whoami", **given: object) -> Row:
    made = Row(name, clients=8, requests=4, seconds=2.0, cpu_ms=1.5, times_ms=[1.0, 2.0, 3.0, 40.0])
    for key, value in given.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.95, 95), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_quantile_is_the_nearest_rank(share: float, value: float) -> None:
    assert quantile([float(n) for n in range(100, 0, -1)], share) == value


def test_the_best_round_counts_with_the_failures_of_all() -> None:
    best = best_of([row(seconds=4.0, failed=1, notes=["a"]), row(seconds=2.0, notes=["b"]), row(seconds=3.0)])
    assert (best.seconds, best.failed, best.notes) == (2.0, 1, ["a", "b"])


def test_a_share_is_the_median_of_those_beside_a_bare_handler_in_the_same_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = iter([4.0, 1.0, 2.0])  # requests/s: the machine was slow in the second round
    asked: list[int] = []

    def at(_: Bare, clients: int, seconds: float) -> Row:
        asked.append(clients)
        return row(seconds=4 / next(bare))

    monkeypatch.setattr(Bare, "row", at)
    ours = iter([row(seconds=2.0), row(seconds=8.0), row(seconds=4.0)])  # 2, 0.5 and 1 requests/s
    best = Bare(0, 0).beside(lambda: next(ours))
    assert (best.of_bare, best.per_second, asked) == (0.5, 2.0, [8, 8, 8])


def test_the_quantile_of_nothing_is_zero() -> None:
    assert quantile([], 0.5) == 0.0


def test_the_slope_tells_proportion_from_square() -> None:
    assert slope([(10, 1), (1000, 100)]) == pytest.approx(1.0)
    assert slope([(10, 1), (100, 100)]) == pytest.approx(2.0)
    assert slope([(10, 5), (10_000, 5)]) == pytest.approx(0.0)


def test_a_row_gives_its_figures_by_name() -> None:
    made = row(facts={"api_calls": 6.0}, kubernetes={"get pods": 1.0, "list pods": 2.0})
    assert made.figure("per_second") == 2.0
    assert made.figure("p99_ms") == 40.0
    assert made.figure("kubernetes_calls") == 3.0
    assert made.figure("api_calls") == 6.0
    assert made.figure("unknown") is None


def test_the_worst_of_several_rows_is_compared_with_the_target() -> None:
    rows = [row(cpu_ms=1.0, clients=1), row(cpu_ms=3.0, clients=32)]
    assert Target("whoami", "cpu_ms", 2.0).met(rows) is False
    assert Target("whoami", "cpu_ms", 2.0, clients=1).met(rows) is True
    assert Target("whoami", "per_second", 2.0, at_least=True).met(rows) is True


def test_what_was_not_measured_is_not_met() -> None:
    assert Target("other", "cpu_ms", 2.0).met([row()]) is None
    assert any("not measured" in line for line in targets_table([row()]))


def test_of_a_part_of_the_scenarios_only_what_was_measured_is_compared() -> None:
    text = render([row("getmessageinfo", cpu_ms=99.0)], {}, whole=False)
    assert "not measured" not in text
    assert "| 99 | **no** |" in text


def test_what_failed_is_said_in_the_table() -> None:
    assert "getmessageinfo: 503 busy" in render([row(failed=1, notes=["getmessageinfo: 503 busy"])], {})
    assert "## Failures" not in render([row()], {})


def test_a_gap_is_shown() -> None:
    slow = row("getmessageinfo", cpu_ms=99.0)
    line = next(line for line in targets_table([slow]) if "| getmessageinfo | cpu_ms | reach | ≤ 0.7 ms" in line)
    assert line.endswith("| 99 | **no** |")


def test_no_target_stands_twice_in_the_table() -> None:
    keys = [(target.row, target.figure, target.clients, target.why) for target in TARGETS]
    assert len(set(keys)) == len(keys)


def test_the_limit_of_a_row_adds_up_what_it_cannot_do_without() -> None:
    prices = Costs(bare=0.5, signature=0.4, kubernetes=0.2, mongodb=0.3, memcached=0.01)
    made = row(kubernetes={"get pods": 2.0}, mongodb=1.0, memcached=10.0)
    assert prices.of(made, signatures=1) == pytest.approx(0.5 + 0.4 + 0.4 + 0.3 + 0.1)


def test_prices_come_from_the_measured_limits() -> None:
    limits = [
        Row(BARE, clients=1, cpu_ms=0.7),
        Row(BARE, clients=8, cpu_ms=0.6),
        Row("limit: RS256 signature", cpu_ms=0.4),
        Row("limit: Kubernetes, get a pod", cpu_ms=0.2),
        Row("limit: Kubernetes, create a secret", cpu_ms=0.4),
    ]
    found = costs(limits)
    assert found.bare == 0.6
    assert found.signature == 0.4
    assert found.kubernetes == pytest.approx(0.3)


def test_requests_are_compared_with_the_best_the_bare_handler_did() -> None:
    rows = [row(BARE, requests=10, clients=8), row(BARE, requests=30, clients=8), row(BARE, requests=20, clients=1)]
    assert best_of_bare([*rows, row()]) == {8: 15.0, 1: 10.0}


def test_the_table_has_a_cell_for_every_column() -> None:
    head, rule, line = requests_table([row(limit_ms=0.5, of_bare=0.25, kubernetes={"get pods/exec": 2.0})])
    assert head.count("|") == rule.count("|") == line.count("|")
    assert "| 25% |" in line
    assert "2 exec" in line


def test_a_run_is_written_as_json_and_as_markdown() -> None:
    facts = {"date": "2026-01-01", "cores": 2}
    data = json.loads(json.dumps(document([row()], facts)))
    assert data["rows"][0]["name"] == "whoami"
    assert {target["met"] for target in data["targets"]} <= {True, False, None}
    text = render([row()], facts)
    assert "- cores: 2" in text
    assert "| whoami | 8 | 4 | 0 | 2 |" in text


def test_the_catalogue_is_as_large_as_the_shipped_one_and_always_the_same() -> None:
    made = applications.documents()
    assert len(made) == 116
    assert 1_700_000 < len(json.dumps(made)) < 1_900_000
    assert made == applications.documents()
    assert len({document["Id"] for document in made}) == 116


def test_a_scenario_is_measured_again_while_others_take_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([0.2, 0.05, 0.1])
    monkeypatch.setattr(Stolen, "_times", staticmethod(_clock_of(taken)))
    runs = iter([row(cpu_ms=1.0), row(cpu_ms=2.0), row(cpu_ms=3.0)])
    [best] = measured("launch1", lambda: [next(runs)], lambda text: None, tries=3)
    assert best.cpu_ms == 2.0
    assert best.facts["stolen_percent"] == pytest.approx(5.0)


def test_a_quiet_scenario_is_measured_once_and_a_failed_one_is_not_repeated_until_it_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Stolen, "_times", staticmethod(_clock_of(iter([0.0, 0.5]))))
    assert measured("launch1", lambda: [row(cpu_ms=1.0)], lambda text: None, tries=3)[0].cpu_ms == 1.0
    assert measured("launch1", lambda: [row(failed=1)], lambda text: None, tries=3)[0].failed == 1


def _clock_of(shares: Iterator[float]) -> Callable[[], tuple[int, int]]:
    """Processor times by which the next share is stolen between the first and the second look."""
    looks = (ticks for share in shares for ticks in ((0, 0), (round(share * 1000), 1000)))
    return lambda: next(looks)
