"""Evaluating the value of one key without executing anything.

The format allows Python literals and a few operators on them. Names, calls, attributes and everything else are
refused, except the two constants of `socket` that logging sections use.
"""

from __future__ import annotations

import ast
import socket
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from oc.od.settings.declaration import Step

CONSTANTS: Final[Mapping[str, object]] = {
    "socket.SOCK_STREAM": socket.SOCK_STREAM,
    "socket.SOCK_DGRAM": socket.SOCK_DGRAM,
}
MAX_RESULT: Final = 1_000_000
"""Longest text or list a `+` or `*` may build (characters, elements)."""

LONGEST_PATH: Final = 80


class ExpressionError(Exception):
    """The value cannot be evaluated. `line` counts from 1 inside the value's text."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.line = line


class Located:
    """What an evaluation yields beside the value: where each nested value stands, repeated dict keys."""

    def __init__(self) -> None:
        self.lines: dict[tuple[Step, ...], int] = {}
        self.repeated: list[tuple[tuple[Step, ...], int]] = []


def evaluate(text: str, located: Located | None = None, names: Mapping[str, object] | None = None) -> Any:
    """Return the value `text` stands for; empty text is the empty string.

    `located` receives the line (from 1, inside `text`) of every nested value. `names`: words that stand for a
    value besides True, False and None. Raises `ExpressionError`, whose message never quotes the text.
    """
    if not text.strip():
        return ""
    evaluator = _Evaluator(located or Located(), names or {})
    try:
        return evaluator.value(_parse(text), ())
    except RecursionError:
        raise ExpressionError("nested too deeply", 1) from None


def _parse(text: str) -> ast.expr:
    """The one expression of a value; a trailing semicolon is tolerated."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown escapes such as '\d' keep their backslash, as ever
            tree = ast.parse(f"_ = {text}")
    except SyntaxError as problem:
        raise ExpressionError(f"not a Python literal: {problem.msg}", problem.lineno or 1) from None
    except (ValueError, MemoryError, RecursionError):
        raise ExpressionError("not a Python literal: too long, too deep or not text", 1) from None
    first = tree.body[0]
    if len(tree.body) != 1:
        raise ExpressionError("more than one statement, expected one value", tree.body[1].lineno)
    if not isinstance(first, ast.Assign) or len(first.targets) != 1 or not isinstance(first.targets[0], ast.Name):
        raise ExpressionError("an assignment, expected one value", first.lineno)
    return first.value


