"""The command of a newcomer: the stack, pyos and one session, twice in the same state directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_once(state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devstack", "run", "--once", "--state", str(state)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )


def processes_of(state: Path) -> list[str]:
    """Command lines of running processes that name the state directory."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(state) in command:
            lines.append(command)
    return lines


@pytest.mark.skipif(sys.platform != "linux", reason="the stack runs on Linux")
def test_make_run_shows_a_session_that_holds_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for _ in range(2):
        done = run_once(tmp_path / "state")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "every step held" in done.stdout
        for step in ("launchdesktop", "ocrun", "listcontainer", "logout", "x-graphical", "no pods in the namespace"):
            assert step in done.stdout
        assert processes_of(tmp_path / "state") == []
