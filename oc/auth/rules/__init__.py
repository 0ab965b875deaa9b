"""Rules turn what is known of a login into labels (spec auth.md 5.1 and 5.2)."""

from oc.auth.rules.compiling import Rule, compile_rules, rule_labels
from oc.auth.rules.context import RuleContext

__all__ = ["Rule", "RuleContext", "compile_rules", "rule_labels"]