class _Evaluator:
    def __init__(self, located: Located, names: Mapping[str, object]) -> None:
        self.located = located
        self.names = names
        self.handlers: dict[type[ast.expr], Callable[[Any, tuple[Step, ...]], Any]] = {
            ast.Constant: self._constant,
            ast.List: self._list,
            ast.Tuple: self._tuple,
            ast.Dict: self._dict,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._binary,
            ast.Subscript: self._subscript,
            ast.Attribute: self._attribute,
            ast.Name: self._name,
        }

    def value(self, node: ast.expr, path: tuple[Step, ...]) -> Any:
        handler = self.handlers.get(type(node))
        if handler is None:
            raise _refused(node)
        self.located.lines.setdefault(path, node.lineno)
        return handler(node, path)

    def _constant(self, node: ast.Constant, _path: tuple[Step, ...]) -> Any:
        if node.value is Ellipsis or isinstance(node.value, complex):
            raise _refused(node)
        return node.value

    def _list(self, node: ast.List, path: tuple[Step, ...]) -> Any:
        return [self.value(item, (*path, n)) for n, item in enumerate(node.elts)]

    def _tuple(self, node: ast.Tuple, path: tuple[Step, ...]) -> Any:
        return tuple(self.value(item, (*path, n)) for n, item in enumerate(node.elts))

    def _dict(self, node: ast.Dict, path: tuple[Step, ...]) -> Any:
        result: dict[Any, Any] = {}
        for key_node, item in zip(node.keys, node.values, strict=True):
            if key_node is None:
                raise ExpressionError("Dict unpacking (**) is not allowed", item.lineno)
            key = self.value(key_node, (*path, _KEY_MARK))
            if not isinstance(key, str | int | float | bool | bytes | type(None)):
                raise ExpressionError("a dict key is a container, expected text", key_node.lineno)
            step = (*path, key.strip() if isinstance(key, str) else str(key)[:LONGEST_PATH])
            if key in result:
                self.located.repeated.append((step, key_node.lineno))
            self.located.lines[step] = key_node.lineno
            result[key] = self.value(item, step)
        return result

    def _unary(self, node: ast.UnaryOp, path: tuple[Step, ...]) -> Any:
        operand = self.value(node.operand, path)
        if isinstance(node.op, ast.USub | ast.UAdd) and _is_number(operand):
            return -operand if isinstance(node.op, ast.USub) else operand
        raise _refused(node)

    def _binary(self, node: ast.BinOp, path: tuple[Step, ...]) -> Any:
        left, right = self.value(node.left, path), self.value(node.right, path)
        if isinstance(node.op, ast.Add | ast.Sub) and _is_number(left) and _is_number(right):
            return left + right if isinstance(node.op, ast.Add) else left - right
        if isinstance(node.op, ast.Add) and type(left) is type(right) and isinstance(left, str | bytes | list | tuple):
            return _bounded(left + right, node)
        if isinstance(node.op, ast.Mult):
            return self._product(left, right, node)
        raise _refused(node)

    def _product(self, left: Any, right: Any, node: ast.BinOp) -> Any:
        if _is_number(left) and _is_number(right):
            if max(abs(left), abs(right)) > 10**15:
                raise ExpressionError("the product is too large", node.lineno)
            return left * right
        series, count = (right, left) if isinstance(left, int) else (left, right)
        if not isinstance(series, str | bytes | list | tuple) or isinstance(count, bool) or not isinstance(count, int):
            raise _refused(node)
        if len(series) * max(count, 0) > MAX_RESULT:
            raise ExpressionError(f"the product is longer than {MAX_RESULT} elements", node.lineno)
        return series * count

    def _subscript(self, node: ast.Subscript, path: tuple[Step, ...]) -> Any:
        holder, index = self.value(node.value, path), self.value(node.slice, path)
        if not isinstance(holder, dict | list | tuple | str):
            raise _refused(node)
        try:
            return holder[index]
        except (LookupError, TypeError):
            raise ExpressionError("Subscript: no such element", node.lineno) from None

    def _attribute(self, node: ast.Attribute, _path: tuple[Step, ...]) -> Any:
        name = f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else ""
        if name not in CONSTANTS:
            raise _refused(node)
        return CONSTANTS[name]

    def _name(self, node: ast.Name, _path: tuple[Step, ...]) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        if node.id.lower() in _WORDS:
            raise ExpressionError(f"the word {node.id} is not known, expected {_WORDS[node.id.lower()]}", node.lineno)
        raise _refused(node)


_KEY_MARK: Final = "\0key"
_WORDS: Final = {"true": "True", "false": "False", "null": "None", "none": "None"}
_HINTS: Final = {
    ast.Name: "text needs quotes",
    ast.Call: "nothing is executed",
    ast.Attribute: f"only {' and '.join(CONSTANTS)} are",
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(node: ast.expr) -> ExpressionError:
    """The error for an expression outside the accepted ones; names the node, never the text."""
    hint = _HINTS.get(type(node))
    detail = f" ({hint})" if hint else ""
    return ExpressionError(f"{type(node).__name__} is not allowed, expected a literal value{detail}", node.lineno)


def _bounded(value: Any, node: ast.expr) -> Any:
    if len(value) > MAX_RESULT:
        raise ExpressionError(f"the sum is longer than {MAX_RESULT} elements", node.lineno)
    return value
