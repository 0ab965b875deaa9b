"""Why a login has its labels: what each rule, condition and test of a provider says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from oc.auth.roles import role_matches
from oc.auth.rules.compiling import Condition, ConfiguredTest, Rule
from oc.auth.rules.context import RuleContext
from oc.auth.rules.geography import distance, position
from oc.errors import ODError

MAX_SHOWN: Final = 20
MAX_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Explanation:
    """labels: what ``rule_labels`` gives for the same login. rules: JSON-like, in the order of the configuration."""

    labels: Mapping[str, str]
    rules: tuple[dict[str, Any], ...]


def explain_rules(rules: Iterable[Rule], context: RuleContext) -> Explanation:
    """Evaluate the rules as a login does, and tell what was found. Values of HTTP headers are left out: they may be
    secrets that a proxy and this configuration share.
    """
    labels: dict[str, str] = {}
    given_by: dict[str, dict[str, Any]] = {}
    explained: list[dict[str, Any]] = []
    for rule in rules:
        found = _rule(rule, context)
        explained.append(found)
        if not found["applies"]:
            continue
        if rule.label in given_by:
            given_by[rule.label]["overridden_by"] = rule.name
        given_by[rule.label] = found
        labels[rule.label] = rule.load
    return Explanation(labels, tuple(explained))


def _rule(rule: Rule, context: RuleContext) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rule": rule.name,
        "label": rule.label,
        "value": rule.load,
        "expected": rule.expected,
        "applies": False,
        "why": "",
        "overridden_by": None,
        "conditions": [],
    }
    try:
        found["conditions"] = [_condition(condition, context) for condition in rule.conditions]
        found["applies"] = rule.applies(context)
    except ODError as error:
        found["why"] = f"no label: a test failed: {error.message}"
        return found
    found["why"] = _why(rule, [condition["holds"] for condition in found["conditions"]])
    return found


def _why(rule: Rule, held: list[bool]) -> str:
    if not held:
        return "no label: the rule has no conditions"
    failing = [str(number) for number, holds in enumerate(held, 1) if not holds]
    state = f"condition {', '.join(failing)} of {len(held)} does not hold" if failing else "every condition holds"
    wanted = "every condition holds" if rule.expected else "some condition does not hold"
    outcome = "label" if (not failing) is rule.expected else "no label"
    return f"{outcome}: {state}; the rule gives its label when {wanted}"


def _condition(condition: Condition, context: RuleContext) -> dict[str, Any]:
    tests = [_test(test, context) for test in condition.tests]
    return {
        "expected": condition.expected,
        "holds": any(test["result"] is condition.expected for test in tests),
        "tests": tests,
    }


def _test(test: ConfiguredTest, context: RuleContext) -> dict[str, Any]:
    look = _LOOKS[test.key]
    return {"test": test.key, "result": test.run(context), **look(test.value, context)}


def _boolean(value: Any, _: RuleContext) -> dict[str, Any]:
    return {"wanted": value, "found": None}


def _headers(value: Any, context: RuleContext) -> dict[str, Any]:
    names = _list(value)
    return {"wanted": names, "found": [name for name in names if name.lower() in context.headers]}


def _groups(value: Any, context: RuleContext) -> dict[str, Any]:
    wanted = _list(value)
    if not context.roles and context.member_of is not None:
        return {"wanted": wanted, "found": None, "asked": "the directory, as the user lists no groups"}
    fitting = [role for role in context.roles if any(role_matches(role, group) for group in wanted)]
    return {"wanted": wanted, "found": _shown(fitting), "groups_of_user": len(context.roles)}


def _address(header: str) -> Callable[[Any, RuleContext], dict[str, Any]]:
    def look(value: Any, context: RuleContext) -> dict[str, Any]:
        seen = context.headers.get(header, "") if header else context.client_ip
        return {"wanted": _list(value), "found": _shown([seen] if seen else [])}

    return look


def _primary_group(value: Any, context: RuleContext) -> dict[str, Any]:
    return {"wanted": value, "found": _values(context, "primaryGroupID")}


def _attribute(value: Any, context: RuleContext) -> dict[str, Any]:
    return {"wanted": value, "found": _values(context, value["attribut"])}


def _place(value: Any, context: RuleContext) -> dict[str, Any]:
    point, here = position(value), context.geolocation
    away = None
    if point is not None and here is not None:
        away = round(distance(here["latitude"], here["longitude"], point["latitude"], point["longitude"]))
    return {"wanted": value, "found": dict(here) if here else None, "metres_away": away}


def _as_number(value: Any, context: RuleContext) -> dict[str, Any]:
    return {"wanted": _list(value), "found": context.asnumber}


_LOOKS: Final[Mapping[str, Callable[[Any, RuleContext], dict[str, Any]]]] = {
    "boolean": _boolean,
    "httpheader": _headers,
    "existhttpheader": _headers,
    "memberOf": _groups,
    "memberof": _groups,
    "network": _address(""),
    "network-client-ip": _address(""),
    "network-x-forwarded-for": _address("x-forwarded-for"),
    "network-x-real-ip": _address("x-real-ip"),
    "primarygroupid": _primary_group,
    "attribut": _attribute,
    "geolocation": _place,
    "asnumber": _as_number,
}
"""Key of a test -> what it wants, and what of the login it looked at. One for each key of conditions.TESTS."""


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, dict)) else [value]


def _shown(values: Iterable[object]) -> list[str]:
    return [str(value)[:MAX_TEXT] for value in list(values)[:MAX_SHOWN]]


def _values(context: RuleContext, name: str) -> list[str]:
    value = context.attributes.get(name)
    values = value if isinstance(value, (list, tuple)) else [value]
    return _shown(item for item in values if isinstance(item, (str, int)))
