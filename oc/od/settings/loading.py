"""From the values of a file to `Settings`: names, types, references between keys, environment."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from oc.od.settings import legacy
from oc.od.settings.containers import nearest, pick_name
from oc.od.settings.crosschecks import cross_check, derive
from oc.od.settings.declaration import (
    ConfigurationError,
    Level,
    Option,
    Problem,
    Rejected,
    Report,
    Step,
    all_options,
    groups_of,
    options_of,
)
from oc.od.settings.model import Settings
from oc.od.settings.providers import referenced_keys, resolve_references
from oc.od.settings.reader import ParsedFile, read_file

T = TypeVar("T")

DEFAULT_FILE: Final = "od.config"
PATH_VARIABLE: Final = "OD_CONFIG_PATH"
MAX_NESTING: Final = 60


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read, check and complete the configuration file.

    `path` defaults to the variable OD_CONFIG_PATH, then to `od.config` in the working directory. Raises
    `ConfigurationError` with every error of the file. Does no network I/O and opens no file but this one.
    """
    variables = os.environ if environ is None else environ
    file = path or Path(variables.get(PATH_VARIABLE) or DEFAULT_FILE)
    return settings_of(read_file(file), file, variables)


def settings_of(parsed: ParsedFile, file: Path, environ: Mapping[str, str]) -> Settings:
    """Check and complete what was read from a file. Raises `ConfigurationError` with every error of the file."""
    report = Report(str(file), parsed.lines)
    report.problems.extend(parsed.problems)
    return build_settings(parsed.values, environ, report)


def settings_from_mapping(
    values: Mapping[str, object], environ: Mapping[str, str] | None = None, base: Path | None = None
) -> Settings:
    """Build settings from key -> value, as if they stood in the `[global]` section of a file.

    A missing `desktop.pod` is allowed here and gives the defaults. `base`: directory relative file names in the
    configuration refer to (default: the working directory).
    """
    given = {"desktop.pod": {}, **values}
    return build_settings(given, environ or {}, Report(), base or Path())


def build_settings(
    values: Mapping[str, object], environ: Mapping[str, str], report: Report, base: Path | None = None
) -> Settings:
    """Check and complete `values`; raise `ConfigurationError` when `report` ends with an error."""
    given: dict[str, object] = {key: clean(item, (key,), report) for key, item in clean_top(values, report).items()}
    legacy.take_outdated(given, report)
    legacy.take_home_cache(given, report)
    references = referenced_keys(given)
    managers = resolve_references(given, report)
    if managers is not None:
        given["authmanagers"] = managers
    settings = _build(Settings, given, environ, report)
    cherrypy = _leftovers(given, references, report)
    settings = dataclasses.replace(
        settings, server=dataclasses.replace(settings.server, cherrypy=cherrypy), base=base or Path()
    )
    settings = derive(settings, given, environ, report)
    cross_check(settings, given, report)
    errors = report.of(Level.ERROR)
    if errors:
        raise ConfigurationError(sorted(errors, key=_order))
    return dataclasses.replace(settings, warnings=tuple(sorted(report.problems, key=_order)))


def _order(problem: Problem) -> tuple[int, str]:
    return (problem.line or 0, problem.key)


def _build(cls: type[T], given: Mapping[str, object], environ: Mapping[str, str], report: Report) -> T:
    """Make one settings class from the top-level keys its options name."""
    found: dict[str, Any] = {}
    for attribute, declared in options_of(cls):
        try:
            value = _value(declared, given, environ, report)
        except Rejected:
            continue
        if value is not _ABSENT:
            found[attribute] = value
    for attribute, member in groups_of(cls):
        found[attribute] = _build(member, given, environ, report)
    return cls(**found)


def _value(declared: Option, given: Mapping[str, object], environ: Mapping[str, str], report: Report) -> Any:
    """The typed value of one option: environment, then the file, else `_ABSENT`."""
    top = report.at(secret=declared.secret)
    name = pick_name(declared, given, top)
    if name is not None and declared.env and given[name] is None:
        name = None
    text = environ.get(declared.env, "") if declared.env else ""
    if text and declared.env:
        if name is not None:
            _try(declared, given[name], report, name)
        return declared.kind.parse_text(text, report.at(declared.env, secret=declared.secret))
    if name is None:
        if declared.required and not report.has_error(declared.key):
            report.at(declared.key).reject(f"is missing, expected a {declared.kind.name}")
        return _ABSENT
    return declared.kind.parse(given[name], report.at(name, secret=declared.secret))


def _try(declared: Option, value: object, report: Report, name: str) -> None:
    """Check a value the environment overrides, so that its errors are seen too."""
    declared.kind.parse(value, report.at(name, secret=declared.secret))


def _leftovers(given: Mapping[str, object], references: frozenset[str], report: Report) -> dict[str, object]:
    """Return CherryPy's own keys; warn about every other key that nothing reads."""
    known = tuple(declared.key for declared in all_options(Settings))
    aliases = {alias for declared in all_options(Settings) for alias in declared.aliases}
    passed: dict[str, object] = {}
    for key, value in given.items():
        if key in known or key in aliases or key in references:
            continue
        if legacy.is_cherrypy(key):
            legacy.check_cherrypy(key, known, report)
            passed[key] = value
            continue
        near = nearest(key, (*known, *legacy.QUIETLY_IGNORED))
        if near is not None:
            report.at(key).warn(f"unknown key, ignored. Did you mean '{near}'?")
        elif isinstance(value, dict) and key.endswith("config"):
            report.at(key).warn("ignored: no provider names it in its 'config_ref'")
        else:
            report.at(key).warn("unknown key, ignored")
    return passed


def clean_top(values: Mapping[str, object], report: Report) -> dict[str, object]:
    """Top-level keys without blanks around them."""
    cleaned: dict[str, object] = {}
    for key, value in values.items():
        name = key.strip()
        if name != key:
            report.at(name).warn(f"the key is written {key!r} with blanks, read as '{name}'")
        cleaned[name] = value
    return cleaned


def clean(value: object, path: tuple[Step, ...], report: Report, depth: int = MAX_NESTING) -> object:
    """Copy a value with the blanks around its nested keys removed; each such key is warned about."""
    if depth == 0:
        report.add(path, f"nested deeper than {MAX_NESTING} levels", Level.ERROR)
        return None
    if isinstance(value, Mapping):
        cleaned: dict[object, object] = {}
        for key, item in value.items():
            name = key.strip() if isinstance(key, str) else key
            step = (*path, name if isinstance(name, str) else str(name))
            if name != key:
                report.add(step, f"the key is written {key!r} with blanks around it, read as '{name}'", Level.WARNING)
            cleaned[name] = clean(item, step, report, depth - 1)
        return cleaned
    if isinstance(value, list | tuple):
        return [clean(item, (*path, n), report, depth - 1) for n, item in enumerate(value)]
    return value


class _Absent:
    """Marks a key nobody gave."""


_ABSENT: Final = _Absent()
