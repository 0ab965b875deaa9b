"""How one configuration key is declared, and how problems with its value are reported.

A key is a dataclass field made by `option()`: its type, default, meaning and check stand there and nowhere
else. Loading, unknown-key suggestions, masking, `docs/configuration.md` and the check that the shipped
`od.config` is complete are all derived from these declarations.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

Step = str | int
"""One step into a nested value: a dict key or a list index."""


class _Unset(enum.Enum):
    UNSET = "unset"


UNSET: Final = _Unset.UNSET
"""Stands for "no value given" where None is a value."""


class Level(enum.StrEnum):
    """How serious a problem is."""

    ERROR = "error"
    """The file cannot be used."""
    WARNING = "warning"
    """Something was ignored, repaired or renamed: very likely not what the writer meant."""
    ADVICE = "advice"
    """The file does what it says, but it should not say so on a production site."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One finding about one key. `line` counts from 1, None when the value came from no file."""

    key: str
    text: str
    level: Level = Level.ERROR
    line: int | None = None
    file: str | None = None

    def __str__(self) -> str:
        place = ""
        if self.file is not None:
            place = f"{self.file}: " if self.line is None else f"{self.file}:{self.line}: "
        return f"{place}{self.key}: {self.text}" if self.key else f"{place}{self.text}"


