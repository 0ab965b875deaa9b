"""A stack with pyos on it, for one group of scenarios: addresses, processes, counters, and requests for preparation."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.counters import ClusterControl, RoundTrips
from bench.load import Engine, encode
from bench.measuring import Process, Watcher
from devstack.cluster.node import desktop_exec_answers
from devstack.service import Backends, Service
from devstack.stack import Stack

LAUNCH: dict[str, Any] = {
    "width": 1440,
    "height": 819,
    "hostname": "desktop.example.com",
    "timezone": "Europe/Paris",
    "args": None,
}
LOGIN: dict[str, Any] = {"manager": None, "provider": "anonymous", "utctimestamp": 1729772725120, "geolocation": {}}
_CAPACITY = {"cpu": "1000000", "memory": "1Pi", "ephemeral-storage": "1Pi", "pods": "100000"}
_SECONDS = 320.0


class Client:
    """One keep-alive connection for what is not measured. ``token``: of a user. Not thread-safe."""

    def __init__(self, port: int, token: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.port = port
        self.token = token
        self.userid = ""
        self._headers = headers or {}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer. Raises RuntimeError for anything but HTTP 200 without an ``error``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        headers = {"Content-Type": "application/json", **self._headers}
        if self.token:
            headers["ABCAuthorization"] = f"Bearer {self.token}"
        data = json.dumps({} if body is None else body) if method == "POST" else None
        connection.request(method, f"/API/{path}", data, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        value = json.loads(text) if text.startswith((b"{", b"[")) else text.decode()
        if answer.status != 200 or (isinstance(value, dict) and value.get("error")):
            raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")
        return value

    def post(self, path: str, body: Any = None) -> Any:
        """POST below /API/."""
        return self.ask("POST", path, body)

    def log_in(self, body: Mapping[str, Any] = LOGIN) -> Self:
        """Become somebody."""
        result = self.post("auth/auth", body)["result"]
        self.token, self.userid = str(result["jwt_user_token"]), str(result["userid"])
        return self

    def request(self, path: str, body: Any = None, method: str = "POST") -> bytes:
        """The bytes of a request with this client's token and headers."""
        return encode(method, path, body, token=self.token, headers=self._headers)


@dataclass
class World:
    """One stack and ``replicas`` of pyos. ``overrides``: od.config keys. Use in ``with``."""

    replicas: int = 1
    overrides: Mapping[str, Any] = field(default_factory=dict)
    parts: Collection[str] = ("cluster", "database", "cache")

    def __enter__(self) -> Self:
        self._exits = ExitStack()
        try:
            self._start()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def _start(self) -> None:
        directory = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="pyos-bench-")))
        options = {
            "exec_answers": [{**rule, "when_ready": True} for rule in desktop_exec_answers()],
            "nodes": [{"name": "node1", "capacity": _CAPACITY}],
            "pod_network": "10.128.0.0/9",
        }
        # Without a password: then anybody may read the database's counters.
        self.stack = self._exits.enter_context(Stack(directory / "stack", node_options=options, database_auth=False))
        self.trips = self._exits.enter_context(RoundTrips(self.stack))
        key = "bench-operator-key-of-this-run"
        self.services = [
            self._exits.enter_context(
                Service(directory / f"pyos{n}", self.backends, overrides=self.overrides, api_key=key)
            )
            for n in range(self.replicas)
        ]
        self.operator = Client(self.ports[0], headers={"X-API-Key": key})

    @property
    def backends(self) -> Backends:
        """What a further pyos on this stack needs."""
        stack = self.stack
        assert stack.kubeconfig_pyos
        assert stack.keys
        assert stack.mongodb_url
        return Backends(stack.kubeconfig_pyos, stack.keys, stack.mongodb_url, stack.mongodb_parameters, stack.memcached)

    @property
    def ports(self) -> list[int]:
        """Of each replica."""
        return [service.port for service in self.services]

    @property
    def processes(self) -> list[Process]:
        """Of each replica."""
        return [Process(service.process.pid) for service in self.services if service.process]

    @property
    def control(self) -> ClusterControl:
        """Faults and counters of the cluster."""
        return self.trips.control

    def engine(self) -> Engine:
        """A load generator of all replicas."""
        return Engine(self.ports)

    def watcher(self, *, counted: bool = True) -> Watcher:
        """A measurement of all replicas."""
        return Watcher(self.processes, self.trips if counted else None)

    def user(self, *, desktop: bool = False, body: Mapping[str, Any] = LOGIN) -> Client:
        """Somebody who just logged in, with a desktop if wished."""
        client = Client(self.ports[0]).log_in(body)
        if desktop:
            client.post("composer/launchdesktop", LAUNCH)
        return client

    def users(self, count: int, *, desktop: bool = False) -> list[Client]:
        """Several of them."""
        return [self.user(desktop=desktop) for _ in range(count)]

    def register(self, documents: Sequence[Any]) -> None:
        """Put applications into the catalogue, in one request; replicas learn of it."""
        self.operator.post("manager/image", list(documents))
