"""A running pyos on a development stack, shared by every topic. Tests that only need HTTP use tests/web/harness.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from devstack.cluster.node.options import desktop_exec_answers
from devstack.service import Backends, Service
from devstack.stack import Stack

from .distribution import ByTopic, rank
from .support import Api

# A loaded machine is no failure: examples have no time limit. CI draws the same examples every time.
hypothesis_settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("ci", hypothesis_settings.get_profile("here"), derandomize=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of a parallel run: the order of tests/distribution.py."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByTopic | None:
    """``-n`` alone distributes by topic; ``--dist`` with another mode is left as it is."""
    return ByTopic(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Cluster, database, memcached and keys, started once a test session (and once a pytest-xdist worker)."""
    options = {"exec_answers": desktop_exec_answers()}
    with Stack(tmp_path_factory.mktemp("stack"), node_options=options) as running:
        yield running


@pytest.fixture(scope="session")
def backends(stack: Stack) -> Backends:
    """Where the stack's parts are, for tests that start a pyos of their own."""
    return stack_backends(stack)


def stack_backends(stack: Stack) -> Backends:
    """What a pyos needs to know of a stack."""
    assert stack.kubeconfig_pyos is not None
    assert stack.keys is not None
    assert stack.mongodb_url is not None
    return Backends(stack.kubeconfig_pyos, stack.keys, stack.mongodb_url, stack.mongodb_parameters, stack.memcached)


@pytest.fixture(scope="session")
def service(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One pyos with the shipped configuration on the stack."""
    with Service(tmp_path_factory.mktemp("pyos"), backends) as running:
        yield running


@pytest.fixture(scope="session")
def replica(service: Service, backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A second pyos on the same stack: another process, the same state."""
    with Service(tmp_path_factory.mktemp("replica"), backends, api_key=service.api_key) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Iterator[Api]:
    """A client of ``service`` without a user."""
    with Api(service.url, service.api_key) as client:
        yield client


@pytest.fixture
def replica_api(replica: Service) -> Iterator[Api]:
    """A client of ``replica`` without a user."""
    with Api(replica.url, replica.api_key) as client:
        yield client


@pytest.fixture
def own_service(backends: Backends, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start a pyos of the test's own: ``own_service({"fail2ban": {...}}, environment={...})``."""
    with starting(backends, tmp_path) as start:
        yield start


@contextmanager
def starting(backends: Backends, directory: Path) -> Iterator[Callable[..., Service]]:
    """Gives a function that starts services, with the overrides of od.config; they are stopped and removed after."""
    running: list[Service] = []

    def start(overrides: dict[str, Any] | None = None, **arguments: Any) -> Service:
        service = Service(directory / f"pyos{len(running)}", backends, overrides=overrides or {}, **arguments)
        running.append(service)
        service.start()
        return service

    try:
        yield start
    finally:
        for service in running:
            service.stop()
            shutil.rmtree(service.directory, ignore_errors=True)
