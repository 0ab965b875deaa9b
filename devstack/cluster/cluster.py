"""One development cluster: from its configuration to a listening server."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from devstack.cluster import bootstrap
from devstack.cluster.authentication import Authenticator, User, admin_user
from devstack.cluster.calls import Api
from devstack.cluster.certificates import Authority
from devstack.cluster.faults import Faults
from devstack.cluster.kubeconfig import write_kubeconfig
from devstack.cluster.objects import Object
from devstack.cluster.rbac import Authorizer
from devstack.cluster.runtime import NodeContext, PodRuntime
from devstack.cluster.server import Server
from devstack.cluster.store import Store

logger = logging.getLogger(__name__)
COMPACTION_PERIOD_S = 300.0
_SHUTDOWN_S = 1.0
StartNode = Callable[[NodeContext], Coroutine[Any, Any, PodRuntime]]


@dataclass
class ClusterConfig:
    """What a cluster is like.

    `port` 0: a free one.  `tls`: https with a CA of its own (kubeconfig files carry it).  Empty tokens: random ones.
    `start_node`: makes the node (devstack.cluster.node.start_node); None: no node, pods stay as they are.
    `node_options`: see devstack.cluster.node.options.  `history`: changes of each kind kept for watches.
    `tokens`: further bearer tokens and their users.
    """

    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    admin_token: str = ""
    devstack_token: str = ""
    start_node: StartNode | None = None
    node_options: dict[str, Any] = field(default_factory=dict)
    history: int = 10_000
    storage_class: str = "hostpath"
    tokens: dict[str, User] = field(default_factory=dict)


class RunningCluster:
    """A listening cluster; `stop` it at the end.  Its store may be used in the same loop."""

    def __init__(self, config: ClusterConfig, url: str, server: Server, faults: Faults, ca_pem: str) -> None:
        self.config = config
        self.url = url
        self.server = server
        self.faults = faults
        self.ca_pem = ca_pem
        self.admin_token = config.admin_token
        self.devstack_token = config.devstack_token
        self._runner: web.ServerRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def store(self) -> Store:
        return self.server.api.store

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def write_admin_kubeconfig(self, path: Path, namespace: str = "default") -> Path:
        return write_kubeconfig(path, self.url, self.admin_token, namespace, ca_pem=self.ca_pem, user="admin")

    def ready_line(self) -> Object:
        """What a starter needs to know, as one JSON object; it holds secrets, so it goes to the starter alone."""
        return {
            "url": self.url,
            "admin_token": self.admin_token,
            "devstack_token": self.devstack_token,
            "state_dir": str(self.config.state_dir),
        }

    async def stop(self) -> None:
        """End watches, node and server."""
        for watch in list(self.server.watches):
            watch.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        runtime = self.server.api.runtime
        if runtime is not None:
            await runtime.stop()
        if self._runner is not None:
            await self._runner.cleanup()


async def run_cluster(config: ClusterConfig) -> RunningCluster:
    """Start a cluster; it answers when this returns.  Raises OSError when it cannot listen."""
    config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    config.admin_token = config.admin_token or secrets.token_urlsafe(24)
    config.devstack_token = config.devstack_token or secrets.token_urlsafe(24)
    store = Store(history=config.history)
    authenticator = Authenticator(store, {config.admin_token: admin_user(), **config.tokens})
    api = Api(store, authenticator, Authorizer(store), config.state_dir)
    faults = Faults()
    authority = Authority.make()
    listener = socket.create_server((config.host, config.port), backlog=1024)
    url = f"{'https' if config.tls else 'http'}://{config.host}:{listener.getsockname()[1]}"
    server = Server(api, faults, config.devstack_token)
    cluster = RunningCluster(config, url, server, faults, authority.pem)
    # The node brings the classes its volumes are of.
    bootstrap.fill(store, storage_class="" if config.start_node else config.storage_class)
    try:
        if config.start_node is not None:
            api.runtime = await config.start_node(_node_context(cluster, faults))
        await _listen(cluster, listener, _tls(config, authority))
    except BaseException:
        listener.close()
        await cluster.stop()
        raise
    return cluster


def _node_context(cluster: RunningCluster, faults: Faults) -> NodeContext:
    def issue(namespace: str, account: str, audiences: list[str], seconds: int, pod: Object | None) -> str:
        return cluster.server.api.authenticator.issue(namespace, account, audiences, seconds, pod)[0]

    return NodeContext(
        store=cluster.store,
        behaviours=faults,
        state_dir=cluster.config.state_dir,
        server_url=cluster.url,
        ca_pem=cluster.ca_pem,
        issue_token=issue,
        options=cluster.config.node_options,
    )


def _tls(config: ClusterConfig, authority: Authority) -> ssl.SSLContext | None:
    if not config.tls:
        return None
    certificate, key = authority.issue_server(config.host, config.state_dir)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def _listen(cluster: RunningCluster, listener: socket.socket, context: ssl.SSLContext | None) -> None:
    server = web.Server(cluster.server.handle, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    cluster._runner = runner
    await web.SockSite(runner, listener, ssl_context=context).start()
    cluster._tasks.append(asyncio.get_running_loop().create_task(_compact_now_and_then(cluster.store)))


async def _compact_now_and_then(store: Store) -> None:
    """Bound how long a history is kept, not only how many changes."""
    mark = store.version
    while True:
        await asyncio.sleep(COMPACTION_PERIOD_S)
        store.compact_before(mark)
        mark = store.version


@asynccontextmanager
async def cluster(config: ClusterConfig) -> AsyncIterator[RunningCluster]:
    """A cluster for the length of a block."""
    running = await run_cluster(config)
    try:
        yield running
    finally:
        await running.stop()
