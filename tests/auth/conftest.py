"""Fixtures of the authentication tests: keys of every size an installation may have, a clock that stands still."""

from __future__ import annotations

from pathlib import Path

import pytest

from .support import FakeClock, KeyFiles, make_keys


@pytest.fixture(scope="session")
def key_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def signing(key_directory: Path) -> KeyFiles:
    return make_keys(key_directory, "signing", 2048)


@pytest.fixture(scope="session")
def foreign(key_directory: Path) -> KeyFiles:
    return make_keys(key_directory, "foreign", 2048)


@pytest.fixture(scope="session")
def payload_keys(key_directory: Path) -> dict[int, KeyFiles]:
    return {bits: make_keys(key_directory, f"payload{bits}", bits) for bits in (512, 1024, 2048)}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
