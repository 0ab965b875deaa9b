"""pyos as a process on a development stack: its configuration file, start, readiness and stop.

Used by ``make run``, by the tests and by the benchmarks.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from devstack.children import die_with_parent
from devstack.keys import KeyFiles
from oc.od.settings.reader import read_file

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = "abcdesktop"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
LOG_FORMAT = "%(asctime)s %(nodename)s [%(levelname)-7s] %(name)s:%(userid)s %(message)s"


class ServiceError(RuntimeError):
    """pyos did not start; the text shows the end of its log."""


@dataclass(frozen=True)
class Backends:
    """Where the stack's parts are. mongodb_url without path; memcached as ``(host, port)`` or None for none."""

    kubeconfig: Path
    keys: KeyFiles
    mongodb_url: str
    mongodb_param: str
    memcached: tuple[str, int] | None


@dataclass
class Service:
    """One pyos process. ``overrides`` are od.config keys put over the shipped file; a value None removes the key."""

    directory: Path
    backends: Backends
    port: int = 0
    overrides: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    api_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base address, without ``/API``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        """What the process printed."""
        return self.directory / "pyos.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, wait: bool = True) -> None:
        """Write the configuration, start the process and wait for its health route. Raises ServiceError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        config = self.directory / "od.config"
        write_configuration(config, self.values())
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("MONGODB_", "MEMCACHE", "OD_"))},
            "OD_CONFIG_PATH": str(config),
            "KUBECONFIG": str(self.backends.kubeconfig),
            "MONGODB_URL": self.backends.mongodb_url,
            "MONGODB_PARAM": self.backends.mongodb_param,
            "POD_NAMESPACE": NAMESPACE,
            **self.environment,
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "od.py")],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        if wait:
            self.wait_healthy()

    def values(self) -> dict[str, Any]:
        """The configuration: the shipped file, what the stack needs, and the overrides."""
        values = dict(read_file(ROOT / "od.config").values)
        values.update(self._stack_values())
        values.update(self.overrides)
        return {key: value for key, value in values.items() if value is not None}

    def _stack_values(self) -> dict[str, Any]:
        keys = self.backends.keys
        memcached = self.backends.memcached
        return {
            "server.socket_host": "127.0.0.1",
            "server.socket_port": self.port,
            "default_host_url": self.url,
            "namespace": NAMESPACE,
            "openapi_public": True,
            "jwt_token_user": {
                "exp": 360,
                "jwtuserprivatekeyfile": str(keys.user_signing.private),
                "jwtuserpublickeyfile": str(keys.user_signing.public),
            },
            "jwt_token_desktop": {
                "exp": 420,
                "jwtdesktopprivatekeyfile": str(keys.desktop_signing.private),
                "jwtdesktoppublickeyfile": str(keys.desktop_signing.public),
                "payloaddesktoppublickeyfile": str(keys.desktop_payload.public),
            },
            "controllers": {
                "ManagerController": {
                    "apikey": [self.api_key],
                    "permitip": ["127.0.0.0/8"],
                    "database_acl": ["get", "put", "delete"],
                },
                "StoreController": {"wrapped_key": {}},
                "ComposerController": {"requestsallowed": {"getdesktopdescription": False}},
            },
            "memcacheserver": memcached[0] if memcached else None,
            "memcacheport": memcached[1] if memcached else None,
            "logging": {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"standard": {"format": LOG_FORMAT}},
                "filters": {"odcontext": {"()": "oc.logging.OdContextFilter"}},
                "handlers": {
                    "stdout": {
                        "class": "logging.StreamHandler",
                        "filters": ["odcontext"],
                        "level": "INFO",
                        "formatter": "standard",
                        "stream": "ext://sys.stdout",
                    }
                },
                "root": {"level": "INFO", "handlers": ["stdout"]},
            },
        }

    def wait_healthy(self, seconds: float = START_SECONDS) -> None:
        """Return when the health route answers. Raises ServiceError when the process ended or time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                if requests.get(f"{self.url}/API/healthz", timeout=2).ok:
                    return
            except requests.RequestException:
                time.sleep(0.05)
        raise ServiceError(f"pyos did not start:\n{self.log_tail()}")

    def log_tail(self, size: int = 4000) -> str:
        """The end of what the process printed."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")[-size:] if self.log_path.exists() else ""

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int | None:
        """Stop gracefully (SIGTERM), then by force. Returns the exit status, None when it was not running."""
        process, self.process = self.process, None
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode


def write_configuration(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values`` as an od.config file, readable by its owner only: it holds the API key."""
    lines = ["[global]", *(f"{key} = {_literal(value)}" for key, value in values.items())]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def _literal(value: Any) -> str:
    return repr(value).replace("%", "%%")


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
