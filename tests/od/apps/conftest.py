"""Image descriptions of the tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data" / "apps"


@pytest.fixture
def sample() -> Callable[[str], Any]:
    """Reads a description kept with the tests: ``sample("crictl")``."""
    return lambda name: json.loads((DATA / f"{name}.json").read_text())


@pytest.fixture
def image(sample: Callable[[str], Any]) -> Callable[..., dict[str, Any]]:
    """Makes a docker description: the sample's first image with other labels (None removes one)."""
    original = sample("docker_list")[0]

    def make(tag: str = "registry.test/x:1", digest: str = "sha256:" + "a" * 64, **labels: object) -> dict[str, Any]:
        made: dict[str, Any] = copy.deepcopy(original)
        made["RepoTags"], made["Id"] = [tag], digest
        for name, value in labels.items():
            if value is None:
                made["Config"]["Labels"].pop(f"oc.{name}", None)
            else:
                made["Config"]["Labels"][f"oc.{name}"] = value
        return made

    return make