class ConfigurationError(Exception):
    """The configuration cannot be used. `problems` lists every error found, `str()` prints one a line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Rejected(Exception):  # noqa: N818  (control flow inside the loader, never leaves it)
    """The value was refused and the reason is already in the report."""


class Report:
    """Collects the problems of one load, with the lines the reader recorded."""

    def __init__(self, file: str | None = None, lines: Mapping[tuple[Step, ...], int] | None = None) -> None:
        self.file = file
        self._lines = dict(lines or {})
        self.problems: list[Problem] = []

    def line_of(self, path: tuple[Step, ...]) -> int | None:
        """The line of the value, or of the nearest enclosing value whose line is known."""
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return line
        return None

    def same_lines(self, source: tuple[Step, ...], target: tuple[Step, ...]) -> None:
        """Values below `target` were taken from below `source`: messages shall name the lines they stand in."""
        for path, line in list(self._lines.items()):
            if path[: len(source)] == source and len(path) > len(source):
                self._lines[(*target, *path[len(source) :])] = line

    def add(self, path: tuple[Step, ...], text: str, level: Level) -> None:
        problem = Problem(spell(path), text, level, self.line_of(path), self.file)
        if problem not in self.problems:
            self.problems.append(problem)

    def lower(self, start: int, level: Level) -> None:
        """Turn the errors recorded from index `start` on into `level`: what they concern can be left out."""
        self.problems[start:] = [
            dataclasses.replace(problem, level=level) if problem.level is Level.ERROR else problem
            for problem in self.problems[start:]
        ]

    def at(self, *path: Step, secret: bool = False) -> Place:
        return Place(self, path, secret)

    def has_error(self, key: str) -> bool:
        """Whether an error about the key, something inside it or the whole file was recorded."""
        return any(
            problem.key in ("", key) or problem.key.startswith((f"{key}.", f"{key}["))
            for problem in self.of(Level.ERROR)
        )

    def of(self, *levels: Level) -> list[Problem]:
        return [problem for problem in self.problems if problem.level in levels]


def spell(path: tuple[Step, ...]) -> str:
    """Write a path the way messages name it: `desktop.pod.graphical.volumes[2]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step[:100]}" if text else step[:100]
    return text


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a value stands, and the way to complain about it. `secret`: never quote the value."""

    report: Report
    path: tuple[Step, ...]
    secret: bool = False

    def child(self, step: Step, *, secret: bool = False) -> Place:
        return Place(self.report, (*self.path, step), self.secret or secret)

    def reject(self, text: str) -> Rejected:
        """Record an error; raise what this returns."""
        self.report.add(self.path, text, Level.ERROR)
        return Rejected(text)

    def expected(self, what: str, value: object) -> Rejected:
        """Record the usual error: what is wrong with `value` and what should stand there."""
        return self.reject(f"{self.shown(value)} is not valid, expected {what}")

    def warn(self, text: str) -> None:
        self.report.add(self.path, text, Level.WARNING)

    def advise(self, text: str) -> None:
        self.report.add(self.path, text, Level.ADVICE)

    def shown(self, value: object) -> str:
        """The value as a message may show it: secrets and containers by their type only."""
        if value is None or isinstance(value, bool):
            return repr(value)
        if self.secret or not isinstance(value, str | int | float):
            return f"a value of type {type(value).__name__}"
        text = repr(value)
        return text if len(text) <= 80 else f"{text[:77]}..."


class Kind(Generic[T]):
    """A type of value: checks what the file gave and turns it into what the program uses."""

    def parse(self, value: object, at: Place) -> T:
        """Return the typed value; raise `Rejected` after recording every error found in it."""
        raise NotImplementedError

    def parse_text(self, text: str, at: Place) -> T:
        """Read the value of an environment variable."""
        return self.parse(text, at)

    def dump(self, value: T) -> object:
        """Plain value (dict, list, str, number, bool, None) that `parse` accepts again."""
        return value

    @property
    def name(self) -> str:
        """The type as the reference page and error messages call it."""
        raise NotImplementedError

    def nested(self) -> type[Any] | None:
        """The record class whose options stand inside the value, if there is one."""
        return None


@dataclasses.dataclass(frozen=True)
class Option:
    """The declaration of one key, top-level (`server.socket_port`) or nested (`exp`)."""

    key: str
    kind: Kind[Any]
    default: Any
    meaning: str
    since: str = "3.0"
    shipped: Any = UNSET
    default_text: str | None = None
    secret: bool = False
    env: str | None = None
    aliases: tuple[str, ...] = ()
    required: bool = False
    sample: Any = UNSET

    def fresh_default(self) -> Any:
        return copy.deepcopy(self.default)


def option(
    kind: Kind[T],
    default: T,
    *,
    key: str,
    meaning: str,
    since: str = "3.0",
    shipped: object = UNSET,
    default_text: str | None = None,
    secret: bool = False,
    env: str | None = None,
    aliases: tuple[str, ...] = (),
    required: bool = False,
    sample: object = UNSET,
) -> T:
    """Declare a key as a field of a frozen dataclass.

    `shipped`: value in the distributed `od.config` when it differs from the default. `default_text`: how the
    reference page words a default that is computed. `env`: variable that wins over the key when not empty.
    `aliases`: older or misspelt names, accepted with a warning. `sample`: value shown commented in `od.config`
    when the default itself explains nothing.
    """
    declared = Option(key, kind, default, meaning, since, shipped, default_text, secret, env, aliases, required, sample)
    made: Any = dataclasses.field(
        default_factory=declared.fresh_default, metadata={"option": declared}, repr=not secret
    )
    return made  # type: ignore[no-any-return]


def group(cls: type[T]) -> T:
    """Declare a field that holds another dataclass whose options are keys of the same level."""
    made: Any = dataclasses.field(default_factory=cls, metadata={"group": cls})
    return made  # type: ignore[no-any-return]


def derived(default: T, *, show: bool = True) -> T:
    """Declare a field no key sets: it is computed while loading."""
    made: Any = dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata={}, repr=show)
    return made  # type: ignore[no-any-return]


def options_of(cls: type[Any]) -> Iterator[tuple[str, Option]]:
    """(attribute, declaration) of the options declared directly in a dataclass."""
    for field in dataclasses.fields(cls):
        declared = field.metadata.get("option")
        if declared is not None:
            yield field.name, declared


def groups_of(cls: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    """(attribute, class) of the groups declared directly in a dataclass."""
    for field in dataclasses.fields(cls):
        member = field.metadata.get("group")
        if member is not None:
            yield field.name, member


def all_options(cls: type[Any]) -> Iterator[Option]:
    """Every option of a dataclass and its groups, in order of declaration."""
    for field in dataclasses.fields(cls):
        if "option" in field.metadata:
            yield field.metadata["option"]
        elif "group" in field.metadata:
            yield from all_options(field.metadata["group"])
