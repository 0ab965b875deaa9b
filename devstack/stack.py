"""The stack of one machine: cluster, database, cache and keys, started and stopped together.

    with Stack(tmp_path, parts={"cluster", "database"}) as stack:
        stack.kubeconfig, stack.mongodb_url, stack.cluster_admin("GET", "/api/v1/namespaces")

Every part is a process of its own on a loopback port. Nothing outlives the stack: parts end with it, also when the
process that holds it is killed. A state directory can be used again; it keeps database, keys and persistent volumes,
while the objects of the cluster live in memory only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devstack import cache, database
from devstack.children import Child, ChildError, Spawner, start_child
from devstack.cluster.kubeconfig import write_kubeconfig
from devstack.cluster.node import desktop_exec_answers
from devstack.clusterclient import ClusterClient
from devstack.keys import KeyFiles, ensure_keys, write_private

PARTS = ("cluster", "database", "cache")
ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = ("00-namespace.yaml", "10-rbac.yaml", "11-rbac-optional.yaml")
NAMESPACE = "abcdesktop"
SERVICE_ACCOUNT = "pyos-serviceaccount"
TOKEN_SECONDS = 30 * 24 * 3600
CLUSTER_READY_SECONDS = 90.0


@dataclass(frozen=True)
class Ports:
    """Where the parts listen; 0: on a free port."""

    cluster: int = 0
    database: int = 0
    cache: int = 0


class Stack:
    """A running stack (after `start` or inside `with`). Attributes of parts that were not asked for are None.

    `node_options`: see devstack.cluster.node.options, default `default_node_options()`.
    `database_auth`: whether the database wants its user's password.
    `tls`: whether the cluster serves https; kubectl sends its token only there.
    """

    def __init__(
        self,
        state_dir: Path | str,
        parts: Collection[str] = PARTS,
        *,
        ports: Ports | None = None,
        namespace: str = NAMESPACE,
        node_options: dict[str, Any] | None = None,
        database_auth: bool = True,
        optional_rights: bool = True,
        tls: bool = True,
        cluster_arguments: Collection[str] = (),
    ) -> None:
        unknown = set(parts) - set(PARTS)
        if unknown:
            raise ValueError(f"unknown parts {sorted(unknown)}; there are {', '.join(PARTS)}")
        self.state = Path(state_dir).resolve()
        self.parts = frozenset(parts)
        self.namespace = namespace
        self.keys: KeyFiles | None = None
        self.kubeconfig: Path | None = None
        self.kubeconfig_pyos: Path | None = None
        self.server_url: str | None = None
        self.devstack_token: str | None = None
        self.mongodb_url: str | None = None
        self.mongodb_parameters = ""
        self.memcached: tuple[str, int] | None = None
        self._ports = ports or Ports()
        self._node_options = default_node_options() if node_options is None else node_options
        self._database_auth = database_auth
        self._optional_rights = optional_rights
        self._tls = tls
        self._cluster_arguments = list(cluster_arguments)
        self._client: ClusterClient | None = None
        self._children: list[Child] = []
        self._spawner: Spawner | None = None

    # -- life ----------------------------------------------------------------------------------------------------
    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the parts and wait until each is ready. Raises ChildError (and leaves nothing running)."""
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spawner = Spawner()
        try:
            # The slow ones are launched first and waited for last.
            base = self._launch_database(self._spawner) if "database" in self.parts else None
            cluster = self._launch_cluster(self._spawner) if "cluster" in self.parts else None
            self.keys = ensure_keys(self.state / "keys")
            if cluster is not None:
                self._await_cluster(cluster)
            if base is not None:
                self._await_database(base)
            if "cache" in self.parts and cache.is_available():
                self._start_cache(self._spawner)
            self._write_environment()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the parts, the last started first. Safe to call twice."""
        if self._client is not None:
            self._client.close()
            self._client = None
        while self._children:
            self._children.pop().stop()
        if self._spawner is not None:
            self._spawner.close()
            self._spawner = None

    def failed_part(self) -> Child | None:
        """A part that has ended although nobody stopped it."""
        return next((child for child in self._children if not child.is_alive()), None)

    @property
    def processes(self) -> dict[str, int]:
        """Process ids by part."""
        return {child.name: child.pid for child in self._children}

    @property
    def memcached_address(self) -> str | None:
        """host:port of memcached."""
        return f"{self.memcached[0]}:{self.memcached[1]}" if self.memcached else None

    # -- use -----------------------------------------------------------------------------------------------------
    def cluster_admin(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request to the API server as its administrator; the decoded answer.

        Raises devstack.clusterclient.ClusterError when it is refused.
        """
        if self._client is None:
            raise ValueError("this stack has no cluster")
        return self._client.request(method, path, body, content_type)

    @property
    def admin_token(self) -> str:
        """The bearer token of the cluster's administrator."""
        if self._client is None:
            raise ValueError("this stack has no cluster")
        return self._client.token

    def environment(self) -> dict[str, str]:
        """The variables the product reads to find the stack, and the paths of keys for its configuration."""
        values: dict[str, str] = {"POD_NAMESPACE": self.namespace}
        if self.kubeconfig_pyos is not None:
            values["KUBECONFIG"] = str(self.kubeconfig_pyos)
        if self.mongodb_url is not None:
            values["MONGODB_URL"] = self.mongodb_url
            values["MONGODB_PARAM"] = self.mongodb_parameters
        if self.memcached_address is not None:
            values["MEMCACHESERVER"] = self.memcached_address
        if self.keys is not None:
            pairs = {
                "JWT_USER_SIGNING": self.keys.user_signing,
                "JWT_DESKTOP_SIGNING": self.keys.desktop_signing,
                "JWT_DESKTOP_PAYLOAD": self.keys.desktop_payload,
            }
            for name, pair in pairs.items():
                values[f"{name}_PRIVATE_KEY"] = str(pair.private)
                values[f"{name}_PUBLIC_KEY"] = str(pair.public)
        return values

    def describe(self) -> list[tuple[str, str, str]]:
        """What runs where: (part, address, note); no password."""
        rows = []
        if self.server_url is not None:
            rows.append(("cluster", self.server_url, f"KUBECONFIG={self.kubeconfig}"))
        if self.mongodb_url is not None:
            address = "mongodb://" + self.mongodb_url.rpartition("@")[2].removeprefix("mongodb://")
            rows.append(("database", address, f"user {database.USER}, password in {self.state / 'env'}"))
        if self.memcached_address is not None:
            rows.append(("cache", self.memcached_address, "memcached"))
        elif "cache" in self.parts:
            rows.append(("cache", "none", "memcached is not installed: pyos keeps its cache in its own process"))
        rows.append(("keys", str(self.state / "keys"), "RSA key pairs of the tokens"))
        return rows

    # -- parts ---------------------------------------------------------------------------------------------------
    def _launch_cluster(self, spawner: Spawner) -> Child:
        argv = [sys.executable, "-m", "devstack.cluster", "--port", str(self._ports.cluster)]
        argv += ["--state", str(self.state / "cluster"), *self._cluster_arguments]
        if self._tls:
            argv.append("--tls")
        file = self.state / "node-options.json"
        write_private(file, json.dumps(self._node_options).encode())
        argv += ["--node-options", str(file)]
        log = self.state / "logs" / "cluster.log"
        child = spawner.run(lambda: start_child("cluster", argv, log))
        self._children.append(child)
        return child

    def _await_cluster(self, child: Child) -> None:
        ready = child.wait_ready_line(CLUSTER_READY_SECONDS)
        self._take_cluster(child, ready)
        assert self._client is not None
        for name in MANIFESTS if self._optional_rights else MANIFESTS[:2]:
            if (ROOT / "deploy" / name).exists():
                self._client.apply_file(ROOT / "deploy" / name, self.namespace)
        token = self._client.service_account_token(self.namespace, SERVICE_ACCOUNT, TOKEN_SECONDS)
        self.kubeconfig_pyos = write_kubeconfig(
            self.state / "kubeconfig.pyos",
            self._client.server,
            token,
            self.namespace,
            ca_pem=self._client.ca_pem,
            user=SERVICE_ACCOUNT,
        )

    def _take_cluster(self, child: Child, ready: dict[str, Any]) -> None:
        try:
            self.server_url = str(ready["url"])
            self.devstack_token = str(ready["devstack_token"])
            admin = Path(ready["kubeconfig"])
        except KeyError as error:
            raise child.failure("gave an incomplete ready line") from error
        self.kubeconfig = self.state / "kubeconfig"
        write_private(self.kubeconfig, admin.read_bytes())
        self._client = ClusterClient(self.kubeconfig)

    def _launch_database(self, spawner: Spawner) -> Child:
        child = spawner.run(lambda: database.launch(self.state, self._ports.database, auth=self._database_auth))
        self._children.append(child)
        return child

    def _await_database(self, child: Child) -> None:
        ready = database.await_ready(self.state, child, auth=self._database_auth)
        self.mongodb_url, self.mongodb_parameters = ready.url, ready.parameters

    def _start_cache(self, spawner: Spawner) -> None:
        child, port = spawner.run(lambda: cache.start(self.state, self._ports.cache))
        self._children.append(child)
        self.memcached = ("127.0.0.1", port)

    def _write_environment(self) -> None:
        lines = [f"export {name}='{value}'" for name, value in sorted(self.environment().items())]
        write_private(self.state / "env", ("\n".join(lines) + "\n").encode())


def default_node_options() -> dict[str, Any]:
    """A node whose idle desktops answer the product's readiness probes."""
    return {"exec_answers": desktop_exec_answers()}


def default_state_dir() -> Path:
    """Where the stack of this work tree keeps its state."""
    return Path(os.environ.get("DEVSTACK_STATE", ROOT / ".devstack"))


__all__ = ["PARTS", "ChildError", "Ports", "Stack", "default_state_dir"]
