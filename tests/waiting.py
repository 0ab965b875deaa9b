"""Waiting for what another thread or process brings about. Limits are for what never comes: they cost nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
SECONDS = 30.0
PAUSE_SECONDS = 0.02


def eventually(found: Callable[[], T], seconds: float = SECONDS) -> T:
    """The first true answer of ``found``, or its last one when none came in time. For ``assert eventually(...)``."""
    end = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < end:
        time.sleep(PAUSE_SECONDS)
    return value


def until(found: Callable[[], T | None], seconds: float = SECONDS) -> T:
    """The first true answer of ``found``. Fails when none came in time."""
    value = eventually(found, seconds)
    assert value, "the condition did not come true"
    return value
