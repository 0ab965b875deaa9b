"""Affinity of pods, and label selectors inside objects."""

from __future__ import annotations

from typing import Any

from devstack.cluster import names
from devstack.cluster.errors import FieldError, forbidden_field, invalid, required
from devstack.cluster.objects import Object

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NOT_AN_OPERATOR = "not a valid selector operator"


def validate(affinity: Object) -> list[FieldError]:
    """Faults of spec.affinity."""
    errors: list[FieldError] = []
    node = affinity.get("nodeAffinity") or {}
    base = "spec.affinity.nodeAffinity"
    terms = (node.get(_REQUIRED) or {}).get("nodeSelectorTerms")
    if node.get(_REQUIRED) is not None and not terms:
        errors.append(required(f"{base}.{_REQUIRED}.nodeSelectorTerms", "must have at least one node selector term"))
    for number, term in enumerate(terms or ()):
        errors += _node_term(term, f"{base}.{_REQUIRED}.nodeSelectorTerms[{number}]")
    for number, preferred in enumerate(node.get(_PREFERRED) or ()):
        here = f"{base}.{_PREFERRED}[{number}]"
        errors += _weight(preferred, here) + _node_term(preferred.get("preference") or {}, f"{here}.preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(kind) or {}
        for number, term in enumerate(part.get(_REQUIRED) or ()):
            errors += _pod_term(term, f"spec.affinity.{kind}.{_REQUIRED}[{number}]")
        for number, preferred in enumerate(part.get(_PREFERRED) or ()):
            here = f"spec.affinity.{kind}.{_PREFERRED}[{number}]"
            errors += _weight(preferred, here)
            errors += _pod_term(preferred.get("podAffinityTerm") or {}, f"{here}.podAffinityTerm")
    return errors


def _weight(preferred: Object, field: str) -> list[FieldError]:
    weight = preferred.get("weight", 0)
    return [] if 1 <= weight <= 100 else [invalid(f"{field}.weight", weight, "must be in the range 1-100")]


def _node_term(term: Object, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, expression in enumerate(term.get("matchExpressions") or ()):
        errors += _expression(expression, f"{field}.matchExpressions[{number}]", node=True)
    return errors


def _expression(expression: Object, field: str, *, node: bool) -> list[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or []
    errors: list[FieldError] = []
    if operator in ("In", "NotIn"):
        if not values:
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            errors.append(required(f"{field}.values", why))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(forbidden_field(f"{field}.values", why))
    elif node and operator in ("Gt", "Lt"):
        if len(values) != 1:
            why = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            errors.append(required(f"{field}.values", why))
    else:
        errors.append(invalid(f"{field}.operator", operator, _NOT_AN_OPERATOR))
    key = expression.get("key", "")
    return errors + [invalid(f"{field}.key", key, fault) for fault in names.qualified(key)]


def _pod_term(term: Object, field: str) -> list[FieldError]:
    errors = label_selector(term.get("labelSelector"), f"{field}.labelSelector")
    key = term.get("topologyKey", "")
    if not key:
        errors.append(required(f"{field}.topologyKey", "can not be empty"))
    return errors + [invalid(f"{field}.topologyKey", key, fault) for fault in names.qualified(key)]


def label_selector(selector: Object | None, field: str) -> list[FieldError]:
    """Faults of a metav1.LabelSelector."""
    errors: list[FieldError] = []
    expressions: Any = (selector or {}).get("matchExpressions") or ()
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        errors += [invalid(f"{field}.matchLabels", key, fault) for fault in names.qualified(key)]
        errors += [invalid(f"{field}.matchLabels", value, fault) for fault in names.label_value(value)]
    for number, expression in enumerate(expressions):
        errors += _expression(expression, f"{field}.matchExpressions[{number}]", node=False)
    return errors
