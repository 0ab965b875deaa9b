"""Fixtures: one development cluster a test process, and orchestrators on it as pyos has them (its service account)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config as kubernetes_config
from kubernetes.client import Configuration

from devstack.cluster.node import desktop_exec_answers
from devstack.stack import Stack
from oc.model.identity import Identity, Login, PosixAccount
from oc.od.orchestrator import KubernetesClient, Orchestrator
from oc.od.settings import Settings

from .scripted import Play, Server
from .support import ClusterAdmin, account_files, settings_with

NODE_OPTIONS = {
    "exec_answers": [
        {"match": "*supervisorctl status *never", "status": 3, "output": "never  STARTING\n"},
        {"match": "*occall.js*", "status": 0},
        {"match": "/composer/gpus --type pod_application", "output": '[{"GPU": "7"}, {"STARTED_AS": "pod"}]'},
        {"match": "/composer/gpus --type ephemeral_container", "output": '{"GPU": "7", "STARTED_AS": "container"}'},
        {"match": "/composer/failing --type *", "status": 3, "output": '{"GPU": "7"}'},
        {"match": "/composer/talking --type *", "output": "GPU=7"},
        *desktop_exec_answers(),
    ],
    "images": [
        {"match": "example/run*", "run": "command"},
        {"match": "example/living*", "run": ["/bin/sleep", "36000"]},
    ],
    "delays": {"image_retry": 0.3},
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), parts={"cluster"}, node_options=NODE_OPTIONS) as running:
        yield running


@pytest.fixture
def admin(stack: Stack) -> Iterator[ClusterAdmin]:
    """The cluster's administrator; faults and the request log are cleared before and after."""
    administrator = ClusterAdmin(stack)
    administrator.reset()
    yield administrator
    administrator.reset()


@pytest.fixture
def configuration(stack: Stack) -> Configuration:
    found = Configuration()
    kubernetes_config.load_kube_config(str(stack.kubeconfig_pyos), client_configuration=found)
    return found


@pytest.fixture
def settings() -> Settings:
    return settings_with()


@pytest.fixture
def client(configuration: Configuration) -> KubernetesClient:
    return KubernetesClient(configuration, "abcdesktop")


@pytest.fixture
def make_orchestrator(configuration: Configuration, settings: Settings) -> Iterator[Callable[..., Orchestrator]]:
    """Make a started orchestrator: each is a replica of its own."""
    made: list[Orchestrator] = []

    def make(configured: Settings | None = None, **options: float) -> Orchestrator:
        orchestrator = Orchestrator(
            configured or settings, client=KubernetesClient(configuration, "abcdesktop"), **options
        )
        orchestrator.start()
        made.append(orchestrator)
        assert orchestrator.wait_synced(20)
        return orchestrator

    yield make
    for orchestrator in made:
        orchestrator.stop()


@pytest.fixture
def orchestrator(make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin) -> Orchestrator:
    return make_orchestrator()


@pytest.fixture
def make_identity() -> Callable[..., Identity]:
    def make(**changes: object) -> Identity:
        userid = f"u{uuid.uuid4().hex[:10]}"
        fields: dict[str, object] = {
            "provider": "planet",
            "providertype": "ldap",
            "userid": userid,
            "name": "Philip J. Fry",
            "labels": {"shipcrew": "true"},
        }
        return Identity(**(fields | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def login(make_identity: Callable[..., Identity]) -> Login:
    """A login of somebody nobody else in the tests is."""
    return login_of(make_identity())


def login_of(identity: Identity) -> Login:
    account = PosixAccount(
        cn=identity.name,
        uid=identity.userid[:30],
        gid="crew",
        uidNumber=2042,
        gidNumber=12042,
        homeDirectory=f"/home/{identity.userid}",
    )
    return Login(
        identity,
        attributes={"mail": "fry@example.org", "userPassword": "not to be kept"},
        posix=account,
        claims={"localaccount": account_files(account)},
    )


@pytest.fixture
def logged_in(orchestrator: Orchestrator, login: Login) -> Identity:
    """Somebody whose login secrets are written."""
    orchestrator.write_login_secrets(login)
    return login.identity


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that play scripts."""
    made: list[Server] = []

    def start(script: list[list[Play]], pieces: int | None = None, **options: Any) -> Server:
        made.append(Server(script, pieces, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def sample_directory(tmp_path: Path) -> Path:
    return tmp_path
