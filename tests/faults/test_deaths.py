"""pyos killed at every step of a launch and started again; many launches of one user at two replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from devstack.service import Backends, Service, free_port

from ..od.orchestrator.support import ClusterAdmin
from ..support import Api
from ..waiting import eventually
from .conftest import PATIENT
from .support import LAUNCH, Answer, Call, Trouble, ask, one_desktop, strike, struck

STEPS = {
    "looking for the secrets": Call("list", "secrets"),
    "writing the password": Call("create", "secrets"),
    "creating the pod": Call("create", "pods"),
    "making sure of the name": Call("list", "secrets", before=1),
    "asking the services": Call("get", "pods/exec"),
}
LATE_SECONDS = 8.0


@pytest.fixture
def mortal(backends: Backends, service: Service, tmp_path: Path) -> Iterator[Service]:
    """A pyos to be killed."""
    running = Service(tmp_path / "mortal", backends, overrides=PATIENT, api_key=service.api_key)
    running.start()
    yield running
    running.stop()


def begin(pool: ThreadPoolExecutor, user: Api) -> Future[Answer | None]:
    def launch() -> Answer | None:
        try:
            return ask(user, LAUNCH)
        except requests.RequestException:
            return None  # the process died

    return pool.submit(launch)


@pytest.mark.parametrize("fate", ["carried out", "lost"])
def test_a_process_killed_at_any_step_of_a_launch_leaves_one_desktop_or_none(
    mortal: Service, new_user: Callable[..., Api], admin: ClusterAdmin, fate: str
) -> None:
    """One user a step; the call of that step is carried out after the death, or never."""
    users = {name: new_user(mortal) for name in (*STEPS, "waiting for the pod")}
    waiting = users["waiting for the pod"]
    with ThreadPoolExecutor(len(STEPS) + 1) as pool:
        launches = []
        for name, call in STEPS.items():
            strike(admin, call, Trouble(fate, {"latency_s": LATE_SECONDS, "drop": fate == "lost"}))
            launches.append(begin(pool, users[name]))
            assert eventually(lambda: struck(admin)), name
        admin.behave(labels={"access_userid": waiting.userid or ""}, unschedulable=True)
        launches.append(begin(pool, waiting))
        assert eventually(lambda: admin.pods(waiting.userid or ""))
        mortal.kill()
        first = [answer for answer in (launch.result(60) for launch in launches) if answer]
        assert all(answer.good for answer in first), first
        for userid in (user.userid or "" for user in users.values()):
            assert len(admin.pods(userid)) <= 1
        admin.devstack("DELETE", "pod-rules")
        node_notices(admin, waiting)
        mortal.start()
        second = dict(zip(users, pool.map(relaunch, users.values()), strict=True))
    assert all(answer.good for answer in second.values()), second
    # calls of the dead process arrive late: still one desktop
    if fate == "carried out":
        assert eventually(lambda: all(seen_late(admin)), LATE_SECONDS + 5)
    for name, user in users.items():
        one_desktop(admin, user.userid or "", [second[name], ask(user, LAUNCH)])


def relaunch(user: Api) -> Answer:
    return ask(user, LAUNCH)


def seen_late(admin: ClusterAdmin) -> Iterator[bool]:
    """Whether the delayed calls have been dealt with: the log has them when they are over."""
    log = admin.requests_seen()
    for call in STEPS.values():
        delayed = [
            seen
            for seen in log
            if (seen["verb"], seen["resource"]) == (call.verb, call.resource)
            and seen["duration_ms"] >= LATE_SECONDS * 1000
        ]
        yield bool(delayed) or call.resource == "pods/exec"


def node_notices(admin: ClusterAdmin, user: Api) -> None:
    """A pod that found no node is looked at again when nodes change."""
    admin.api(
        "PATCH",
        "/api/v1/nodes/node1",
        {"metadata": {"labels": {"noticed": user.userid or ""}}},
        "application/merge-patch+json",
    )


def click(user: Api, urls: list[str], number: int) -> Answer:
    with Api(urls[number % len(urls)], token=user.token) as page:
        return ask(page, LAUNCH)


@pytest.fixture
def make_replicas(backends: Backends, service: Service, tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    running: list[Service] = []

    def make(memcached: tuple[str, int] | None) -> list[str]:
        for number in range(2):
            one = Service(
                tmp_path / f"replica{number}",
                replace(backends, memcached=memcached),
                overrides={"K8S_CREATE_POD_TIMEOUT_SECONDS": 60},
                api_key=service.api_key,
            )
            one.start(wait=False)
            running.append(one)
        for one in running:
            one.wait_healthy()
        return [one.url for one in running]

    yield make
    for one in running:
        one.stop()


@pytest.mark.parametrize("memcached", ["there", "stopped"])
def test_fifty_launches_of_one_user_at_two_replicas_end_in_one_pod(
    user: Api,
    admin: ClusterAdmin,
    backends: Backends,
    service: Service,
    hasty_service: Service,
    make_replicas: Callable[..., list[str]],
    memcached: str,
) -> None:
    if memcached == "stopped":
        urls = make_replicas(("127.0.0.1", free_port()))
    elif backends.memcached is None:
        pytest.skip("memcached is not installed: replicas cannot share a cache")
    else:
        urls = make_replicas(backends.memcached)
    admin.forget_requests()
    with ThreadPoolExecutor(50) as pool:
        answers: list[Any] = list(pool.map(lambda number: click(user, urls, number), range(50)))
    assert all(answer.good for answer in answers), [answer for answer in answers if not answer.good][:3]
    assert len({answer.result["vncpassword"] for answer in answers}) == 1
    one_desktop(admin, user.userid or "", answers)
    made = [seen for seen in admin.requests_of("pods") if seen["verb"] == "create" and seen["status"] == 201]
    assert len(made) == 1
