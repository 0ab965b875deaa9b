"""Faults that come by chance, a server with a limit, pods that take their time: what load tests order."""

from __future__ import annotations

import pytest

from devstack.cluster.faults import FaultRule, Faults, PodRule
from devstack.cluster.requestinfo import RequestInfo, parse
from tests.devstack.cluster import bed as beds

PATH = "/api/v1/namespaces/abc/pods"


def info() -> RequestInfo:
    return parse("GET", PATH, {})


def pod(uid: str) -> dict[str, object]:
    return {"metadata": {"name": "p", "uid": uid}}


def test_a_rule_with_a_share_hits_about_that_share_of_the_requests() -> None:
    faults = Faults()
    faults.rules.append(FaultRule(status=500, share=0.2))
    hits = sum(faults.rule_for(info(), "pyos") is not None for _ in range(5000))
    assert 800 < hits < 1200


def test_what_chance_spares_goes_on_to_the_next_rule() -> None:
    faults = Faults()
    faults.rules += [FaultRule(status=500, share=0.0), FaultRule(per_second=10.0)]
    found = faults.rule_for(info(), "pyos")
    assert found is not None
    assert found.per_second == 10.0


def test_under_a_limit_requests_wait_for_their_turn_and_are_refused_when_the_queue_is_long() -> None:
    faults = Faults()
    rule = FaultRule(per_second=4.0, queue_s=1.0)
    turns = [faults.turn(rule) for _ in range(6)]
    assert turns[0] == 0.0
    waits = [turn for turn in turns if turn is not None]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(1.0, abs=0.2)
    assert turns[-1] is None


def test_pods_take_longer_by_a_time_of_their_own_that_stays_the_same() -> None:
    faults = Faults()
    faults.pod_rules.append(PodRule(start_after_s=1.0, spread_s=4.0))
    seconds = [faults.behaviour_of(pod(f"uid-{number}")).start_after_s for number in range(200)]
    assert seconds == [faults.behaviour_of(pod(f"uid-{number}")).start_after_s for number in range(200)]
    assert 1.0 <= min(seconds) < 1.5
    assert 4.5 < max(seconds) <= 5.0
    assert faults.behaviour_of(pod("uid-1")).ready_after_s == 0.0


def test_a_server_that_is_asked_too_much_says_429_and_when_to_come_again(bed: beds.Bed, space: str) -> None:
    bed.admin("POST", "faults", {"resource": "pods", "per_second": 0.1, "queue_s": 0.0})
    assert bed.get(f"{space}/pods").status == 200
    refused = bed.get(f"{space}/pods")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
