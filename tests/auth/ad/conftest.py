"""A domain controller, and a stack with pyos beside it in the same namespaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.cluster.node.options import desktop_exec_answers
from devstack.service import Backends, Service
from devstack.stack import Stack
from tests.conftest import stack_backends, starting
from tests.peers import samba
from tests.support import Api

from .support import EVERYONE, providers


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[samba.DomainController]:
    reason = samba.missing()
    if reason is not None:
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    with samba.running(tmp_path_factory.mktemp("samba") / "dc1", shared) as running:
        yield running


@pytest.fixture(autouse=True)
def inside(controller: samba.DomainController) -> Iterator[None]:
    """Every test here runs where the domain controller is."""
    with controller.visit():
        yield


@pytest.fixture(scope="session")
def ad_stack(controller: samba.DomainController, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the others cannot be reached from here."""
    with controller.visit():
        stack = Stack(tmp_path_factory.mktemp("adstack"), node_options={"exec_answers": desktop_exec_answers()})
        stack.start()
    try:
        yield stack
    finally:
        with controller.visit():
            stack.stop()


@pytest.fixture(scope="session")
def ad_backends(ad_stack: Stack) -> Backends:
    return stack_backends(ad_stack)


@pytest.fixture(scope="session")
def ad_service(
    controller: samba.DomainController, ad_backends: Backends, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A pyos with every kind of login to the domain."""
    overrides = {"authmanagers": providers(controller), "auth.logmein": EVERYONE}
    service = Service(tmp_path_factory.mktemp("adpyos"), ad_backends, overrides=overrides)
    with controller.visit():
        service.start()
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture
def ad_api(ad_service: Service, inside: None) -> Iterator[Api]:
    with Api(ad_service.url, ad_service.api_key) as client:
        yield client


@pytest.fixture
def start_service(ad_backends: Backends, inside: None, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start a pyos of the test's own in the namespaces."""
    with starting(ad_backends, tmp_path) as start:
        yield start
