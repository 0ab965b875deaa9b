"""Lines of a report: what was checked, whether it holds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class StepError(Exception):
    """A step of the session did not hold; the text says what was expected and what came."""


class Report:
    """Prints a line for each step and counts."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self.passed = 0
        self.failed: list[str] = []

    def say(self, text: str) -> None:
        """A line without a verdict."""
        print(text, file=self._out, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One thing that must hold; what it raises is shown and ends the session."""
        started = time.monotonic()
        try:
            yield
        except Exception as error:
            self.failed.append(name)
            self.say(f"FAIL  {name:<66} {type(error).__name__}: {error}")
            raise
        self.passed += 1
        self.say(f"PASS  {name:<66} {time.monotonic() - started:6.1f} s")

    def result(self, name: str, good: bool, text: str = "") -> None:
        """The verdict of something that was run elsewhere."""
        if good:
            self.passed += 1
        else:
            self.failed.append(name)
        self.say(f"{'PASS' if good else 'FAIL'}  {name:<66} {text}")


def hold(condition: object, text: object) -> None:
    """Raise StepError unless the condition holds."""
    if not condition:
        raise StepError(f"{text!s:.600}")
