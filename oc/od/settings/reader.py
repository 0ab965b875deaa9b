"""Reading a configuration file into plain values, with the line of each."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path
from typing import Final

from oc.od.settings.declaration import ConfigurationError, Level, Problem, Step, spell
from oc.od.settings.expressions import ExpressionError, Located, evaluate
from oc.od.settings.inifile import IniFile, InterpolationError, RawOption, interpolate
from oc.od.settings.jsonc import JsoncError, read_jsonc

MAX_FILE_SIZE: Final = 8_000_000
"""Largest file that is read (bytes); a ConfigMap holds at most 1 MiB."""

GLOBAL: Final = "global"


@dataclasses.dataclass
class ParsedFile:
    """Values of the `[global]` section, line numbers by path, and what the reader noticed."""

    values: dict[str, object] = dataclasses.field(default_factory=dict)
    lines: dict[tuple[Step, ...], int] = dataclasses.field(default_factory=dict)
    problems: list[Problem] = dataclasses.field(default_factory=list)


def read_file(path: Path) -> ParsedFile:
    """Read the file; raises `ConfigurationError` when it cannot be opened or is no text.

    Errors inside the file are returned as problems, so that the caller can add those of the values.
    """
    try:
        size = path.stat().st_size
        data = b"" if size > MAX_FILE_SIZE else path.read_bytes()
    except OSError as problem:
        reason = os.strerror(problem.errno or errno.EIO)
        raise ConfigurationError([Problem("", f"cannot be read: {reason}", file=str(path))]) from problem
    if size > MAX_FILE_SIZE:
        raise ConfigurationError([Problem("", f"{size} bytes, expected at most {MAX_FILE_SIZE}", file=str(path))])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        raise ConfigurationError([Problem("", "not UTF-8 text", line=line, file=str(path))]) from None
    return read_text(text, str(path))


def read_text(text: str, file: str) -> ParsedFile:
    """Parse the content of a file; `file` is the name messages use."""
    return _read_jsonc(text, file) if text.lstrip().startswith("{") else _read_ini(text, file)


def _read_ini(text: str, file: str) -> ParsedFile:
    ini = IniFile(text)
    parsed = ParsedFile()
    parsed.problems += [Problem(error.key, error.text, line=error.line, file=file) for error in ini.errors]
    if GLOBAL not in ini.sections and not ini.errors:
        parsed.problems.append(Problem("", "no section [global], expected the keys there", file=file))
    options = ini.options(GLOBAL)
    for name, option in options.items():
        _read_option(name, option, options, parsed, file)
    return parsed


def _read_option(name: str, option: RawOption, options: dict[str, RawOption], parsed: ParsedFile, file: str) -> None:
    """Evaluate one key into `parsed`, or add the problem that prevents it."""
    located = Located()
    key = name.strip()
    try:
        parsed.values[name] = evaluate(interpolate(option.text, options), located)
    except InterpolationError as problem:
        line = next((n for n, part in zip(option.numbers, option.texts, strict=True) if "%" in part), option.line)
        parsed.problems.append(Problem(key, str(problem), line=line, file=file))
    except ExpressionError as problem:
        line = option.file_line(problem.line)
        parsed.problems.append(Problem(key, str(problem), line=line, file=file))
    parsed.lines[(key,)] = option.line
    for path, line in located.lines.items():
        if path:
            parsed.lines[(key, *path)] = option.file_line(line)
    for path, line in located.repeated:
        text = "stands twice in this dict, the last one is used"
        parsed.problems.append(Problem(spell((key, *path)), text, Level.WARNING, option.file_line(line), file))


def _read_jsonc(text: str, file: str) -> ParsedFile:
    parsed = ParsedFile()
    try:
        values, lines, repeated = read_jsonc(text)
    except JsoncError as problem:
        parsed.problems.append(Problem("", str(problem), line=problem.line, file=file))
        return parsed
    parsed.values.update(values)
    parsed.lines.update(lines)
    for key, line in repeated:
        text = "stands twice, the last one is used"
        parsed.problems.append(Problem(key, text, Level.WARNING, line, file))
    return parsed
