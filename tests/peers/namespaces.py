"""Network and mount namespaces, for peers whose ports and paths cannot be chosen.

A process is started in namespaces of its own; the thread that runs a test visits them: what it connects to and starts
meanwhile lives there, too. Needs root.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def why_not() -> str | None:
    """Why namespaces cannot be used here, None when they can."""
    if os.geteuid() != 0:
        return "needs root for namespaces of its own"
    try:
        tried = subprocess.run(
            ["unshare", "-n", "-m", "--propagation", "private", "ip", "link", "set", "lo", "up"],
            capture_output=True,
            timeout=20,
            check=False,
        )
    except OSError as error:
        return f"needs the programs unshare and ip: {error.strerror}"
    return None if tried.returncode == 0 else "namespaces are not permitted here"


class Namespaces:
    """The network and mount namespaces of a running process."""

    def __init__(self, pid: int) -> None:
        self._files = _namespaces(f"/proc/{pid}/ns")

    def close(self) -> None:
        """Forget them; they end with their last process."""
        for descriptor, _ in self._files:
            os.close(descriptor)
        self._files = []

    @contextmanager
    def visit(self) -> Iterator[None]:
        """The calling thread, and all it starts, is inside."""
        directory = os.getcwd()
        home = _namespaces("/proc/thread-self/ns")
        try:
            _enter(self._files, directory)
            yield
        finally:
            _enter(home, directory)
            for descriptor, _ in home:
                os.close(descriptor)


def _namespaces(directory: str) -> list[tuple[int, int]]:
    return [
        (os.open(f"{directory}/mnt", os.O_RDONLY | os.O_CLOEXEC), CLONE_NEWNS),
        (os.open(f"{directory}/net", os.O_RDONLY | os.O_CLOEXEC), CLONE_NEWNET),
    ]


def _enter(files: Sequence[tuple[int, int]], directory: str) -> None:
    _check(_LIBC.unshare(CLONE_FS))  # mount namespaces are for threads that share no working directory
    for descriptor, kind in files:
        _check(_LIBC.setns(descriptor, kind))
    os.chdir(directory)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "namespaces cannot be changed")


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60.0) -> None:
    """Return when ``what`` is true. Raises RuntimeError with the end of the log when the process ends before."""
    end = time.monotonic() + seconds
    while not what():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"did not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.05)
