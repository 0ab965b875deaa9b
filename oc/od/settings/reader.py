"""Reading a configuration file into plain values, with the line of each."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from oc.od.settings.declaration import Problem, Step


@dataclasses.dataclass(frozen=True)
class ParsedFile:
    """Values of the `[global]` section, line numbers by path, and what the reader noticed."""

    values: dict[str, object]
    lines: dict[tuple[Step, ...], int]
    problems: list[Problem]


def read_file(path: Path) -> ParsedFile:
    """Read the file."""
    raise NotImplementedError(path)
