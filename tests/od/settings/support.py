"""Shared by the configuration tests: the minimal file, the repository, findings by level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from oc.od.settings import Level, Problem, Settings

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT.parent / "shared" / "data" / "config"

MINIMAL = "[global]\ndesktop.pod: {}\ndesktop.userpasswd: 'x'\ndefault_host_url: 'https://desk.example.org'\n"
"""The smallest file without a finding; what tests append starts in line 5."""

FIRST_LINE = MINIMAL.count("\n") + 1

Loader = Callable[..., Settings]
Failures = Callable[..., list[Problem]]


def found(settings: Settings, level: Level = Level.WARNING) -> dict[str, str]:
    """Key -> text of the findings of one level."""
    return {problem.key: problem.text for problem in settings.warnings if problem.level is level}
