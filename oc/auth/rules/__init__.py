"""Rules turn what is known of a login into labels (spec auth.md 5.1 and 5.2)."""

from oc.auth.rules.compiling import Rule, compile_rules, faults, rule_labels
from oc.auth.rules.context import RuleContext
from oc.auth.rules.explaining import Explanation, explain_rules

__all__ = ["Explanation", "Rule", "RuleContext", "compile_rules", "explain_rules", "faults", "rule_labels"]
