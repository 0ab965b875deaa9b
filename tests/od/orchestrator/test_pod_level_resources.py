"""The resources of an execute class go to the pod where the cluster knows that, else to the graphical container."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Login
from oc.od.orchestrator import KubernetesClient, Orchestrator
from oc.od.orchestrator.errors import KubernetesError
from oc.od.settings import Settings

from .conftest import login_of
from .support import CLIENT, PODS, ClusterAdmin, Progress, settings_with

AMOUNTS = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}


def settings_for(wanted: str | bool) -> Settings:
    return settings_with(
        desktop__podlevelresources=wanted,
        executeclasses={"default": {"nodeSelector": {}, "description": "", "resources": AMOUNTS}},
    )


def launched(orchestrator: Orchestrator, admin: ClusterAdmin, login: Login) -> tuple[Any, Any]:
    """The resources of the pod and of its graphical container, as the cluster keeps them."""
    orchestrator.write_login_secrets(login)
    desktop = orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(40))
    spec = admin.api("GET", f"{PODS}/{desktop.name}")["spec"]
    return spec.get("resources"), spec["containers"][0].get("resources") or None


@pytest.mark.parametrize(
    ("wanted", "version", "to_the_pod"),
    [
        ("auto", None, True),  # what the cluster says of itself: 1.34
        ("auto", (1, 33), False),
        ("auto", (1, 29), False),
        (True, (1, 33), True),
        (False, None, False),
    ],
)
def test_the_version_of_the_cluster_decides_unless_configured(
    make_orchestrator: Callable[..., Orchestrator],
    admin: ClusterAdmin,
    login: Login,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str | bool,
    version: tuple[int, int] | None,
    to_the_pod: bool,
) -> None:
    if version is not None:
        monkeypatch.setattr(KubernetesClient, "server_version", lambda _: version)
    found = launched(make_orchestrator(settings_for(wanted)), admin, login)
    assert found == ((AMOUNTS, None) if to_the_pod else (None, AMOUNTS))


def test_a_cluster_that_does_not_tell_its_version_is_asked_again_next_time(
    make_orchestrator: Callable[..., Orchestrator],
    admin: ClusterAdmin,
    login: Login,
    make_identity: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(_: KubernetesClient) -> tuple[int, int]:
        raise KubernetesError(503, "ServiceUnavailable", "away", doing="get version")

    orchestrator = make_orchestrator(settings_for("auto"))
    with monkeypatch.context() as patched:
        patched.setattr(KubernetesClient, "server_version", away)
        assert launched(orchestrator, admin, login) == (None, AMOUNTS)
    assert launched(orchestrator, admin, login_of(make_identity())) == (AMOUNTS, None)
