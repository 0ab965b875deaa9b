"""Pods that do not start, or not at once: honest words in the answer, nothing left behind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from devstack.service import Backends, Service

from ..od.orchestrator.support import PODS, ClusterAdmin
from ..support import Api
from ..waiting import eventually
from .conftest import HASTY
from .support import LAUNCH, ask, one_desktop

GPUS = {
    "default": {
        "nodeSelector": {},
        "resources": {"requests": {"nvidia.com/gpu": "2"}, "limits": {"nvidia.com/gpu": "2"}},
    }
}


def check_after(admin: ClusterAdmin, user: Api) -> None:
    """The pod is gone, and once the trouble is over the next launch succeeds."""
    assert eventually(lambda: not admin.pods(user.userid or ""))
    admin.no_faults()
    again = ask(user, LAUNCH)
    assert again.good, again
    one_desktop(admin, user.userid or "", [again])


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"unschedulable": True}, "no node has room for it (cpu): 0/1 nodes are available: 1 Insufficient cpu"),
        ({"failure": "ErrImagePull"}, "an image cannot be pulled"),
        ({"failure": "ImagePullBackOff"}, "an image cannot be pulled (ImagePullBackOff)"),
        ({"failure": "CreateContainerConfigError"}, "something a container needs is missing"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_pod_that_never_starts_is_given_up_at_the_deadline_with_its_reason(
    hasty_user: Api, admin: ClusterAdmin, behaviour: dict[str, Any], words: str
) -> None:
    admin.behave(labels={"access_userid": hasty_user.userid or ""}, **behaviour)
    answer = ask(hasty_user, LAUNCH)
    assert answer.status == 500
    assert "did not start in time" in answer.message
    assert words in answer.message
    check_after(admin, hasty_user)


@pytest.mark.parametrize("failure", ["Evicted", "NodeLost"])
def test_a_pod_that_fails_while_it_starts_ends_the_launch_at_once(user: Api, admin: ClusterAdmin, failure: str) -> None:
    """It has started, and is still being asked whether its services are up, or fails even before."""
    admin.behave(labels={"access_userid": user.userid or ""}, failure=failure, count=1)
    answer = ask(user, LAUNCH)
    if not answer.good:
        assert answer.status == 500
        assert any(
            words in answer.message
            for words in ("make room", "is gone", "removed while", "could not be reached", "ended while its services")
        )
    admin.no_faults()
    again = ask(user, LAUNCH)
    assert again.good, again
    usable = [
        pod
        for pod in admin.pods(user.userid or "")
        if pod["status"]["phase"] == "Running" and pod["status"].get("reason") != "NodeLost"
    ]
    assert len(usable) == 1
    for pod in admin.pods(user.userid or ""):
        if pod not in usable:  # no kubelet is there to end it
            admin.api("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})


def test_a_pod_deleted_while_it_starts_ends_the_launch(user: Api, admin: ClusterAdmin) -> None:
    admin.behave(labels={"access_userid": user.userid or ""}, unschedulable=True)
    with ThreadPoolExecutor(1) as pool:
        launch = pool.submit(ask, user, LAUNCH)
        assert eventually(lambda: admin.pods(user.userid or ""))
        (pod,) = admin.pods(user.userid or "")
        admin.api("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
        answer = launch.result(60)
    assert answer.status == 500
    assert "removed while it was starting" in answer.message
    check_after(admin, user)


def test_warning_events_are_progress_and_the_launch_goes_on(user: Api, admin: ClusterAdmin) -> None:
    admin.behave(labels={"access_userid": user.userid or ""}, failure="ImagePullBackOff")
    seen: list[str] = []

    def poll() -> bool:
        seen.append(user.post("core/getmessageinfo").json()["message"] or "")
        return any("pull" in text.lower() for text in seen)

    with ThreadPoolExecutor(1) as pool, Api(user.url, token=user.token) as page:
        launch = pool.submit(ask, page, LAUNCH)
        assert eventually(poll)
        admin.no_faults()
        answer = launch.result(60)
    assert answer.good, answer
    assert all(text[:2] in ("", "b.", "c.") for text in seen), seen


@pytest.fixture
def greedy(backends: Backends, service: Service, tmp_path: Path) -> Iterator[Service]:
    """A pyos whose desktops want two GPUs; the node has one."""
    wants = copy.deepcopy(HASTY) | {"executeclasses": GPUS}
    with Service(tmp_path / "greedy", backends, overrides=wants, api_key=service.api_key) as running:
        yield running


def test_too_few_gpus_are_said_to_be_the_reason(
    greedy: Service, new_user: Callable[..., Api], admin: ClusterAdmin, service: Service
) -> None:
    user = new_user(greedy)
    answer = ask(user, LAUNCH)
    assert answer.status == 500
    assert "no node has 2 GPUs free: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu" in answer.message
    user.url = service.url
    check_after(admin, user)
