"""The line structure of a configuration file: sections, keys, continuation lines, interpolation.

Follows `configparser.ConfigParser` with case-sensitive names, which is what CherryPy reads, but keeps the line
of everything and reports all problems instead of the first.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final

MAX_INTERPOLATION_DEPTH: Final = 10
MAX_INTERPOLATED: Final = 1_000_000

_SECTION = re.compile(r"\[(?P<header>.+)\]")
_OPTION = re.compile(r"(?P<option>.*?)\s*(?P<delimiter>[=:])\s*(?P<value>.*)")
_REFERENCE = re.compile(r"%\(([^)]*)\)s")


@dataclasses.dataclass
class RawOption:
    """One key with the text of its value. `numbers[i]` is the file line of the i-th line of the text."""

    name: str
    line: int
    texts: list[str]
    numbers: list[int]

    @property
    def text(self) -> str:
        return "\n".join(self.texts).rstrip()

    def file_line(self, line: int) -> int:
        """The file's line for a line (from 1) of the value's text."""
        return self.numbers[min(max(line, 1), len(self.numbers)) - 1] if self.numbers else self.line


@dataclasses.dataclass(frozen=True)
class LineError:
    """A structural problem. `key` may be empty."""

    key: str
    line: int
    text: str


class IniFile:
    """The sections of a text; `errors` lists what is wrong with its structure."""

    def __init__(self, text: str) -> None:
        self.sections: dict[str, dict[str, RawOption]] = {}
        self.defaults: dict[str, RawOption] = {}
        self.errors: list[LineError] = []
        self._section: dict[str, RawOption] | None = None
        self._option: RawOption | None = None
        self._indent = 0
        for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
            self._read(line, number)

    def _read(self, line: str, number: int) -> None:
        value = line.strip()
        if value.startswith(("#", ";")):
            return
        if not value:
            if self._option is not None:
                self._option.texts.append("")
                self._option.numbers.append(number)
            return
        indent = len(line) - len(line.lstrip())
        if self._option is not None and indent > self._indent:
            self._option.texts.append(value)
            self._option.numbers.append(number)
            return
        self._indent = indent
        header = _SECTION.match(value)
        if header is not None:
            self._start_section(header.group("header"), number)
        else:
            self._start_option(value, number)

    def _start_section(self, name: str, number: int) -> None:
        self._option = None
        if name == "DEFAULT":
            self._section = self.defaults
            return
        if name in self.sections:
            self.errors.append(LineError("", number, f"section [{name[:80]}] stands twice, expected once"))
        self._section = self.sections.setdefault(name, {})

    def _start_option(self, value: str, number: int) -> None:
        self._option = None
        if self._section is None:
            self.errors.append(LineError("", number, "no section yet, expected [global] before the first key"))
            self._section = self.sections.setdefault("", {})
        matched = _OPTION.fullmatch(value)
        name = matched.group("option").rstrip() if matched else ""
        if matched is None or not name:
            self.errors.append(
                LineError("", number, "neither a key nor an indented continuation line, expected 'key: value'")
            )
            return
        option = RawOption(name, number, [matched.group("value")], [number])
        self._option = option
        if name in self._section:
            first = self._section[name].line
            self.errors.append(LineError(name, number, f"stands twice, the first time in line {first}; expected once"))
            return
        self._section[name] = option

    def options(self, section: str) -> dict[str, RawOption]:
        """The keys of a section, with those of [DEFAULT] it does not set itself."""
        return {**self.defaults, **self.sections.get(section, {})}


class InterpolationError(Exception):
    """A `%` that is neither `%%` nor `%(key)s`, or a reference that cannot be followed."""


def interpolate(text: str, options: dict[str, RawOption], depth: int = 0) -> str:
    """Replace `%%` by `%` and `%(key)s` by the text of that key. Raises `InterpolationError`."""
    if "%" not in text:
        return text
    if depth > MAX_INTERPOLATION_DEPTH:
        raise InterpolationError(f"%(...)s refers to itself or is nested deeper than {MAX_INTERPOLATION_DEPTH}")
    pieces: list[str] = []
    length = position = 0
    while (found := text.find("%", position)) >= 0:
        pieces.append(text[position:found])
        reference = _REFERENCE.match(text, found)
        if text.startswith("%%", found):
            pieces.append("%")
            position = found + 2
        elif reference is not None:
            other = options.get(reference.group(1))
            if other is None:
                raise InterpolationError(f"%({reference.group(1)[:80]})s names no key of this section")
            pieces.append(interpolate(other.text, options, depth + 1))
            position = reference.end()
        else:
            raise InterpolationError("a lone %, expected %% for a percent sign or %(key)s for another key's text")
        length += len(pieces[-1])
        if length > MAX_INTERPOLATED:
            raise InterpolationError("the text is too long after replacing %(...)s")
    pieces.append(text[position:])
    return "".join(pieces)
