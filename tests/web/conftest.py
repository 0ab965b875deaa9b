"""One server for the tests that only ask; tests that change something serve their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Client, serving
from .sample import SampleController


@pytest.fixture(scope="package")
def sample() -> Iterator[Client]:
    with serving(SampleController()) as client:
        yield client
