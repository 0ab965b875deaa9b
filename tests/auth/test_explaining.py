"""Explanations of rules: the labels of a login, and why; for operators only, without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.service import Backends, Service
from oc.auth.rules import RuleContext, compile_rules, explain_rules, faults, rule_labels
from oc.auth.rules.conditions import TESTS
from oc.errors import AuthenticationFailureError
from tests.support import Api

CREW = "cn=ship_crew,ou=people,dc=planetexpress,dc=com"
#: One value of each test, and a login that passes it.
PASSED: dict[str, Any] = {
    "boolean": True,
    "httpheader": {"X-Site": "hq"},
    "existhttpheader": ["X-Site"],
    "memberOf": [CREW],
    "memberof": CREW,
    "network": "10.0.0.0/8",
    "network-client-ip": ["10.0.0.0/8"],
    "network-x-forwarded-for": "192.0.2.0/24",
    "network-x-real-ip": "192.0.2.0/24",
    "primarygroupid": 513,
    "attribut": {"attribut": "mail", "equal": "fry@planetexpress.com"},
    "geolocation": {"accuracy": 20000, "latitude": 48.8582, "longitude": 2.3387},
    "asnumber": [64496, "AS64497"],
}
HEADERS = {"x-site": "hq", "x-forwarded-for": "192.0.2.7", "x-real-ip": "192.0.2.7"}
ATTRIBUTES = {"mail": "fry@planetexpress.com", "primaryGroupID": "513"}
PARIS = {"accuracy": 10.0, "latitude": 48.85, "longitude": 2.35}


def login(**changes: Any) -> RuleContext:
    facts: dict[str, Any] = {
        "client_ip": "10.0.2.216",
        "headers": HEADERS,
        "roles": (CREW, "cn=pilots"),
        "attributes": ATTRIBUTES,
        "geolocation": PARIS,
        "asnumber": "64497",
    }
    return RuleContext(**facts | changes)


def rule(*conditions: dict[str, Any], expected: bool = True, label: str = "found", **more: Any) -> dict[str, Any]:
    return {"conditions": list(conditions), "expected": expected, "label": label, **more}


def explained(rules: Any, **changes: Any) -> list[dict[str, Any]]:
    return list(explain_rules(compile_rules(rules, "test"), login(**changes)).rules)


@pytest.mark.parametrize("key", sorted(TESTS))
def test_every_test_says_what_it_wanted_and_what_it_found(key: str) -> None:
    [found] = explained({"one": rule({key: PASSED[key], "expected": True})})
    assert found["applies"] is True
    [test] = found["conditions"][0]["tests"]
    assert (test["test"], test["result"]) == (key, True)
    assert test["wanted"] not in (None, [])
    assert key == "boolean" or test["found"]


@pytest.mark.parametrize("key", sorted(set(TESTS) - {"boolean"}))
def test_a_login_of_which_nothing_is_known_passes_no_test_and_is_explained(key: str) -> None:
    context = RuleContext(client_ip="198.51.100.1")
    explanation = explain_rules(compile_rules({"one": rule({key: PASSED[key], "expected": True})}, "test"), context)
    assert explanation.labels == {}
    assert explanation.rules[0]["conditions"][0]["tests"][0]["result"] is False
    assert explanation.rules[0]["why"].startswith("no label: condition 1 of 1 does not hold")


@pytest.mark.parametrize(
    ("conditions", "expected", "why"),
    [
        ([True, True], True, "label: every condition holds; the rule gives its label when every condition holds"),
        (
            [True, False],
            True,
            "no label: condition 2 of 2 does not hold; the rule gives its label when every condition",
        ),
        ([True, False], False, "label: condition 2 of 2 does not hold; the rule gives its label when some condition"),
        ([True, True], False, "no label: every condition holds; the rule gives its label when some condition"),
        ([], True, "no label: the rule has no conditions"),
    ],
)
def test_why_names_the_conditions_that_decide(conditions: list[bool], expected: bool, why: str) -> None:
    given_ = [{"boolean": held, "expected": True} for held in conditions]
    [found] = explained({"one": rule(*given_, expected=expected)})
    assert found["why"].startswith(why)
    assert found["applies"] is why.startswith("label")


def test_of_two_rules_for_one_label_the_first_is_told_who_overrides_it() -> None:
    always = {"boolean": True, "expected": True}
    first, second, other = explained(
        {"a": rule(always, load="x"), "b": rule(always, load="y"), "c": rule(always, label="other")}
    )
    assert (first["overridden_by"], second["overridden_by"], other["overridden_by"]) == ("b", None, None)


def test_values_of_headers_are_left_out_because_they_may_be_shared_secrets() -> None:
    given_ = {"secret": rule({"httpheader": {"X-Proxy-Secret": "hunter2"}, "expected": True})}
    shown = str(explained(given_, headers={"x-proxy-secret": "hunter2"}))
    assert "X-Proxy-Secret" in shown
    assert "hunter2" not in shown


def test_a_directory_that_does_not_answer_is_the_reason() -> None:
    def away(group: str) -> bool:
        raise AuthenticationFailureError("the directory is away")

    explanation = explain_rules(
        compile_rules({"one": rule({"memberOf": CREW, "expected": True}), "two": rule(BOOLEAN)}, "test"),
        login(roles=(), member_of=away),
    )
    assert explanation.labels == {"found": "true"}
    assert explanation.rules[0]["why"] == "no label: a test failed: the directory is away"


BOOLEAN = {"boolean": True, "expected": True}


def test_rules_that_are_left_out_are_named_with_the_reason() -> None:
    found = faults({"good": rule(BOOLEAN), "bad": rule({"network": "no network", "expected": True}), "worse": 3})
    assert set(found) == {"bad", "worse"}
    assert found["bad"].startswith("network: expected networks as CIDR")
    assert faults(None) == faults(["no", "dict"]) == {}


conditions = st.lists(
    st.dictionaries(st.sampled_from(sorted(TESTS)), st.none(), max_size=3).map(
        lambda keys: {k: PASSED[k] for k in keys}
    )
    | st.just({"boolean": False})
    | st.just({"memberOf": "cn=nobody"}),
    max_size=3,
)


@given(st.lists(st.tuples(conditions, st.booleans(), st.booleans(), st.sampled_from(["a", "b"])), max_size=5))
def test_an_explanation_gives_the_labels_that_a_login_gets(rules: list[Any]) -> None:
    written = {
        str(number): rule(
            *[{**c, "expected": wanted} for c in given_], expected=expected, label=label, load=f"v{number}"
        )
        for number, (given_, wanted, expected, label) in enumerate(rules)
    }
    compiled = compile_rules(written, "test")
    explanation = explain_rules(compiled, login())
    assert explanation.labels == rule_labels(compiled, login())
    last = {r["label"]: r["value"] for r in explanation.rules if r["applies"] and r["overridden_by"] is None}
    assert last == explanation.labels


# --- through HTTP ---------------------------------------------------------------------------------------------------

RULES = {
    "home": rule({"network": "127.0.0.0/8", "expected": True}, label="athome"),
    "paris": rule({"geolocation": PASSED["geolocation"], "expected": True}, label="place", load="paris"),
    "broken": rule({"asnumber": "x", "expected": True}),
}


@pytest.fixture(scope="module")
def ruled(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    policies = {"acl": {"permit": ["athome"]}, "rules": RULES}
    managers = {"implicit": {"providers": {"anonymous": {"policies": policies}}}}
    with (
        Service(tmp_path_factory.mktemp("ruled"), backends, overrides={"authmanagers": managers}) as service,
        Api(service.url, service.api_key) as client,
    ):
        yield client


def test_an_operator_is_told_which_rule_gives_which_label(ruled: Api) -> None:
    answer = ruled.manager("POST", "explain", json={"provider": "Anonymous", "geolocation": PARIS})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["labels"] == {"ipsource": "127.0.0.1", "athome": "true", "place": "paris"}
    assert (found["builtin"], found["permitted"], found["source"]) == ({"ipsource": "127.0.0.1"}, True, "question")
    assert {r["rule"]: r["applies"] for r in found["rules"]} == {"home": True, "paris": True}
    assert found["rules"][1]["conditions"][0]["tests"][0]["metres_away"] < 2000
    assert found["faulty"] == {"broken": "asnumber: expected a number or a list of numbers"}


def test_the_labels_explained_are_those_of_a_login(ruled: Api) -> None:
    explained_ = ruled.manager("POST", "explain", json={"provider": "anonymous"}).json()
    ruled.login()
    assert ruled.result("auth/labels") == explained_["labels"] == {"ipsource": "127.0.0.1", "athome": "true"}
    ruled.post("auth/logout")
    ruled.token = None


def test_a_user_elsewhere_would_not_be_let_in(ruled: Api) -> None:
    found = ruled.manager("POST", "explain", json={"provider": "anonymous", "client_ip": "2001:db8::7"}).json()
    assert found["permitted"] is False
    assert found["labels"] == {"ipsource": "2001-db8--7"}
    assert found["rules"][0]["conditions"][0]["tests"][0]["found"] == ["2001:db8::7"]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"provider": "nobody"}, "not found"),
        ({}, "provider"),
        ({"provider": "anonymous", "client_ip": "here"}, "client_ip is no address"),
        ({"provider": "anonymous", "userid": "fry"}, "has no directory"),
        ({"provider": "anonymous", "password": "secret"}, "unknown field"),
        ({"provider": "anonymous", "roles": ["x"] * 1001}, "length"),
        ({"provider": "anonymous", "headers": {"x": "y" * 4097}}, "length"),
    ],
)
def test_a_question_that_cannot_be_answered_is_400(ruled: Api, question: dict[str, Any], message: str) -> None:
    answer = ruled.manager("POST", "explain", json=question)
    assert answer.status_code == 400
    assert message in answer.json()["message"]
    assert "secret" not in answer.text


def test_nobody_but_an_operator_may_ask(ruled: Api) -> None:
    assert ruled.post("manager/explain", {"provider": "anonymous"}).status_code == 403
    assert ruled.request("POST", "manager/explain", json={}, headers={"X-API-Key": "wrong"}).status_code == 403
