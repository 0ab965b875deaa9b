"""Running a helper program: never through a shell, with a time limit, secrets by standard input or environment."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

MAX_OUTPUT: Final = 256 * 1024
DEFAULT_SECONDS: Final = 10.0
_KEPT: Final = ("PATH", "LANG", "LD_LIBRARY_PATH", "TZ")


class ProgramError(Exception):
    """The program is not there, failed or took too long. ``str()`` holds neither input nor output."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


def run_program(
    command: Sequence[str], *, given: str = "", environment: Mapping[str, str] | None = None, seconds: float
) -> str:
    """What the program prints. ``given`` is its standard input. Raises ProgramError, whose ``output`` is for the
    caller's eyes only."""
    inherited = {name: os.environ[name] for name in _KEPT if name in os.environ}
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            list(command),
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**inherited, "LC_ALL": "C", **(environment or {})},
            timeout=max(0.1, seconds),
            check=False,
            cwd="/",
        )
    except FileNotFoundError:
        raise ProgramError(f"{name} is not installed") from None
    except subprocess.TimeoutExpired:
        raise ProgramError(f"{name} took longer than {seconds:.0f} s") from None
    except (OSError, ValueError) as error:
        raise ProgramError(f"{name} cannot be started: {type(error).__name__}") from None
    output = done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")
    if done.returncode != 0:
        raise ProgramError(f"{name} failed with status {done.returncode}", output)
    return output


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory only this process may read, gone afterwards with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="pyos-") as name:  # mode 0700
        yield Path(name)


def is_one_line(text: str) -> bool:
    """Whether a program that reads lines takes ``text`` as one."""
    return bool(text) and not any(ord(character) < 32 or ord(character) == 127 for character in text)
