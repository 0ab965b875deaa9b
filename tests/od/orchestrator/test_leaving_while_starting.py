"""A logout in the middle of a launch, or of the start of an application: nothing hangs, nothing stays behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from oc.errors import ODResourceNotFoundError
from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.orchestrator import LaunchFailedError, Orchestrator
from oc.od.orchestrator.resources import CONFIGMAPS, PODS, Resource
from tests.waiting import eventually

from .support import CLIENT, ClusterAdmin, Progress
from .test_applications import application

LONG = 300.0
"""A launch that hangs would hang for so long; the test would be ended before."""


def no_pods(admin: ClusterAdmin, identity: Identity) -> bool:
    return eventually(lambda: not admin.pods(identity.userid))


def test_a_launch_whose_secrets_go_before_its_pod_is_made_ends_at_once(
    orchestrator: Orchestrator,
    make_orchestrator: Callable[..., Orchestrator],
    logged_in: Identity,
    admin: ClusterAdmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = make_orchestrator()
    create = orchestrator.client.create

    def after_a_logout(resource: Resource, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        if resource == PODS:
            other.remove_desktop(logged_in)
        return create(resource, body, **options)

    monkeypatch.setattr(orchestrator.client, "create", after_a_logout)
    with pytest.raises(LaunchFailedError, match="log in again"):
        orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(LONG))
    assert no_pods(admin, logged_in)


def test_a_launch_keeps_its_pod_only_with_all_secrets_not_just_the_claim(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logout leaves a claim alone that was renewed since, but not what the login wrote."""
    create = orchestrator.client.create

    def without_account(resource: Resource, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        if resource == PODS:
            for secret in admin.secrets(logged_in.userid):
                if secret["metadata"]["labels"]["access_type"] == "localaccount":
                    admin.api("DELETE", f"/api/v1/namespaces/abcdesktop/secrets/{secret['metadata']['name']}", {})
        return create(resource, body, **options)

    monkeypatch.setattr(orchestrator.client, "create", without_account)
    with pytest.raises(LaunchFailedError, match="log in again"):
        orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(LONG))
    assert no_pods(admin, logged_in)


def test_a_logout_ends_a_launch_that_made_its_pod_after_the_logout_had_looked(
    orchestrator: Orchestrator,
    make_orchestrator: Callable[..., Orchestrator],
    logged_in: Identity,
    admin: ClusterAdmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, failure="ImagePullBackOff")
    launching = make_orchestrator()
    progress = Progress()
    items = orchestrator.client.items
    with ThreadPoolExecutor(1) as pool:
        launches: list[Any] = []

        def with_a_launch(resource: Resource, *arguments: Any, **options: Any) -> Any:
            if resource == CONFIGMAPS and not launches:
                launches.append(pool.submit(launching.create_desktop, logged_in, CLIENT, progress, Deadline(LONG)))
                assert eventually(lambda: any("is Pending" in text for text in progress.texts))
            return items(resource, *arguments, **options)

        monkeypatch.setattr(orchestrator.client, "items", with_a_launch)
        orchestrator.remove_desktop(logged_in)
        with pytest.raises(LaunchFailedError):
            launches[0].result(20)
    assert no_pods(admin, logged_in)


def test_an_application_started_while_its_desktop_goes_does_not_stay_behind(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop = orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(40))
    create = orchestrator.client.create

    def after_a_logout(resource: Resource, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        orchestrator.remove_desktop(logged_in)
        return create(resource, body, **options)

    monkeypatch.setattr(orchestrator.client, "create", after_a_logout)
    with pytest.raises(ODResourceNotFoundError):
        orchestrator.run_application(desktop, logged_in, application(containerengine="pod_application"), CLIENT, "", "")
    assert no_pods(admin, logged_in)
