"""memcached on a loopback port, where the program is installed."""

from __future__ import annotations

import getpass
import shutil
import socket
import time
from pathlib import Path

from devstack.children import Child, ChildError, start_child

PORT_ATTEMPTS = 5
READY_SECONDS = 60.0
STATS_LIMIT_BYTES = 64 * 1024


def is_available() -> bool:
    """Whether memcached is on PATH."""
    return shutil.which("memcached") is not None


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serving_pid(port: int) -> int | None:
    """The process id of the memcached that answers on the port, None when nothing answers yet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(b"stats\r\n")
            answer = b""
            while b"END\r\n" not in answer and len(answer) < STATS_LIMIT_BYTES:
                piece = connection.recv(4096)
                if not piece:
                    return None
                answer += piece
    except OSError:
        return None
    for line in answer.splitlines():
        if line.startswith(b"STAT pid "):
            return int(line.split()[2])
    return None


def _wait_ready(child: Child, port: int) -> bool:
    """True when this very child answers; False when it ended (its port was taken)."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if not child.is_alive():
            return False
        if _serving_pid(port) == child.pid:
            return True
        time.sleep(0.01)
    child.stop()
    raise child.failure(f"was not ready after {READY_SECONDS:g} s")


def start(state: Path, port: int = 0) -> tuple[Child, int]:
    """Start memcached on `port` (0: a free one). Gives the child and its port; raises ChildError."""
    program = shutil.which("memcached")
    if program is None:
        raise ChildError("cache: memcached is not installed")
    for _ in range(PORT_ATTEMPTS if port == 0 else 1):
        chosen = port or free_port()
        argv = [program, "-l", "127.0.0.1", "-p", str(chosen), "-U", "0", "-m", "64", "-u", getpass.getuser()]
        child = start_child("cache", argv, state / "logs" / "memcached.log", ready_pipe=False)
        if _wait_ready(child, chosen):
            return child, chosen
        child.stop()
    raise child.failure(f"could not listen on port {chosen}")
