"""A stack whose desktops tell what the operations ask of them, and pyos on it as objects and as a process.

The image of a desktop says what its commands answer: ``example/idle`` nobody is connected, ``example/busy`` two
browsers are, ``example/broken`` the count fails; ``example/group1`` and ``example/group2`` show the control groups of
that version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devstack.cluster.node import desktop_exec_answers
from devstack.service import Backends, Service
from devstack.stack import Stack
from oc.model.identity import ClientInfo, Identity
from oc.od.accounting import Accounting
from oc.od.composer.ending import Endings
from oc.od.composer.garbage import GarbageCollector
from oc.od.orchestrator import Orchestrator
from oc.od.settings import Settings
from oc.sharecache import LocalCache, ShareCache
from tests.conftest import stack_backends
from tests.od.orchestrator.conftest import (
    admin,
    client,
    configuration,
    logged_in,
    login,
    make_identity,
    make_orchestrator,
    orchestrator,
)
from tests.od.orchestrator.support import settings_with

__all__ = [
    "admin",
    "client",
    "configuration",
    "logged_in",
    "login",
    "make_identity",
    "make_orchestrator",
    "orchestrator",
]


def group_files(files: dict[str, str]) -> str:
    return "".join(f"\n=== /sys/fs/cgroup/{path}\n{text}\n" for path, text in files.items())


GROUP_2 = {
    "cpu.stat": "usage_usec 183000000\nuser_usec 1\nsystem_usec 2",
    "cpu.max": "200000 50000",
    "memory.current": "734003200",
    "memory.max": "8589934592",
}
GROUP_2_OPEN = {**GROUP_2, "cpu.max": "max 100000", "memory.max": "max"}
GROUP_1 = {
    "cpu/cpuacct.usage": "183000000000",
    "cpuacct/cpu.cfs_quota_us": "-1",
    "memory/memory.usage_in_bytes": "734003200",
    "memory/memory.limit_in_bytes": "9223372036854771712",
}

NODE_OPTIONS: dict[str, Any] = {
    "nodes": [{"name": "node1"}, {"name": "node2", "labels": {"zone": "b"}}],
    "exec_answers": [
        {"match": "*connectcount*", "image": "*example/busy*", "output": "2\n"},
        {"match": "*connectcount*", "image": "*example/broken*", "status": 1, "error": "no such thing"},
        {"match": "*connectcount*", "output": "0\n"},
        {"match": "/bin/sh -c for file *", "image": "*example/group1*", "output": group_files(GROUP_1)},
        {"match": "/bin/sh -c for file *", "image": "*example/open*", "output": group_files(GROUP_2_OPEN)},
        {"match": "/bin/sh -c for file *", "output": group_files(GROUP_2)},
        {"match": "*occall.js*"},
        *desktop_exec_answers(),
    ],
    "images": [{"match": "*example/run*", "run": "command"}],
}


HOME_CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "home-{{ userid }}"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("operations"), node_options=NODE_OPTIONS) as running:
        yield running


@pytest.fixture(scope="session")
def backends(stack: Stack) -> Backends:
    return stack_backends(stack)


@pytest.fixture(scope="session")
def service(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("operations-pyos"), backends) as running:
        yield running


@pytest.fixture(scope="session")
def replica(service: Service, backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("operations-replica"), backends, api_key=service.api_key) as running:
        yield running


@pytest.fixture
def settings() -> Settings:
    return settings_with(image="example/idle:1")


@pytest.fixture
def cache() -> LocalCache:
    return LocalCache()


class Records:
    """Stands for the history: remembers what would be written."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, str, bool | None]] = []

    def desktop(
        self,
        identity: Identity,
        client: ClientInfo | None,
        eventtype: str,
        desktop_id: str,
        node: str,
        isgarbaged: bool | None = None,
    ) -> None:
        self.kept.append((desktop_id, eventtype, isgarbaged))

    def of(self, desktop_id: str) -> list[tuple[str, bool | None]]:
        return [(eventtype, garbaged) for name, eventtype, garbaged in self.kept if name == desktop_id]


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def make_collector(
    settings: Settings, cache: LocalCache, records: Records
) -> Callable[[Orchestrator], GarbageCollector]:
    def make(orchestrator: Orchestrator, shared: ShareCache = cache, **options: Any) -> GarbageCollector:
        accounting = Accounting()
        endings = Endings(accounting, records, shared)  # type: ignore[arg-type]
        return GarbageCollector(settings, orchestrator, accounting, endings, shared, **options)

    return make
