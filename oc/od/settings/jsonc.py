"""JSON with comments: the second file format, chosen when a file starts with `{`."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from oc.od.settings.declaration import Step
from oc.od.settings.expressions import ExpressionError, Located, evaluate

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])', re.DOTALL)
_JSON_NAMES: Final = {"true": True, "false": False, "null": None, "NaN": 0, "Infinity": 0}


class JsoncError(Exception):
    """The text is not JSON with comments; `line` counts from 1."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.line = line


def without_comments(text: str) -> str:
    """Blank out comments and trailing commas; every other character keeps its place."""

    def blank(found: re.Match[str]) -> str:
        token = found.group()
        return token if token.startswith('"') else re.sub(r"[^\n]", " ", token)

    return _TOKEN.sub(blank, text)


def read_jsonc(text: str) -> tuple[dict[str, Any], dict[tuple[Step, ...], int], list[tuple[str, int]]]:
    """Return (values, line of each path, repeated top-level or nested keys with their line)."""
    bare = without_comments(text)
    try:
        values = json.loads(bare, parse_constant=_refuse_constant)
    except json.JSONDecodeError as problem:
        raise JsoncError(f"not JSON: {problem.msg}", problem.lineno) from None
    except (RecursionError, ValueError):
        raise JsoncError("not JSON: nested too deeply, or a number that is none", 1) from None
    if not isinstance(values, dict):
        raise JsoncError("expected one object { ... }", 1)
    located = Located()
    try:
        # JSON is nearly a Python literal: the evaluator gives the positions json does not.
        evaluate(bare.replace("\\/", "//"), located, _JSON_NAMES)
    except ExpressionError:
        return values, {}, []
    repeated = [(".".join(str(step) for step in path), line) for path, line in located.repeated]
    return values, located.lines, repeated


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
