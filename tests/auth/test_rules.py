"""Rules: every test of the reference, how conditions combine, and what a mistake in a rule costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.auth.rules import RuleContext, compile_rules, rule_labels
from oc.auth.rules.geography import distance, position
from oc.errors import AuthenticationFailureError

CREW = "cn=ship_crew,ou=people,dc=planetexpress,dc=com"


def context(**changes: Any) -> RuleContext:
    return RuleContext(**{"client_ip": "10.0.2.216", **changes})


def labels(rules: Any, **changes: Any) -> dict[str, str]:
    return rule_labels(compile_rules(rules, "test"), context(**changes))


def rule(*conditions: Any, expected: Any = True, label: Any = "found", **more: Any) -> dict[str, Any]:
    return {"rule": {"conditions": list(conditions), "expected": expected, "label": label, **more}}


def holds(condition: dict[str, Any], **changes: Any) -> bool:
    """Whether one condition expecting True gives the label; expecting False must give the opposite."""
    answer = bool(labels(rule({**condition, "expected": True}), **changes))
    assert bool(labels(rule({**condition, "expected": False}), **changes)) is not answer
    return answer


def test_boolean() -> None:
    assert holds({"boolean": True})
    assert not holds({"boolean": False})


def test_httpheader_needs_every_header_with_its_value() -> None:
    test = {"httpheader": {"X-Site": "hq", "X-Role": "it"}}
    assert holds(test, headers={"x-site": "hq", "x-role": "it"})
    assert not holds(test, headers={"x-site": "hq"})
    assert not holds(test, headers={"x-site": "hq", "x-role": "IT"})


def test_existhttpheader_needs_every_header() -> None:
    assert holds({"existhttpheader": ["X-A", "x-b"]}, headers={"x-a": "", "x-b": "1"})
    assert not holds({"existhttpheader": ["X-A", "x-b"]}, headers={"x-a": ""})


@pytest.mark.parametrize("key", ["memberOf", "memberof"])
def test_memberof_compares_whole_rdns(key: str) -> None:
    assert holds({key: "CN=ship_crew,OU=people"}, roles=(CREW,))
    assert holds({key: ["cn=other", CREW]}, roles=("x", CREW))
    assert not holds({key: "cn=ship"}, roles=(CREW,))
    assert not holds({key: CREW}, roles=())


def test_memberof_asks_the_directory_only_when_the_user_lists_no_groups() -> None:
    asked: list[str] = []

    def member_of(group: str) -> bool:
        asked.append(group)
        return group == CREW

    assert labels(rule({"memberOf": CREW, "expected": True}), member_of=member_of) == {"found": "true"}
    assert asked == [CREW]
    assert labels(rule({"memberOf": CREW, "expected": True}), roles=("cn=x",), member_of=member_of) == {}
    assert asked == [CREW]


@pytest.mark.parametrize("key", ["network", "network-client-ip"])
@pytest.mark.parametrize(
    ("networks", "address", "expected"),
    [
        ("10.0.0.0/8", "10.0.2.216", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        (["192.168.0.0/16", "10.0.2.216"], "10.0.2.216", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("10.0.0.0/8", "garbage", False),
    ],
)
def test_network_of_the_client(key: str, networks: Any, address: str, expected: bool) -> None:
    assert holds({key: networks}, client_ip=address) is expected


def test_network_of_the_headers() -> None:
    forwarded = {"x-forwarded-for": "203.0.113.9, 10.0.0.1, nonsense"}
    assert holds({"network-x-forwarded-for": "203.0.113.0/24"}, headers=forwarded)
    assert holds({"network-x-forwarded-for": ["10.0.0.0/8"]}, headers=forwarded)
    assert not holds({"network-x-forwarded-for": "192.0.2.0/24"}, headers=forwarded)
    assert not holds({"network-x-forwarded-for": "0.0.0.0/0"}, headers={})
    assert holds({"network-x-real-ip": "10.0.0.0/8"}, headers={"x-real-ip": "10.0.0.7"})
    assert not holds({"network-x-real-ip": "10.0.0.0/8"}, headers={"x-forwarded-for": "10.0.0.7"})


@pytest.mark.parametrize("value", [513, "513"])
@pytest.mark.parametrize("attribute", [513, "513", ["513"]])
def test_primarygroupid(value: Any, attribute: Any) -> None:
    assert holds({"primarygroupid": value}, attributes={"primaryGroupID": attribute})
    assert not holds({"primarygroupid": value}, attributes={"primaryGroupID": 514})
    assert not holds({"primarygroupid": value}, attributes={})


def test_attribut_starts_with_or_equals() -> None:
    fry = {"title": "Delivery boy", "mail": ["fry@x.org", "pjf@x.org"]}
    assert holds({"attribut": {"attribut": "title", "startwith": "Delivery", "equal": ""}}, attributes=fry)
    assert holds({"attribut": {"attribut": "title", "startwith": "", "equal": "Delivery boy"}}, attributes=fry)
    assert holds({"attribut": {"attribut": "title", "equal": "Delivery boy"}}, attributes=fry)
    assert holds({"attribut": {"attribut": "mail", "startwith": "pjf"}}, attributes=fry)
    assert not holds({"attribut": {"attribut": "title", "startwith": "boy", "equal": "Delivery boy"}}, attributes=fry)
    assert not holds({"attribut": {"attribut": "title", "equal": "Delivery"}}, attributes=fry)
    assert not holds({"attribut": {"attribut": "absent", "equal": "x"}}, attributes=fry)


PARIS = {"accuracy": 1000, "latitude": 48.8566, "longitude": 2.3522}


def test_geolocation_is_a_circle_around_the_point() -> None:
    near = {"accuracy": 10.0, "latitude": 48.8570, "longitude": 2.3600}
    far = {"accuracy": 10.0, "latitude": 48.9, "longitude": 2.3522}
    assert holds({"geolocation": PARIS}, geolocation=near)
    assert not holds({"geolocation": PARIS}, geolocation=far)
    assert holds({"geolocation": {**PARIS, "accuracy": 6000.5}}, geolocation=far)
    assert not holds({"geolocation": PARIS}, geolocation=None)


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        ((48.8566, 2.3522), (51.5074, -0.1278), 343_556),
        ((0, 0), (0, 180), 20_015_115),
        ((90, 0), (-90, 0), 20_015_115),
        ((0, 179.9), (0, -179.9), 22_239),
        ((10, 10), (10, 10), 0),
    ],
)
def test_distances_on_the_globe(one: tuple[float, float], other: tuple[float, float], metres: float) -> None:
    assert distance(*one, *other) == pytest.approx(metres, rel=1e-3, abs=1)


coordinates = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(coordinates, coordinates)
def test_distances_are_symmetric_and_bounded(one: tuple[float, float], other: tuple[float, float]) -> None:
    there = distance(*one, *other)
    assert 0 <= there <= 20_015_116
    assert there == pytest.approx(distance(*other, *one), abs=1e-3)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [],
        "Paris",
        {"latitude": 1, "longitude": 1},
        {**PARIS, "latitude": 91},
        {**PARIS, "longitude": -181},
        {**PARIS, "accuracy": -1},
        {**PARIS, "latitude": "48"},
        {**PARIS, "latitude": True},
        {**PARIS, "latitude": float("nan")},
        {**PARIS, "accuracy": float("inf")},
    ],
)
def test_what_is_no_position_is_none(value: Any) -> None:
    assert position(value) is None


def test_asnumber_is_in_the_list() -> None:
    assert holds({"asnumber": "3215"}, asnumber="3215")
    assert holds({"asnumber": ["AS15169", 3215]}, asnumber="3215")
    assert not holds({"asnumber": "321"}, asnumber="3215")
    assert not holds({"asnumber": "3215"}, asnumber=None)


def test_several_tests_in_one_condition_are_alternatives() -> None:
    assert labels(rule({"boolean": False, "network": "10.0.0.0/8", "expected": True})) == {"found": "true"}
    assert labels(rule({"boolean": False, "network": "11.0.0.0/8", "expected": True})) == {}
    assert labels(rule({"boolean": True, "network": "11.0.0.0/8", "expected": False})) == {"found": "true"}


def test_conditions_are_all_needed() -> None:
    yes, no = {"boolean": True, "expected": True}, {"boolean": False, "expected": True}
    assert labels(rule(yes, yes)) == {"found": "true"}
    assert labels(rule(yes, no)) == {}


def test_the_rule_s_expected_turns_the_result_around() -> None:
    no = {"boolean": False, "expected": True}
    assert labels(rule(no, expected=False)) == {"found": "true"}
    assert labels(rule({"boolean": True, "expected": True}, expected=False)) == {}


@pytest.mark.parametrize("expected", [True, False])
@pytest.mark.parametrize("conditions", [[], None, ...])
def test_without_conditions_there_is_no_label(expected: bool, conditions: Any) -> None:
    document = {"conditions": conditions, "expected": expected, "label": "found"}
    assert labels({"r": {key: value for key, value in document.items() if value is not ...}}) == {}


@pytest.mark.parametrize("condition", [{"boolean": True}, {"boolean": True, "expected": "True"}, {"expected": True}])
def test_a_condition_without_expected_or_test_never_holds(condition: dict[str, Any]) -> None:
    assert labels(rule(condition)) == {}
    assert labels(rule(condition, expected=False)) == {"found": "true"}


def test_the_value_is_load_and_the_last_rule_wins() -> None:
    yes = [{"boolean": True, "expected": True}]
    rules = {
        "one": {"conditions": yes, "expected": True, "label": "a", "load": "first"},
        "two": {"conditions": yes, "expected": True, "label": "b"},
        "three": {"conditions": yes, "expected": True, "label": "a", "load": "last"},
    }
    assert labels(rules) == {"a": "last", "b": "true"}


YES = {"boolean": True, "expected": True}


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        None,
        {"conditions": [YES], "label": "x"},
        {"conditions": [YES], "expected": "True", "label": "x"},
        {"conditions": [YES], "expected": True},
        {"conditions": [YES], "expected": True, "label": 5},
        {"conditions": [YES], "expected": True, "label": "bad label"},
        {"conditions": [YES], "expected": True, "label": "access_userid", "load": "leela"},
        {"conditions": [YES], "expected": True, "label": "netpol/x"},
        {"conditions": [YES], "expected": True, "label": "x", "load": "bad value!"},
        {"conditions": [YES], "expected": True, "label": "x", "load": 5},
        {"conditions": "text", "expected": True, "label": "x"},
        {"conditions": ["text"], "expected": True, "label": "x"},
        {"conditions": [{"boolean": "True", "expected": True}], "expected": False, "label": "x"},
        {"conditions": [{"network": "10.0.0.0/99", "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"network": [], "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"httpheader": {}, "expected": True}], "expected": True, "label": "x"},
        {"conditions": [{"httpheader": {"a": 5}, "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"existhttpheader": [], "expected": True}], "expected": True, "label": "x"},
        {"conditions": [{"memberOf": 5, "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"memberOf": [""], "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"primarygroupid": "x", "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"attribut": {"attribut": "a"}, "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"attribut": {"equal": "a"}, "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"geolocation": {"latitude": 1}, "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"asnumber": [], "expected": False}], "expected": True, "label": "x"},
        {"conditions": [{"asnumber": ["x"], "expected": False}], "expected": True, "label": "x"},
    ],
)
def test_a_faulty_rule_gives_no_label_is_logged_and_costs_no_other_rule(
    broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rules = {"broken one": broken, **rule(YES)}
    assert labels(rules) == {"found": "true"}
    assert "broken one" in caplog.text


def test_an_unknown_test_is_named_in_the_log_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    assert labels(rule({"boolean": True, "phaseOfMoon": "full", "expected": True})) == {"found": "true"}
    assert "phaseOfMoon" in caplog.text


def test_a_look_up_that_fails_costs_only_its_rule(caplog: pytest.LogCaptureFixture) -> None:
    def away(group: str) -> bool:
        raise AuthenticationFailureError("the directory does not answer")

    rules = {"first": rule({"memberOf": CREW, "expected": False}, label="x")["rule"], **rule(YES)}
    assert labels(rules, member_of=away) == {"found": "true"}
    assert "does not answer" in caplog.text


@pytest.mark.parametrize("rules", [None, {}, [], "text", 5])
def test_rules_that_are_none_give_no_label(rules: Any) -> None:
    assert labels(rules) == {}
