"""From the ``rules`` of a provider to labels. A rule that is wrong is logged and gives no label; the others stay."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from oc.auth.labels import is_label_key, is_reserved
from oc.auth.rules.conditions import TESTS, RuleError, Test
from oc.auth.rules.context import RuleContext
from oc.errors import ODError
from oc.model.names import is_label_value

logger = logging.getLogger(__name__)

DEFAULT_LOAD = "true"


@dataclass(frozen=True, slots=True)
class ConfiguredTest:
    """One test of a condition: its key and value in the configuration, and what they mean."""

    key: str
    value: Any = field(repr=False)
    run: Test = field(repr=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when any of its tests gives ``expected``. A condition without ``expected`` has no tests: it never holds."""

    tests: tuple[ConfiguredTest, ...]
    expected: bool

    def holds(self, context: RuleContext) -> bool:
        return any(test.run(context) is self.expected for test in self.tests)


@dataclass(frozen=True, slots=True)
class Rule:
    """Gives ``label`` the value ``load`` when "all conditions hold" equals ``expected``."""

    name: str
    conditions: tuple[Condition, ...]
    expected: bool
    label: str
    load: str = DEFAULT_LOAD

    def applies(self, context: RuleContext) -> bool:
        if not self.conditions:
            return False
        # every condition is evaluated, as documented: a test may ask the directory
        results = [condition.holds(context) for condition in self.conditions]
        return all(results) is self.expected


def compile_rules(rules: Any, where: str) -> tuple[Rule, ...]:
    """The rules of a provider in their order; ``where`` names them in the log. Faulty ones are logged and left out."""
    if rules is None:
        return ()
    if not isinstance(rules, dict):
        logger.error("%s: expected a dict of rules, they are ignored", where)
        return ()
    compiled: list[Rule] = []
    for name, rule in _compiled(rules).items():
        if isinstance(rule, Rule):
            compiled.append(rule)
        else:
            logger.error("%s: rule %r gives no label: %s", where, name[:100], rule)
    return tuple(compiled)


def faults(rules: Any) -> dict[str, str]:
    """Name of each rule that cannot be used -> why."""
    compiled = _compiled(rules) if isinstance(rules, dict) else {}
    return {name: str(rule) for name, rule in compiled.items() if isinstance(rule, RuleError)}


def _compiled(rules: dict[Any, Any]) -> dict[str, Rule | RuleError]:
    compiled: dict[str, Rule | RuleError] = {}
    for name, given in rules.items():
        try:
            compiled[str(name)] = _rule(str(name), given)
        except RuleError as error:
            compiled[str(name)] = error
    return compiled


def rule_labels(rules: Iterable[Rule], context: RuleContext) -> dict[str, str]:
    """The labels of the rules that apply; of two rules for one label the last wins."""
    labels: dict[str, str] = {}
    for rule in rules:
        try:
            applies = rule.applies(context)
        except ODError as error:  # the directory did not answer a membership question
            logger.error("rule %r failed and gives no label: %s", rule.name[:100], error)
            continue
        if applies:
            labels[rule.label] = rule.load
    return labels


def _rule(name: str, given: Any) -> Rule:
    if not isinstance(given, dict):
        raise RuleError("expected a dict")
    label, load = given.get("label"), given.get("load", DEFAULT_LOAD)
    if not isinstance(label, str) or not is_label_key(label):
        raise RuleError("'label' is no valid label name")
    if is_reserved(label):
        raise RuleError(f"the label name {label!r} is reserved")
    if not isinstance(load, str) or not is_label_value(load):
        raise RuleError("'load' is no valid label value")
    if not isinstance(given.get("expected"), bool):
        raise RuleError("'expected' is neither True nor False")
    conditions = given.get("conditions") or []
    if not isinstance(conditions, (list, tuple)):
        raise RuleError("'conditions' is no list")
    return Rule(name, tuple(map(_condition, conditions)), given["expected"], label, load)


def _condition(given: Any) -> Condition:
    if not isinstance(given, dict):
        raise RuleError("a condition is no dict")
    expected = given.get("expected")
    tests = tuple(ConfiguredTest(key, value, TESTS[key](value)) for key, value in given.items() if key in TESTS)
    unknown = [str(key)[:50] for key in given if key not in TESTS and key != "expected"]
    if unknown:
        logger.warning("a condition holds unknown tests, they are ignored: %s", ", ".join(unknown))
    if not isinstance(expected, bool):
        # documented: such a condition never holds, which a rule may expect
        return Condition((), expected=False)
    return Condition(tests, expected)
