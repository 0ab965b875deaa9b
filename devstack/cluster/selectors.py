"""Label and field selectors: their grammar, Kubernetes' words for what is wrong, and matching."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from devstack.cluster import names
from devstack.cluster.errors import bad_request, quote
from devstack.cluster.objects import Object

_SYMBOLS = "()!=<>,"
_LEXEME = re.compile(r"\s*(==|!=|[()!=<>,]|[^\s()!=<>,]+)")


@dataclass(frozen=True)
class Requirement:
    """One condition; `operator`: in, notin, exists, absent, gt, lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def fits(self, labels: dict[str, str]) -> bool:
        value = labels.get(self.key)
        if self.operator == "in":
            return value is not None and value in self.values
        if self.operator == "notin":
            return value is None or value not in self.values
        if self.operator == "exists":
            return value is not None
        if self.operator == "absent":
            return value is None
        try:
            number = int(value or "")
        except ValueError:
            return False
        return number > int(self.values[0]) if self.operator == "gt" else number < int(self.values[0])


@dataclass(frozen=True)
class LabelSelector:
    """All requirements must hold."""

    requirements: tuple[Requirement, ...] = ()

    def fits(self, obj: Object) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(requirement.fits(labels) for requirement in self.requirements)

    def indexable(self) -> tuple[str, str] | None:
        """A (key, value) that every match has, if there is one."""
        for requirement in self.requirements:
            if requirement.operator == "in" and len(requirement.values) == 1:
                return requirement.key, requirement.values[0]
        return None


EVERYTHING = LabelSelector()


