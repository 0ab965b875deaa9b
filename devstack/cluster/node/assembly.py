"""Puts the parts of the node together and runs them."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

from devstack.cluster.node.addresses import AddressPool
from devstack.cluster.node.cgroups import CgroupMaker
from devstack.cluster.node.claims import ClaimController, create_classes
from devstack.cluster.node.events import EventRecorder
from devstack.cluster.node.host import Host
from devstack.cluster.node.kubelet import Kubelet
from devstack.cluster.node.namespaces import NamespaceController
from devstack.cluster.node.nodes import create_nodes
from devstack.cluster.node.options import parse_options
from devstack.cluster.node.quotas import QuotaController
from devstack.cluster.node.scheduling import Scheduler
from devstack.cluster.node.volumes import Volumes
from devstack.cluster.objects import Object
from devstack.cluster.runtime import LogOptions, NodeContext, Streams

log = logging.getLogger(__name__)


class Node:
    """All nodes of the cluster; a PodRuntime."""

    def __init__(self, context: NodeContext) -> None:
        options = parse_options(context.options)
        directory = context.state_dir / "node"
        # Volumes of pods of an earlier run belong to nobody; persistent ones are kept.
        shutil.rmtree(directory / "pods", ignore_errors=True)
        volumes = Volumes(context.store, directory, context.issue_token, context.ca_pem, options.allow_host_path)
        self.host = Host(
            store=context.store,
            options=options,
            events=EventRecorder(context.store, options.events_kept),
            behaviours=context.behaviours,
            volumes=volumes,
            addresses=AddressPool(options.pod_network),
            directory=directory,
            cgroups=CgroupMaker(),
        )
        self.claims = ClaimController(self.host)
        self.scheduler = Scheduler(self.host, self.claims.provision)
        self.kubelet = Kubelet(self.host, self.scheduler)
        self._namespaces = NamespaceController(context.store, context.ca_pem)
        self._quotas = QuotaController(context.store)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Register the nodes and begin to follow the store."""
        self.host.cgroups.sweep()
        create_nodes(self.host.store, self.host.options)
        create_classes(self.host)
        for follow in (
            self._namespaces.follow,
            self.claims.follow,
            self.kubelet.follow,
            self.scheduler.follow,
            self._quotas.follow,
        ):
            self._tasks.append(asyncio.get_running_loop().create_task(_guard(follow)))

    def log(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See PodRuntime."""
        return self.kubelet.log(pod, container, options)

    async def exec(self, pod: Object, container: str, command: list[str], streams: Streams) -> int:
        """See PodRuntime."""
        return await self.kubelet.exec(pod, container, command, streams)

    async def attach(self, pod: Object, container: str, streams: Streams) -> int:
        """See PodRuntime."""
        return await self.kubelet.attach(pod, container, streams)

    async def stop(self) -> None:
        """End every process and task."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.scheduler.close()
        await self.kubelet.close()
        self.host.cgroups.close()
        shutil.rmtree(self.host.directory / "pods", ignore_errors=True)


async def _guard(follow: Callable[[], Awaitable[None]]) -> None:
    """Keep a controller going: one object it cannot handle must not end it."""
    while True:
        try:
            await follow()
        except Exception:
            log.exception("controller %s failed; it starts again", getattr(follow, "__qualname__", follow))
            await asyncio.sleep(1)
        else:
            return


async def start_node(context: NodeContext) -> Node:
    """Start the nodes of a cluster. Raises msgspec.ValidationError for bad options."""
    node = Node(context)
    node.start()
    return node
