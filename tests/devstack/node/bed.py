"""A test bed for the simulated node: a store, a node, and waiting on conditions instead of sleeping."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec

import pytest

from devstack.cluster.deletion import DeleteOptions, delete
from devstack.cluster.node import Node, start_node
from devstack.cluster.node.processes import isolation_problem
from devstack.cluster.objects import Object
from devstack.cluster.runtime import LogOptions, NodeContext, PodBehaviour, Streams
from devstack.cluster.store import Store

P = ParamSpec("P")
NAMESPACE = "ns"
COMMANDS = {"images": [{"match": "*", "run": "command"}]}
SERVE = ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"]


class Rules:
    """Behaviours by pod name."""

    def __init__(self) -> None:
        self.by_pod: dict[str, PodBehaviour] = {}

    def behaviour_of(self, pod: Object, container: str | None = None, image: str | None = None) -> PodBehaviour:
        del container, image
        return self.by_pod.get(pod["metadata"]["name"], PodBehaviour())


class Bed:
    """The store and the node of one test."""

    def __init__(self, store: Store, node: Node, rules: Rules) -> None:
        self.store = store
        self.node = node
        self.rules = rules

    def pod(self, name: str = "p", *, container: Object | None = None, **spec: Any) -> Object:
        """Create a pod as the API server would store it."""
        main = {"name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent", "resources": {}}
        return self.store.create(
            "pods",
            {
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
                "spec": {
                    "containers": [{**main, **(container or {})}],
                    "restartPolicy": "Always",
                    "terminationGracePeriodSeconds": 5,
                    **spec,
                },
                "status": {"phase": "Pending", "qosClass": "BestEffort"},
            },
        )

    def get(self, name: str = "p", kind: str = "pods", namespace: str = NAMESPACE) -> Object | None:
        return self.store.get(kind, namespace, name)

    def status(self, name: str = "p") -> Object:
        pod = self.get(name)
        assert pod is not None, f"pod {name} is gone"
        return dict(pod.get("status") or {})

    def container(self, name: str = "p", index: int = 0, field: str = "containerStatuses") -> Object:
        entries = self.status(name).get(field) or [{}] * (index + 1)
        return dict(entries[index])

    def condition(self, type_: str, name: str = "p") -> Object:
        return next((entry for entry in self.status(name).get("conditions") or () if entry["type"] == type_), {})

    def delete(self, name: str = "p", kind: str = "pods", grace: int | None = None) -> None:
        item = self.store.item(kind, NAMESPACE, name)
        assert item is not None
        delete(self.store, kind, item, DeleteOptions(grace_s=grace))

    def add_ephemeral(self, name: str, *, pod: str = "p", **spec: Any) -> None:
        def change(obj: Object) -> None:
            entry = {"name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", "resources": {}, **spec}
            obj["spec"].setdefault("ephemeralContainers", []).insert(0, entry)

        self.store.update("pods", NAMESPACE, pod, change)

    def events(self, reason: str | None = None) -> list[Object]:
        return [event for event in self.store.list("events") if reason in (None, event["reason"])]

    async def until(self, condition: Callable[[], object], seconds: float = 20.0, kinds: tuple[str, ...] = ()) -> None:
        """Wait for a condition on the store; it is looked at after every change."""
        kinds = kinds or ("pods", "persistentvolumeclaims", "persistentvolumes", "namespaces", "events")
        subscriptions = [self.store.subscribe(kind) for kind in kinds]
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    waits = [asyncio.ensure_future(subscription.wait()) for subscription in subscriptions]
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    for wait in waits:
                        wait.cancel()
                    for subscription in subscriptions:
                        subscription.take()
        except TimeoutError:
            pods = [(pod["metadata"]["name"], pod.get("status")) for pod in self.store.list("pods")]
            pytest.fail(f"not reached within {seconds} s; pods: {pods}")
        finally:
            for subscription in subscriptions:
                subscription.close()

    async def running(self, name: str = "p") -> Object:
        await self.until(lambda: self.container(name).get("ready"))
        pod = self.get(name)
        assert pod is not None
        return pod

    async def exec(self, *command: str, pod: str = "p", container: str = "main") -> tuple[int, str, str]:
        """(exit status, stdout, stderr)"""
        output: dict[str, bytes] = {"out": b"", "err": b""}

        async def out(data: bytes) -> None:
            output["out"] += data

        async def err(data: bytes) -> None:
            output["err"] += data

        target = self.get(pod)
        assert target is not None
        status = await self.node.exec(target, container, list(command), Streams(None, out, err))
        return status, output["out"].decode(), output["err"].decode()

    async def log(self, pod: str = "p", container: str = "main", **options: Any) -> str:
        target = self.get(pod)
        assert target is not None
        return b"".join([chunk async for chunk in self.node.log(target, container, LogOptions(**options))]).decode()

    async def first_line(self, pod: str = "p", container: str = "main") -> str:
        """The first line of a log, waited for."""
        target = self.get(pod)
        assert target is not None
        text = b""
        async with asyncio.timeout(20):
            async for chunk in self.node.log(target, container, LogOptions(follow=True)):
                text += chunk
                if b"\n" in text:
                    break
        return text.decode().splitlines(keepends=True)[0]


@asynccontextmanager
async def bed(directory: Path, options: Object | None = None, *, clean: bool = True) -> AsyncIterator[Bed]:
    """A running node with one namespace."""
    store, rules = Store(), Rules()
    store.create("namespaces", {"metadata": {"name": NAMESPACE}, "spec": {"finalizers": ["kubernetes"]}})
    serial = itertools.count()
    context = NodeContext(
        store=store,
        behaviours=rules,
        state_dir=directory,
        server_url="https://127.0.0.1",
        ca_pem="CA",
        issue_token=lambda namespace, account, *_: f"token-{namespace}-{account}-{next(serial)}",
        options=options or {},
    )
    node = await start_node(context)
    try:
        yield Bed(store, node, rules)
    finally:
        await node.stop()
        if clean:
            assert not list((directory / "node" / "pods").glob("*"))


@asynccontextmanager
async def real_bed(directory: Path, options: Object | None = None) -> AsyncIterator[Bed]:
    """A node whose containers are real processes; skips where the machine does not allow it."""
    problem = await isolation_problem(directory)
    if problem is not None:
        pytest.skip(f"this machine cannot isolate processes: {problem}")
    async with bed(directory, {**COMMANDS, **(options or {})}) as one:
        yield one


def in_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test in a fresh event loop."""

    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        async def main() -> None:
            await test(*arguments, **named)

        asyncio.run(main())

    return run
