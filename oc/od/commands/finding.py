"""One line of a report."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.IntEnum):
    """How good it is; the worst one decides the exit status."""

    OK = 0
    LIMITED = 1
    FAILED = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what was found. The text holds no secret."""

    state: State
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.state.name.lower():8}{self.what}: {self.text}"