class _Parser:
    """Recursive descent over the lexemes, as labels.Parser does it."""

    def __init__(self, text: str) -> None:
        self.lexemes = _LEXEME.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.lexemes[self.at] if self.at < len(self.lexemes) else ""

    def take(self) -> str:
        lexeme = self.peek()
        self.at += 1
        return lexeme

    def parse(self) -> LabelSelector:
        requirements: list[Requirement] = []
        while self.peek():
            lexeme = self.peek()
            if lexeme != "!" and _is_symbol(lexeme):
                raise bad_request(f"found '{lexeme}', expected: !, identifier, or 'end of string'")
            requirements.append(self.requirement())
            lexeme = self.take()
            if not lexeme:
                break
            if lexeme != ",":
                raise bad_request(f"found '{lexeme}', expected: ',' or 'end of string'")
            following = self.peek()
            if following != "!" and (not following or _is_symbol(following)):
                raise bad_request(f"found '{following}', expected: identifier after ','")
        return LabelSelector(tuple(requirements))

    def requirement(self) -> Requirement:
        absent = self.peek() == "!"
        if absent:
            self.take()
        key = self.take()
        if not key or _is_symbol(key):
            raise _unparsable(f"found '{key}', expected: identifier")
        _check_key(key)
        if absent:
            return Requirement(key, "absent")
        operator = self.peek()
        if operator in ("", ","):
            return Requirement(key, "exists")
        self.take()
        if operator in ("in", "notin"):
            return self._checked(key, operator, self.value_list())
        if operator in ("=", "==", "!=", ">", "<"):
            value = self.exact_value()
            name = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}[operator]
            return self._checked(key, name, (value,))
        raise _unparsable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")

    def exact_value(self) -> str:
        lexeme = self.peek()
        if lexeme in ("", ","):
            return ""
        self.take()
        if _is_symbol(lexeme):
            raise _unparsable(f"found '{lexeme}', expected: identifier")
        return lexeme

    def value_list(self) -> tuple[str, ...]:
        lexeme = self.take()
        if lexeme != "(":
            raise _unparsable(f"found '{lexeme}' expected: '('")
        values: list[str] = []
        if self.peek() == ")":
            self.take()
            return ("",)
        while True:
            lexeme = self.take()
            if lexeme == ",":
                values.append("")
                if self.peek() == ")":
                    values.append("")
                    self.take()
                    break
                continue
            if not lexeme or _is_symbol(lexeme):
                raise _unparsable(f"found '{lexeme}', expected: ',', ')' or identifier")
            values.append(lexeme)
            lexeme = self.take()
            if lexeme == ")":
                break
            if lexeme != ",":
                raise _unparsable(f"found '{lexeme}', expected: ',' or ')'")
        return tuple(values)

    @staticmethod
    def _checked(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
        if operator in ("gt", "lt"):
            try:
                int(values[0])
            except ValueError:
                why = "for 'Gt', 'Lt' operators, the value must be an integer"
                raise _unparsable(f"values[0]: Invalid value: {quote(values[0])}: {why}") from None
        for number, value in enumerate(values):
            for fault in names.label_value(value)[:1]:
                raise _unparsable(f"values[{number}][{key}]: Invalid value: {quote(value)}: {fault}")
        return Requirement(key, operator, tuple(sorted(set(values))))


def _is_symbol(lexeme: str) -> bool:
    return lexeme[:1] in _SYMBOLS


def _unparsable(why: str) -> Exception:
    return bad_request(f"unable to parse requirement: {why}")


def _check_key(key: str) -> None:
    faults = names.qualified(key)
    if faults:
        raise _unparsable(f"<nil>: Invalid value: {quote(key)}: {'; '.join(faults)}")


def parse_labels(text: str) -> LabelSelector:
    """The selector.  Raises ApiError 400."""
    return _Parser(text).parse() if text.strip() else EVERYTHING


# -- fields ----------------------------------------------------------------------------------------------------------
def _dotted(path: str, default: str = "") -> Callable[[Object], str]:
    parts = path.split(".")

    def read(obj: Object) -> str:
        value: object = obj
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return default
        return str(value).lower() if isinstance(value, bool) else str(value)

    return read


_META_FIELDS = {name: _dotted(name) for name in ("metadata.name", "metadata.namespace")}
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
# Kinds with more fields; these answer "field label not supported" where the others say "is not a known field selector".
_FIELDS: dict[str, dict[str, Callable[[Object], str]]] = {
    "pods": {
        **{
            name: _dotted(name)
            for name in (
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            )
        },
        "spec.hostNetwork": _dotted("spec.hostNetwork", "false"),
    },
    "events": {
        **{f"involvedObject.{name}": _dotted(f"involvedObject.{name}") for name in _INVOLVED},
        **{name: _dotted(name) for name in ("reason", "reportingComponent", "type")},
        "source": _dotted("source.component"),
    },
    "secrets": {"type": _dotted("type")},
    "namespaces": {"status.phase": _dotted("status.phase")},
    "nodes": {"spec.unschedulable": _dotted("spec.unschedulable", "false")},
    "services": {"spec.clusterIP": _dotted("spec.clusterIP"), "spec.type": _dotted("spec.type")},
    "replicasets": {"status.replicas": _dotted("status.replicas", "0")},
    "replicationcontrollers": {"status.replicas": _dotted("status.replicas", "0")},
    "jobs": {"status.successful": _dotted("status.succeeded", "0")},
}


@dataclass(frozen=True)
class FieldSelector:
    """(reader, wanted value, equal?) for each condition; `name`: the metadata.name that every match has."""

    conditions: tuple[tuple[Callable[[Object], str], str, bool], ...] = ()
    name: str | None = None
    namespace: str | None = None

    def fits(self, obj: Object) -> bool:
        return all((read(obj) == value) is equal for read, value, equal in self.conditions)


ANY_FIELD = FieldSelector()


def parse_fields(text: str, kind: str) -> FieldSelector:
    """The selector for a kind of the store.  Raises ApiError 400."""
    conditions: list[tuple[Callable[[Object], str], str, bool]] = []
    exact: dict[str, str] = {}
    known = _FIELDS.get(kind)
    for part in filter(None, text.split(",")):
        match = re.match(r"^(.*?)(!=|==|=)(.*)$", part)
        if not match:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = match.groups()
        read = _META_FIELDS.get(field) or (known or {}).get(field)
        if read is None and known is None:
            raise bad_request(
                f'{quote(field)} is not a known field selector: only "metadata.name", "metadata.namespace"'
            )
        if read is None:
            raise bad_request(f"field label not supported: {field}")
        conditions.append((read, value, operator != "!="))
        if operator != "!=":
            exact.setdefault(field, value)
    return FieldSelector(tuple(conditions), exact.get("metadata.name"), exact.get("metadata.namespace"))
