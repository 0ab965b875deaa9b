from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from .bed import Bed

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    running = Bed(tmp_path_factory.mktemp("cluster"))
    yield running
    running.close()


@pytest.fixture
def space(bed: Bed) -> str:
    """The path of a fresh namespace."""
    bed.admin("POST", "reset")
    return bed.namespace(f"space-{next(NUMBERS)}")
