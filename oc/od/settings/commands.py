"""The commands `od.py --check-config` and `od.py --print-config`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

from oc.od.settings.declaration import ConfigurationError, Level, Problem, spell
from oc.od.settings.files import check_files
from oc.od.settings.loading import DEFAULT_FILE, PATH_VARIABLE, load_settings, settings_of
from oc.od.settings.masking import render
from oc.od.settings.reader import ParsedFile, read_file

CLEAN: Final = 0
"""Nothing to complain about (advice does not count)."""

WARNINGS: Final = 2
"""The file loads, but something in it was ignored, repaired or renamed."""

ERRORS: Final = 255
"""The file cannot be used: the status the server itself ends with."""


def check_config(
    path: Path | str | None = None, environ: Mapping[str, str] | None = None, out: TextIO | None = None
) -> int:
    """Check a configuration file and the files it names; print every finding, return the exit status.

    0: clean. 2: warnings only. 255: errors. Each line reads `file:line: key: what is wrong [level]`.
    """
    stream = sys.stdout if out is None else out
    file = _file(path, environ)
    try:
        parsed = read_file(file)  # once: it may be a pipe
        settings = settings_of(parsed, file, os.environ if environ is None else environ)
    except ConfigurationError as error:
        findings = list(error.problems)
    else:
        findings = [*settings.warnings, *_located(check_files(settings), parsed, file)]
    for problem in findings:
        print(f"{problem} [{problem.level}]", file=stream)
    errors = sum(problem.level is Level.ERROR for problem in findings)
    warnings = sum(problem.level is Level.WARNING for problem in findings)
    print(f"{file}: {errors} errors, {warnings} warnings, {len(findings) - errors - warnings} remarks", file=stream)
    if errors:
        return ERRORS
    return WARNINGS if warnings else CLEAN


def print_config(
    path: Path | str | None = None, environ: Mapping[str, str] | None = None, out: TextIO | None = None
) -> int:
    """Print the effective configuration with secrets masked, in the format of the file; return the exit status.

    0, or 255 with the errors on the error stream when the file cannot be used.
    """
    try:
        settings = load_settings(_file(path, environ), environ)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return ERRORS
    print(render(settings), end="", file=sys.stdout if out is None else out)
    return CLEAN


def _located(problems: list[Problem], parsed: ParsedFile, file: Path) -> list[Problem]:
    """The problems with the line of their key, or of the nearest key around it, where the file has one."""
    lines = {spell(path): line for path, line in parsed.lines.items()}

    def line_of(key: str) -> int | None:
        while key and key not in lines:
            key = key.rpartition(".")[0]
        return lines.get(key)

    return [replace(problem, file=str(file), line=line_of(problem.key)) for problem in problems]


def _file(path: Path | str | None, environ: Mapping[str, str] | None) -> Path:
    if path is not None:
        return Path(path)
    variables = os.environ if environ is None else environ
    return Path(variables.get(PATH_VARIABLE) or DEFAULT_FILE)
