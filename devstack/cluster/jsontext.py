"""Reading JSON and YAML as Go's decoder does: its error messages, and duplicate fields noted."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import yaml


class JsonSyntaxError(ValueError):
    """The text is no JSON; the message is that of Go's encoding/json."""


def _go_message(text: str, error: json.JSONDecodeError) -> str:
    position = error.pos
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    if position >= len(text) or "Unterminated string" in error.msg:
        return "unexpected end of JSON input"
    character = text[position]
    shown = "'\\''" if character == "'" else f"'{character}'" if character != '"' else "'\"'"
    contexts = (
        ("Expecting property name", "looking for beginning of object key string"),
        ("Expecting ':'", "after object key"),
        ("Expecting ',' delimiter", "after object key:value pair"),
        ("Extra data", "after top-level value"),
    )
    where = next((text_ for start, text_ in contexts if error.msg.startswith(start)), "looking for beginning of value")
    return f"invalid character {shown} {where}"


def read_json(raw: bytes) -> Any:
    """The JSON value.  Raises JsonSyntaxError with Go's words."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise JsonSyntaxError(_go_message(text, error)) from error


class _Pairs(dict[str, Any]):
    """An object that remembers which of its keys came twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice: list[str] = []
        if len(self) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen and key not in self.twice:
                    self.twice.append(key)
                seen.add(key)


def duplicate_fields(raw: bytes) -> list[str]:
    """Paths of the fields that a JSON text names more than once."""
    try:
        document = json.loads(raw, object_pairs_hook=_Pairs)
    except ValueError:
        return []
    found: list[str] = []
    _collect(document, "", found)
    return found


def _collect(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        found.extend(f"{path}.{key}" if path else key for key in value.twice)
        for key, item in value.items():
            _collect(item, f"{path}.{key}" if path else key, found)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _collect(item, f"{path}[{number}]", found)


class _Loader(yaml.SafeLoader):
    """YAML whose times stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(raw: bytes) -> Any:
    """The value of one YAML document.  Raises JsonSyntaxError with the words of Go's YAML library where known."""
    try:
        return _with_text_keys(yaml.load(raw, Loader=_Loader))  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise JsonSyntaxError(f"yaml: line {line}: did not find expected node content") from error


def _with_text_keys(value: Any) -> Any:
    """JSON has only text for keys: `no: x` becomes "false": x, as Kubernetes' converter does it."""
    if isinstance(value, dict):
        return {_key_text(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_text_keys(item) for item in value]
    return value


def _key_text(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)
