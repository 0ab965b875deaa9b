"""A stack to be tormented: pyos with a short patience, and users to log in and out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.cluster.node import desktop_exec_answers
from devstack.service import Backends, Service
from devstack.session import SAMPLES
from devstack.stack import Stack
from tests.waiting import eventually

from ..conftest import stack_backends
from ..od.orchestrator.support import ClusterAdmin
from ..support import Api

NODE_OPTIONS: dict[str, Any] = {
    "exec_answers": [{"match": "*connectcount*", "output": "0\n"}, {"match": "*occall.js*"}, *desktop_exec_answers()],
    "nodes": [{"name": "node1", "capacity": {"cpu": "256", "memory": "1Ti", "pods": "1000", "nvidia.com/gpu": "1"}}],
    "images": [{"match": "*run.example*", "run": "command"}],
    "delays": {"image_retry": 0.3},
}
PATIENT = {"K8S_CREATE_POD_TIMEOUT_SECONDS": 12}
HASTY = {"K8S_CREATE_POD_TIMEOUT_SECONDS": 2}
SLEEPER = {
    "Id": "sha256:" + "5" * 64,
    "RepoTags": ["run.example/sleeper:1"],
    "Architecture": "amd64",
    "Os": "linux",
    "Config": {
        "Cmd": ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"],
        "Labels": {"oc.name": "sleeper", "oc.launch": "sleeper.sleeper", "oc.icon": "sleeper.svg", "oc.cat": "games"},
    },
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("faults"), node_options=NODE_OPTIONS) as running:
        yield running


@pytest.fixture(scope="session")
def backends(stack: Stack) -> Backends:
    return stack_backends(stack)


@pytest.fixture(scope="session")
def service(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("faults-pyos"), backends, overrides=PATIENT) as running:
        with Api(running.url, running.api_key) as api:
            documents = [*json.loads(SAMPLES.read_text(encoding="utf-8")), SLEEPER]
            api.manager("POST", "image", json=documents).raise_for_status()
        yield running


@pytest.fixture(scope="session")
def hasty_service(service: Service, backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A pyos that gives a desktop two seconds to start."""
    with Service(tmp_path_factory.mktemp("hasty-pyos"), backends, overrides=HASTY, api_key=service.api_key) as running:
        yield running


@pytest.fixture
def admin(stack: Stack) -> Iterator[ClusterAdmin]:
    administrator = ClusterAdmin(stack)
    administrator.reset()
    yield administrator
    administrator.reset()


@pytest.fixture
def new_user(service: Service, admin: ClusterAdmin) -> Iterator[Callable[..., Api]]:
    """Log somebody in, at ``service`` unless another is given. At the end everybody is logged out, without a trace."""
    users: list[Api] = []

    def log_in(at: Service = service) -> Api:
        api = Api(at.url, at.api_key)
        users.append(api)
        api.login()
        return api

    yield log_in
    admin.reset()
    for api in users:
        with api:
            if api.token is None:
                continue
            api.url = service.url
            response = api.post("auth/logout")
            assert response.status_code in (200, 401), response.text
            if response.status_code == 200:
                userid = api.userid or ""
                assert eventually(lambda userid=userid: not admin.pods(userid))  # type: ignore[misc]
                assert admin.secrets(userid) == []


@pytest.fixture
def user(new_user: Callable[..., Api]) -> Api:
    """Somebody who is logged in at ``service``."""
    return new_user()


@pytest.fixture
def hasty_user(new_user: Callable[..., Api], hasty_service: Service) -> Api:
    """Somebody who is logged in at ``hasty_service``."""
    return new_user(hasty_service)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path
