"""``pytest tests/od/orchestrator/manifests --update-expected`` rewrites the expected objects; read the difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXPECTED = Path(__file__).parent / "expected"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-expected", action="store_true", default=False, help="rewrite the JSON files of expected manifests"
    )


@pytest.fixture
def matches_expected(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compare an object with ``expected/<name>.json``, order of keys aside."""

    def check(name: str, value: Any) -> None:
        path = EXPECTED / f"{name}.json"
        if request.config.getoption("--update-expected"):
            path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        assert value == json.loads(path.read_text(encoding="utf-8"))

    return check
