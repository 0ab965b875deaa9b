"""The kubelets of all nodes together: follow the store's pods and keep a worker for each that has a node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from devstack.cluster.node.adopting import is_running, is_settled
from devstack.cluster.node.executing import execute_streams
from devstack.cluster.node.following import follow
from devstack.cluster.node.host import Host
from devstack.cluster.node.processes import END_SECONDS
from devstack.cluster.node.scheduling import Scheduler
from devstack.cluster.node.status import TERMINAL_PHASES
from devstack.cluster.node.worker import PodWorker
from devstack.cluster.objects import Object
from devstack.cluster.runtime import LogOptions, RuntimeRefusedError, Streams


class Kubelet:
    """Starts and ends pods; answers for logs, exec and attach."""

    def __init__(self, host: Host, scheduler: Scheduler) -> None:
        self._host = host
        self._scheduler = scheduler
        self._workers: dict[str, PodWorker] = {}

    @property
    def workers(self) -> list[PodWorker]:
        """The pods that have a node and are still there."""
        return list(self._workers.values())

    async def follow(self) -> None:
        """Follow the pods until cancelled."""
        await follow(self._host.store, "pods", self.see, self._gone)

    def see(self, pod: Object) -> None:
        """A pod has come or changed."""
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if worker is not None:
            worker.update(pod)
            return
        node = pod["spec"].get("nodeName")
        if not node:
            self._scheduler.consider(pod)
            return
        if self._host.store.get("nodes", None, node) is None:
            return  # bound to a node nobody runs: it stays Pending, as in any cluster
        # What a subscription gives may be older than the store: a pod that is gone by now is not started.
        current = self._host.store.get("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        if current is None or current["metadata"]["uid"] != uid:
            return
        if (current.get("status") or {}).get("phase") in TERMINAL_PHASES:
            return
        self._scheduler.account(current)
        if not is_settled(current):
            self._begin(current)

    def _begin(self, pod: Object) -> PodWorker:
        worker = PodWorker(self._host, pod, pod["spec"]["nodeName"], self._ended)
        self._workers[worker.uid] = worker
        if is_running(pod):
            worker.adopt()
        worker.start()
        return worker

    def _worker(self, pod: Object) -> PodWorker | None:
        """The worker of a pod somebody asks for: that of a copied pod is made now."""
        worker = self._workers.get(pod["metadata"]["uid"])
        if worker is None and is_settled(pod) and self._host.store.get("nodes", None, pod["spec"]["nodeName"]):
            return self._begin(pod)
        return worker

    def _ended(self, worker: PodWorker) -> None:
        self._scheduler.release(worker.uid)

    def _gone(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.pop(uid, None)
        if worker is not None and not worker.ended:
            worker.drop()
        self._scheduler.release(uid)

    async def close(self) -> None:
        """End every container."""
        workers = list(self._workers.values())
        self._workers.clear()
        for worker in workers:
            if not worker.ended:
                worker.drop()
        if self._host.live:
            await asyncio.wait(set(self._host.live), timeout=END_SECONDS)

    # -- PodRuntime ----------------------------------------------------------------------------------------------
    async def log(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """See PodRuntime."""
        name = pod["metadata"]["name"]
        worker = self._worker(pod)
        found = worker.containers.get(container) if worker else None
        if found is None:
            raise RuntimeRefusedError(f'container "{container}" in pod "{name}" is not available')
        if options.previous:
            if found.previous_log is None:
                raise RuntimeRefusedError(f'previous terminated container "{container}" in pod "{name}" not found')
            buffer = found.previous_log
        else:
            buffer = found.log
            waiting = found.state.waiting
            if waiting is not None and not found.has_run:
                raise RuntimeRefusedError(
                    f'container "{container}" in pod "{name}" is waiting to start: {_waiting_text(waiting)}'
                )
        async for chunk in buffer.read(options):
            yield chunk

    async def exec(self, pod: Object, container: str, command: list[str], streams: Streams) -> int:
        """See PodRuntime."""
        worker = self._worker(pod)
        found = worker.containers.get(container) if worker else None
        if worker is None or found is None or not found.is_running:
            raise RuntimeRefusedError(f'unable to upgrade connection: container not found ("{container}")', 500)
        return await execute_streams(worker, found, command, streams)

    async def attach(self, pod: Object, container: str, streams: Streams) -> int:
        """Follow the output of the main process from now on; it has no input here."""
        worker = self._worker(pod)
        found = worker.containers.get(container) if worker else None
        if found is None or not found.is_running:
            raise RuntimeRefusedError(f'unable to upgrade connection: container not found ("{container}")', 500)
        async for chunk in found.log.read(LogOptions(follow=True, tail_lines=0)):
            if streams.stdout is not None:
                await streams.stdout(chunk)
        return int((found.state.terminated or found.state.last or {}).get("exitCode", 0))

    async def stop(self) -> None:
        """See PodRuntime; replaced by the assembled node."""
        with contextlib.suppress(asyncio.CancelledError):
            await self.close()


def _waiting_text(waiting: dict[str, str]) -> str:
    reason = waiting.get("reason", "")
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        known = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
        return known[reason]
    return reason
