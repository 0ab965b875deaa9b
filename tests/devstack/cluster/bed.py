"""A development cluster inside the test's process, in a loop of its own, and a small HTTP client for it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import urllib.parse
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devstack.cluster.cluster import ClusterConfig, RunningCluster, run_cluster

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass
class Answer:
    """One answer of the server; `body` is JSON where it can be read as such, else text."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        return str(self.body["message"])


class Bed:
    """A running cluster without a node: pods stay as they are created."""

    def __init__(self, state_dir: Path, **settings: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.cluster: RunningCluster = self.run(run_cluster(ClusterConfig(state_dir=state_dir, **settings)))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the cluster's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the cluster's loop."""

        async def work() -> Any:
            return function(*arguments)

        return self.run(work())

    def close(self) -> None:
        self.run(self.cluster.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    # -- requests ------------------------------------------------------------------------------------------------
    def _open(
        self, method: str, path: str, body: Any, content_type: str, token: str | None, accept: str
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.port, timeout=15)
        headers = {"Accept": accept}
        if token != "":
            headers["Authorization"] = f"Bearer {token or self.cluster.admin_token}"
        raw: bytes | None = None
        if body is not None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = content_type
        connection.request(method, path, raw, headers)
        return connection, connection.getresponse()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
        accept: str = "application/json",
    ) -> Answer:
        """Send one request; `token` None: the administrator's, "": none."""
        connection, response = self._open(method, path, body, content_type, token, accept)
        try:
            text = response.read().decode()
            response.close()
        finally:
            connection.close()
        try:
            value: Any = json.loads(text)
        except ValueError:
            value = text
        return Answer(response.status, value, dict(response.headers))

    def get(self, path: str, **settings: Any) -> Answer:
        return self.ask("GET", path, **settings)

    def post(self, path: str, body: Any, **settings: Any) -> Answer:
        return self.ask("POST", path, body, **settings)

    def patch(self, path: str, body: Any, content_type: str = MERGE, **settings: Any) -> Answer:
        return self.ask("PATCH", path, body, content_type=content_type, **settings)

    def delete(self, path: str, body: Any = None, **settings: Any) -> Answer:
        return self.ask("DELETE", path, body, **settings)

    def admin(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """A request to the admin endpoint."""
        return self.ask(method, f"/_devstack/{path}", body, token=token or self.cluster.devstack_token)

    @contextmanager
    def watch(self, path: str, **query: Any) -> Iterator[Callable[[], Any]]:
        """A watch; call what it gives for the next event (None at its end)."""
        text = urllib.parse.urlencode({"watch": "true", **query})
        connection, response = self._open("GET", f"{path}?{text}", None, "", None, "application/json")
        assert response.status == 200
        try:
            yield lambda: json.loads(line) if (line := response.readline()) else None
        finally:
            response.close()
            connection.close()

    # -- shortcuts -----------------------------------------------------------------------------------------------
    def namespace(self, name: str) -> str:
        """Make a namespace with its default account; the path of what is in it."""
        assert self.post("/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
        path = f"/api/v1/namespaces/{name}"
        assert self.post(f"{path}/serviceaccounts", {"metadata": {"name": "default"}}).status == 201
        return path


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    """A small pod."""
    containers = spec.pop("containers", [{"name": "main", "image": "busybox:1"}])
    labels = spec.pop("labels", {})
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers, **spec}}
