"""Commands of the operator with values from outside: no value can become a part of the command (orchestration.md 9.2).

A template is either a list of words, which is executed as it is, or one line of text. A line without anything a shell
would act on is split into words as a shell would and executed without one. Any other line is run by ``/bin/sh``, and
its values reach it as environment variables, referred to inside quotes: the text that the shell reads never contains
a value.
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_VALUE: Final = 4096
OUTPUT_BYTES: Final = 4096
SHELL: Final = "/bin/sh"
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/",
}

_TAG: Final = re.compile(r"\{\{\{\s*([\w.-]+)\s*\}\}\}|\{\{&?\s*([\w.-]+)\s*\}\}")
_FOR_A_SHELL: Final = re.compile(r"[|&;<>()$`*?\[\]#~!\n\\]|^\s*\w+=")
_EVALUATES: Final = re.compile(
    r"(?<![\w.-])(?:(?:ba|da|a|z|k|c|tc|fi|r)?sh|busybox|eval|source|su|sudo|doas|ssh|xargs|env|parallel|watch|script"
    r"|python[\d.]*|perl|ruby|node|php|lua|[gmn]?awk|sed|find|tclsh|expect|make|nsenter|chroot)(?![\w-])"
)
_HARMLESS: Final = re.compile(r"[^\w@%+=:,./-]")


class CommandError(Exception):
    """The template, or a value in that place of it, cannot be used. The text names no value."""


@dataclass(frozen=True, slots=True)
class Command:
    """Ready to be run. Both fields may hold what is private."""

    argv: tuple[str, ...] = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """``exit_code``: negative when a signal ended it, None when its time was over or it could not be started."""

    exit_code: int | None
    output: bytes = field(default=b"", repr=False)
    seconds: float = 0.0


def names_in(template: str | Sequence[str]) -> set[str]:
    """The names of the values a template uses."""
    words = [template] if isinstance(template, str) else template
    return {first or second for word in words for first, second in _TAG.findall(word)}


def make_command(template: str | Sequence[str], values: Mapping[str, str]) -> Command:
    """Put ``values`` into the template; a name without a value gives nothing.

    Values for a program that evaluates its arguments again (a shell, ``eval``, ``ssh``, an interpreter) lose every
    character that could mean something there. Raises CommandError for other tags than ``{{ name }}``, a value in the
    place of the program, and a value that would be read as an option.
    """
    text = template if isinstance(template, str) else " ".join(template)
    if "\0" in text or not text.strip():
        raise CommandError("a command is empty or holds a NUL")
    used = {name: _value(name, text, values) for name in names_in(template)}
    words = list(template) if not isinstance(template, str) else _words(template)
    if words is None:
        assert isinstance(template, str)
        return _shell_command(template, used)
    _check_tags(words)
    if _TAG.search(words[0]):
        raise CommandError("a value stands in the place of the program")
    return Command(tuple(_filled(word, used) for word in words))


def _value(name: str, template: str, values: Mapping[str, str]) -> str:
    value = values.get(name, "").replace("\0", "")[:MAX_VALUE]
    return _HARMLESS.sub("_", value) if _EVALUATES.search(_TAG.sub("", template)) else value


def _words(template: str) -> list[str] | None:
    """The words of a line that needs no shell, else None."""
    marked = _TAG.sub(lambda found: f"{{{{{found[1] or found[2]}}}}}", template)
    if _FOR_A_SHELL.search(_TAG.sub("", marked)):
        return None
    try:
        return shlex.split(marked)
    except ValueError as error:
        raise CommandError("a command has an open quotation") from error


def _check_tags(words: Sequence[str]) -> None:
    if any("{{" in _TAG.sub("", word) for word in words):
        raise CommandError("only tags of the form {{ name }} can be used in a command")


def _filled(word: str, values: Mapping[str, str]) -> str:
    def fill(found: re.Match[str]) -> str:
        value = values[found[1] or found[2]]
        if found.start() == 0 and value.startswith("-"):
            raise CommandError("a value would be read as an option")
        return value

    return _TAG.sub(fill, word)


def _shell_command(template: str, values: Mapping[str, str]) -> Command:
    """The line with a quoted variable in the place of each value.

    Where the quoting is judged wrong (a quote in a comment, nested substitutions) the worst is that a value is split
    into words, or its variable's name stands there: a shell does not look for commands in what a variable holds.
    """
    _check_tags([template])
    environment: dict[str, str] = {}
    made: list[str] = []
    position, quote = 0, ""
    for number, found in enumerate(_TAG.finditer(template)):
        plain = template[position : found.start()]
        quote, begins = _quote_after(plain, quote, begins=position == 0)
        value = values[found[1] or found[2]]
        if begins and value.startswith("-"):
            raise CommandError("a value would be read as an option")
        name = f"WEBHOOK_{number}"
        environment[name] = value
        reference = {"": f'"${{{name}}}"', '"': f"${{{name}}}", "'": f"'\"${{{name}}}\"'"}[quote]
        made += [plain, reference]
        position = found.end()
    made.append(template[position:])
    return Command((SHELL, "-c", "".join(made)), environment)


def _quote_after(text: str, quote: str, *, begins: bool) -> tuple[str, bool]:
    """The quotation open after ``text`` when ``quote`` was before it, and whether a word begins there."""
    escaped = False
    for char in text:
        if escaped:
            escaped, begins = False, False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote, begins = ("", begins) if char == quote else (quote, False)
        elif char in "'\"":
            quote = char
        else:
            begins = char.isspace() or char in ";&|()`"
    if escaped:
        raise CommandError("a value stands behind a backslash")
    return quote, begins


def run_command(
    command: Command, *, timeout: float, output_limit: int = OUTPUT_BYTES, clock: Callable[[], float] = time.monotonic
) -> Outcome:
    """Run it in a process group of its own and wait; the group is killed at the end, whatever is left of it.

    The first ``output_limit`` bytes of its output, of both kinds, are kept. It gets no input and a bare environment.
    """
    started = clock()
    try:
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**ENVIRONMENT, **command.environment},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Outcome(None, type(error).__name__.encode())
    assert process.stdout is not None
    with process.stdout:
        output, ended = _follow(process, started + timeout, output_limit, clock)
        _kill_group(process.pid)
        code = process.wait()
    return Outcome(code if ended else None, output, clock() - started)


def _follow(
    process: subprocess.Popen[bytes], until: float, output_limit: int, clock: Callable[[], float]
) -> tuple[bytes, bool]:
    """Read until the process (not all its children) ends, or the time is over: (output, whether it ended)."""
    assert process.stdout is not None
    output = bytearray()
    stdout = process.stdout.fileno()
    os.set_blocking(stdout, False)
    handle = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(handle, selectors.EVENT_READ)
            while (left := until - clock()) > 0:
                ready = {key.fd for key, _ in selector.select(left)}
                if stdout in ready and not _drain(stdout, output, output_limit):
                    selector.unregister(stdout)
                if handle in ready:
                    _drain(stdout, output, output_limit)
                    return bytes(output), True
            return bytes(output), False
    finally:
        os.close(handle)


def _drain(descriptor: int, output: bytearray, limit: int) -> bool:
    """Take what is there, at most one mebibyte at a time; False at the end of the output."""
    for _ in range(16):
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        output += chunk[: max(0, limit - len(output))]
    return True


def _kill_group(group: int) -> None:
    """Before the leader is waited for, so that its number cannot be somebody else's yet."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
