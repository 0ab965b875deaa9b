"""Fixtures that load a text as if it were the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from oc.od.settings import ConfigurationError, Problem, Settings, load_settings

from .support import MINIMAL, Failures, Loader


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Load `text` appended to the minimal file; `whole` takes it as the complete file."""

    def loader(text: str = "", environ: Mapping[str, str] | None = None, *, whole: bool = False) -> Settings:
        file = tmp_path / "od.config"
        file.write_text(text if whole else MINIMAL + text, encoding="utf-8")
        return load_settings(file, environ or {})

    return loader


@pytest.fixture
def failures(load: Loader) -> Failures:
    """The errors `text` is refused with; the test fails when it is accepted."""

    def refused(text: str = "", environ: Mapping[str, str] | None = None, *, whole: bool = False) -> list[Problem]:
        with pytest.raises(ConfigurationError) as caught:
            load(text, environ, whole=whole)
        assert caught.value.problems
        return list(caught.value.problems)

    return refused
