"""Child processes: readiness, failure, stop, death of the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.children import Child, ChildError, Spawner, start_child

SLEEP = "import time; time.sleep(1000)"


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.stop(0.1)


def _start(children: list[Child], directory: Path, script: str) -> Child:
    child = start_child("part", [sys.executable, "-c", script], directory / "logs" / "part.log")
    children.append(child)
    return child


def test_the_ready_line_is_given_back_even_when_it_comes_in_pieces(tmp_path: Path, children: list[Child]) -> None:
    script = (
        "import sys, time; w = sys.stdout; w.write('{\"po'); w.flush(); w.write('rt\": 5}\\n'); w.flush(); " + SLEEP
    )
    assert _start(children, tmp_path, script).wait_ready_line(60) == {"port": 5}


@pytest.mark.parametrize("line", ["hello", "[1]", "{", "null"])
def test_another_first_line_is_an_error(tmp_path: Path, children: list[Child], line: str) -> None:
    child = _start(children, tmp_path, f"print({line!r}, flush=True); {SLEEP}")
    with pytest.raises(ChildError, match="part gave no ready line"):
        child.wait_ready_line(60)


def test_an_endless_first_line_is_an_error(tmp_path: Path, children: list[Child]) -> None:
    child = _start(children, tmp_path, "import sys\nwhile True: sys.stdout.write('x' * 4096)")
    with pytest.raises(ChildError, match="gave no ready line"):
        child.wait_ready_line(60)


def test_a_child_that_ends_early_is_an_error_with_the_end_of_its_log(tmp_path: Path, children: list[Child]) -> None:
    child = _start(children, tmp_path, "import sys; sys.exit('no such luck')")
    with pytest.raises(ChildError, match=r"part ended before it was ready[\s\S]*no such luck"):
        child.wait_ready_line(60)


def test_a_child_that_says_nothing_is_an_error_in_time(tmp_path: Path, children: list[Child]) -> None:
    with pytest.raises(ChildError, match=r"was not ready after 0\.05 s"):
        _start(children, tmp_path, SLEEP).wait_ready_line(0.05)


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="part cannot be started"):
        start_child("part", ["/no/such/program"], tmp_path / "log")


def test_stop_asks_first_and_forces_then_and_may_be_called_twice(tmp_path: Path, children: list[Child]) -> None:
    polite = _start(children, tmp_path, "print('{}', flush=True); " + SLEEP)
    polite.wait_ready_line(60)
    polite.stop()
    assert polite.process.returncode == -signal.SIGTERM
    stubborn = _start(
        children, tmp_path, "import signal; signal.signal(15, signal.SIG_IGN); print('{}', flush=True); " + SLEEP
    )
    stubborn.wait_ready_line(60)
    stubborn.stop(0.05)
    stubborn.stop(0.05)
    assert stubborn.process.returncode == -signal.SIGKILL
    assert not stubborn.is_alive()


def test_a_spawner_gives_results_and_errors() -> None:
    spawner = Spawner()
    assert spawner.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        spawner.run(lambda: 1 // 0)
    spawner.close()


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from devstack.children import start_child\n"
        f"child = start_child('part', [sys.executable, '-c', {SLEEP!r}], pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "print(child.pid, flush=True)\n" + SLEEP
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        parent.wait()
    end = time.monotonic() + 20
    while _runs(pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
