"""The real peers of these tests, as processes that can be killed, frozen and started again on their port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from devstack import cache
from devstack.children import Child, start_child

HERE = Path(__file__).parent


class Database:
    """A MongoDB-protocol server on a port of its own."""

    def __init__(self, state: Path, replica_set: str = "rs0") -> None:
        self.state = state
        self.replica_set = replica_set
        self.options = ""
        self.require_auth = False
        self.account = ""
        self.port = cache.free_port()
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"mongodb://{self.account}127.0.0.1:{self.port}"

    @property
    def param(self) -> str:
        return (f"replicaSet={self.replica_set}" if self.replica_set else "") + self.options

    def start(self) -> Database:
        program = str(HERE / "database_server.py")
        auth = "yes" if self.require_auth else "no"
        argv = [sys.executable, program, str(self.port), self.replica_set, str(self.state / "db"), auth]
        (self.state / "db").mkdir(parents=True, exist_ok=True)
        self.child = start_child("database", argv, self.state / "database.log")
        self.child.wait_ready_line(60)
        return self

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()
            self.child = None


class Commands(CommandListener):
    """Names of the commands that MongoDB was sent, those of the driver's own monitoring left out."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Not of interest."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Not of interest."""


class Memcached:
    """A memcached on a port of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = cache.free_port()
        self.child: Child | None = None

    def start(self) -> Memcached:
        self.child, self.port = cache.start(self.state, self.port)
        return self

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()
            self.child = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections are accepted by the kernel, nothing is answered."""
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.child.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            os.kill(self.child.pid, signal.SIGCONT)


def closed_port() -> int:
    """A port nobody listens on."""
    return cache.free_port()


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]
