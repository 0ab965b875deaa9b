"""Child processes of the development stack: started, watched for readiness, stopped, never left behind.

A child is told by the kernel to stop when its parent ends (PR_SET_PDEATHSIG), so that nothing survives a parent that
was killed. The signal is bound to the *thread* that started the child: start children from a thread that lives as
long as they should (:class:`Spawner` gives one).
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import io
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
LOG_TAIL_BYTES = 2000
MAX_READY_LINE_BYTES = 64 * 1024

T = TypeVar("T")


class ChildError(RuntimeError):
    """A part of the stack did not start; the text says which and shows the end of its log."""


def die_with_parent() -> None:
    """Ask the kernel to send SIGTERM to this process when its parent ends (Linux only, else nothing happens)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Spawner:
    """One thread that starts children and lives until :meth:`close`."""

    def __init__(self) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="devstack-spawner")

    def run(self, call: Callable[[], T]) -> T:
        """Run `call` in the spawner's thread and give its result (or its exception)."""
        return self._pool.submit(call).result()

    def close(self) -> None:
        """End the thread. Children that are still there get SIGTERM."""
        self._pool.shutdown(wait=True)


class Child:
    """One running part: `name` for messages, `pid`, and the file its output goes to."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self.name = name
        self.process = process
        self.log_path = log_path

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def stop(self, grace_seconds: float = 10.0) -> None:
        """TERM, then KILL after the grace; returns when the process is gone. Safe to call twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def failure(self, what: str) -> ChildError:
        """An error that names this part and carries the end of its log."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - LOG_TAIL_BYTES))
                tail = log.read().decode("utf-8", "replace").strip()
        except OSError:
            tail = ""
        return ChildError(f"{self.name} {what} (log: {self.log_path})" + (f"\n{tail}" if tail else ""))

    def wait_ready_line(self, timeout_seconds: float) -> dict[str, Any]:
        """Read one JSON object from the child's standard output.

        Raises ChildError when the child ends, says something else, or says nothing in time.
        """
        assert isinstance(self.process.stdout, io.BufferedReader | io.FileIO)
        deadline = time.monotonic() + timeout_seconds
        line = bytearray()
        fd = self.process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    raise self.failure(f"was not ready after {timeout_seconds:g} s")
                piece = os.read(fd, 4096)
                if not piece:
                    raise self.failure("ended before it was ready")
                line += piece
                if len(line) > MAX_READY_LINE_BYTES:
                    raise self.failure("gave no ready line")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise self.failure("gave no ready line") from error
        if not isinstance(answer, dict):
            raise self.failure("gave no ready line")
        return answer


def start_child(
    name: str,
    argv: Sequence[str],
    log_path: Path,
    environment: Mapping[str, str] | None = None,
    ready_pipe: bool = True,
) -> Child:
    """Start `argv` in a session of its own; errors (and output, without `ready_pipe`) go to `log_path`.

    Raises ChildError when the program cannot be started.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if ready_pipe else log,
                stderr=log,
                bufsize=0,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,  # Ctrl-C on the terminal reaches the launcher only: it stops the parts in order
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise ChildError(f"{name} cannot be started: {error}") from error
    return Child(name, process, log_path)
