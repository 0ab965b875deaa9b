"""Launches that fail: why the user is told, and that nothing stays behind."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.orchestrator import KubernetesError, LaunchFailedError, Orchestrator
from tests.waiting import eventually

from .support import CLIENT, PODS, ClusterAdmin, Progress


def create(orchestrator: Orchestrator, identity: Identity, progress: Progress | None = None, seconds: float = 20):
    return orchestrator.create_desktop(identity, CLIENT, progress or Progress(), Deadline(seconds))


@pytest.fixture
def impatient(make_orchestrator: Callable[..., Orchestrator]) -> Orchestrator:
    return make_orchestrator(patience=0.3)


@pytest.mark.parametrize("failure", ["ImagePullBackOff", "CreateContainerConfigError"])
def test_a_container_that_cannot_start_ends_the_launch_and_its_pod(
    impatient: Orchestrator, logged_in: Identity, admin: ClusterAdmin, failure: str
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, failure=failure)
    with pytest.raises(LaunchFailedError, match="cannot start"):
        create(impatient, logged_in)
    assert eventually(lambda: not admin.pods(logged_in.userid))
    assert {"localaccount", "ldif", "posixaccount"} <= {
        secret["metadata"]["labels"]["access_type"] for secret in admin.secrets(logged_in.userid)
    }


def test_a_desktop_that_finds_no_node_ends_at_the_deadline(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, unschedulable=True)
    progress = Progress()
    with pytest.raises(LaunchFailedError, match="in time"):
        create(orchestrator, logged_in, progress, 1.5)
    assert progress.has(f"b.Pod {logged_in.userid}")
    assert any("nodes are available" in text for text in progress.texts)
    assert eventually(lambda: not admin.pods(logged_in.userid))


def test_a_warning_alone_does_not_end_a_launch(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, failure="ImagePullBackOff")
    progress = Progress()
    with ThreadPoolExecutor(1) as pool:
        launching = pool.submit(create, orchestrator, logged_in, progress, 60)
        assert eventually(lambda: any("pull" in text.lower() for text in progress.texts))
        admin.no_faults()
        desktop = launching.result(60)
    assert desktop.is_reachable


def test_a_launch_after_a_failed_one_succeeds(
    impatient: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, failure="ImagePullBackOff")
    with pytest.raises(LaunchFailedError):
        create(impatient, logged_in)
    admin.no_faults()
    assert create(impatient, logged_in).is_reachable


def test_a_refused_pod_is_told_in_the_words_of_the_api(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="pods", status=403, message="exceeded quota: compute")
    with pytest.raises(LaunchFailedError, match="exceeded quota"):
        create(orchestrator, logged_in)
    assert admin.pods(logged_in.userid) == []


def test_no_right_to_read_secrets_is_our_failure_and_not_the_users(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="list", resource="secrets", status=403)
    with pytest.raises(KubernetesError) as caught:
        create(orchestrator, logged_in)
    assert caught.value.status == 500
    assert caught.value.code == 403


def test_a_pod_deleted_while_it_starts_ends_the_launch(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, unschedulable=True)
    with ThreadPoolExecutor(1) as pool:
        launching = pool.submit(create, orchestrator, logged_in)
        assert eventually(lambda: admin.pods(logged_in.userid))
        (pod,) = admin.pods(logged_in.userid)
        admin.api("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
        with pytest.raises(LaunchFailedError, match="removed while it was starting"):
            launching.result(30)


def test_a_logout_while_the_desktop_starts_leaves_nothing(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, unschedulable=True)
    with ThreadPoolExecutor(1) as pool:
        launching = pool.submit(create, orchestrator, logged_in)
        assert eventually(lambda: admin.pods(logged_in.userid))
        orchestrator.remove_desktop(logged_in)
        with pytest.raises(LaunchFailedError):
            launching.result(30)
    assert eventually(lambda: not admin.pods(logged_in.userid))
    assert admin.secrets(logged_in.userid) == []


def test_an_overloaded_api_is_given_the_time_it_asks_for(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="pods", status=429, retry_after_s=1, count=1)
    assert create(orchestrator, logged_in).is_reachable


def test_an_api_that_is_away_is_said_to_be_so(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="list", resource="secrets", drop=True)
    with pytest.raises(KubernetesError) as caught:
        create(orchestrator, logged_in, seconds=3)
    assert caught.value.status == 503


def test_pods_that_cannot_be_deleted_are_reported_at_removal(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    create(orchestrator, logged_in)
    admin.fault(verb="delete", resource="pods", status=403)
    with pytest.raises(Exception, match="desktop") as caught:
        orchestrator.remove_desktop(logged_in)
    assert caught.value.status == 500  # type: ignore[attr-defined]
    admin.no_faults()
    assert admin.secrets(logged_in.userid), "the secrets of a desktop that still runs must stay"
    assert orchestrator.remove_desktop(logged_in) is True


def test_a_lost_answer_to_a_deletion_is_a_deletion(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    create(orchestrator, logged_in)
    admin.fault(verb="delete", resource="pods", drop=True, after=True, count=1)
    assert orchestrator.remove_desktop(logged_in) is True
    assert admin.secrets(logged_in.userid) == []


def test_neither_cookies_nor_the_password_are_logged(
    orchestrator: Orchestrator, logged_in: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="oc")
    progress = Progress()
    desktop = create(orchestrator, logged_in, progress)
    text = caplog.text + " ".join(progress.texts)
    assert desktop.name in text
    assert desktop.vnc_password is not None
    for secret in (
        desktop.vnc_password,
        *(desktop.labels[key] for key in ("xauthkey", "pulseaudio_cookie", "broadcast_cookie")),
    ):
        assert secret not in text
