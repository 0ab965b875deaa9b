"""One desktop per user, whatever happens: concurrent launches, replicas, lost answers, deaths in between."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.orchestrator import Desktop, LaunchFailedError, Orchestrator
from oc.od.orchestrator.usersecrets import CLAIMED_DESKTOP
from tests.waiting import eventually

from .support import CLIENT, PODS, SECRETS, ClusterAdmin, Progress

MERGE = "application/merge-patch+json"


def create(orchestrator: Orchestrator, identity: Identity, seconds: float = 40, *, looked: bool = False) -> Desktop:
    return orchestrator.create_desktop(identity, CLIENT, Progress(), Deadline(seconds), looked=looked)


def created_pods(admin: ClusterAdmin) -> int:
    return sum(
        seen["verb"] == "create" and seen["resource"] == "pods" and seen["status"] == 201
        for seen in admin.requests_seen()
    )


def launch_together(
    replicas: list[Orchestrator], identity: Identity, number: int, *, looking: bool = False
) -> list[Desktop]:
    """As many launches at the same moment, spread over the replicas; ``looking``: all have seen that there is none."""
    start = threading.Barrier(number)

    def launch(index: int) -> Desktop:
        replica = replicas[index % len(replicas)]
        looked = looking and replica.find_desktop(identity) is None
        assert looked is looking
        start.wait(30)
        return create(replica, identity, 60, looked=looked)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(launch, range(number)))


@pytest.mark.parametrize("looking", [False, True], ids=["", "all-looked"])
@pytest.mark.parametrize("ended", ["deleted", "failed", "slowly going away"])
def test_launches_at_once_after_an_earlier_desktop_end_in_one_new_desktop(
    orchestrator: Orchestrator,
    make_orchestrator: Callable[..., Orchestrator],
    logged_in: Identity,
    admin: ClusterAdmin,
    ended: str,
    looking: bool,
) -> None:
    """They must agree on a new name and password first."""
    if ended == "failed":
        admin.behave(labels={"access_userid": logged_in.userid}, failure="Evicted", after_s=1.0, count=1)
    first = create(orchestrator, logged_in)
    path = f"{PODS}/{first.name}"
    if ended == "deleted":
        orchestrator.delete_desktop_pod(first)
    elif ended == "failed":
        assert eventually(lambda: admin.api("GET", path)["status"]["phase"] == "Failed")
    else:
        admin.api("PATCH", path, {"metadata": {"finalizers": ["example.org/slow"]}}, MERGE)
        admin.api("DELETE", path, {})
    admin.forget_requests()
    try:
        desktops = launch_together([orchestrator, make_orchestrator()], logged_in, 40, looking=looking)
    finally:
        if ended == "slowly going away":
            admin.api("PATCH", path, {"metadata": {"finalizers": None}}, MERGE)
    assert len({desktop.uid for desktop in desktops}) == 1
    assert len({desktop.vnc_password for desktop in desktops}) == 1
    assert desktops[0].name != first.name
    assert desktops[0].vnc_password != first.vnc_password
    assert created_pods(admin) == 1
    (secret,) = [one for one in admin.secrets(logged_in.userid) if one["metadata"]["labels"]["access_type"] == "vnc"]
    assert base64.b64decode(secret["data"]["password"]).decode() == desktops[0].vnc_password


def test_a_first_launch_takes_five_calls(orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin) -> None:
    with admin.counted() as calls:
        assert orchestrator.find_desktop(logged_in) is None
        create(orchestrator, logged_in, looked=True)
    assert calls == {"list pods": 1, "list secrets": 2, "create secrets": 1, "create pods": 1}


@pytest.mark.parametrize("looking", [False, True], ids=["", "all-looked"])
def test_fifty_launches_on_each_of_two_replicas_end_in_one_desktop(
    orchestrator: Orchestrator,
    make_orchestrator: Callable[..., Orchestrator],
    logged_in: Identity,
    admin: ClusterAdmin,
    looking: bool,
) -> None:
    admin.forget_requests()
    desktops = launch_together([orchestrator, make_orchestrator()], logged_in, 100, looking=looking)
    assert len({desktop.uid for desktop in desktops}) == 1
    assert len({desktop.vnc_password for desktop in desktops}) == 1
    assert all(desktop.is_reachable for desktop in desktops)
    assert [pod["metadata"]["uid"] for pod in admin.pods(logged_in.userid)] == [desktops[0].uid]
    assert created_pods(admin) == 1


def test_a_launch_joins_a_desktop_that_is_still_starting(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, failure="ImagePullBackOff")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(create, orchestrator, logged_in)
        assert eventually(lambda: admin.pods(logged_in.userid))
        second = pool.submit(create, orchestrator, logged_in)
        admin.no_faults()
        results = [first.result(60), second.result(60)]
    assert results[0].uid == results[1].uid
    assert results[0].vnc_password == results[1].vnc_password
    assert len(admin.pods(logged_in.userid)) == 1


def test_a_pending_desktop_is_waited_for_when_it_is_resumed(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, failure="ImagePullBackOff")
    with ThreadPoolExecutor(1) as pool:
        launching = pool.submit(create, orchestrator, logged_in)
        assert eventually(lambda: admin.pods(logged_in.userid))
        found = orchestrator.find_desktop(logged_in)
        assert found is not None
        assert found.status == "Pending"
        admin.no_faults()
        resumed = orchestrator.resume_desktop(found, logged_in, Progress(), Deadline(40))
        assert resumed.uid == launching.result(40).uid
    assert resumed.is_reachable


def test_an_answer_lost_after_the_pod_was_made_gives_no_second_pod(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="pods", drop=True, after=True, count=1)
    desktop = create(orchestrator, logged_in)
    assert [pod["metadata"]["name"] for pod in admin.pods(logged_in.userid)] == [desktop.name]


def test_an_answer_lost_before_the_pod_was_made_is_asked_for_again(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="pods", status=504, count=2)
    desktop = create(orchestrator, logged_in)
    assert [pod["metadata"]["name"] for pod in admin.pods(logged_in.userid)] == [desktop.name]


def test_an_answer_lost_after_the_password_was_written_leaves_one_password(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="secrets", drop=True, after=True, count=1)
    desktop = create(orchestrator, logged_in)
    resumed = orchestrator.resume_desktop(desktop, logged_in)
    assert resumed.vnc_password == desktop.vnc_password


def test_a_replica_that_died_after_choosing_the_name_is_taken_over(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="pods", status=403)
    with pytest.raises(LaunchFailedError):
        create(orchestrator, logged_in)
    admin.no_faults()
    (secret,) = [one for one in admin.secrets(logged_in.userid) if one["metadata"]["labels"]["access_type"] == "vnc"]
    desktop = create(orchestrator, logged_in)
    assert desktop.name == secret["metadata"]["annotations"][CLAIMED_DESKTOP]


def test_a_slow_launch_whose_name_was_given_up_deletes_its_own_pod(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    """Its pod is created while somebody else agrees on another name: only the other one may stay."""
    admin.fault(verb="create", resource="pods", latency_s=1.0, count=1)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(create, orchestrator, logged_in)
        name = f"auth-vnc-{logged_in.userid}"
        assert eventually(lambda: admin.exists(f"{SECRETS}/{name}"))
        admin.api(
            "PATCH",
            f"{SECRETS}/{name}",
            {"metadata": {"annotations": {CLAIMED_DESKTOP: f"{logged_in.userid}-abcde"}}},
            MERGE,
        )
        desktop = slow.result(60)
    assert desktop.name == f"{logged_in.userid}-abcde"
    assert eventually(lambda: len(admin.pods(logged_in.userid)) == 1)


def test_a_failed_pod_is_replaced_by_one_of_another_name(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.behave(labels={"access_userid": logged_in.userid}, failure="Evicted", after_s=1.0, count=1)
    first = create(orchestrator, logged_in)
    assert eventually(lambda: orchestrator.find_cached_desktop(logged_in) is None)
    second = create(orchestrator, logged_in)
    assert second.name != first.name
    assert second.vnc_password != first.vnc_password


def test_a_desktop_going_away_slowly_does_not_hold_up_the_next_one(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    first = create(orchestrator, logged_in)
    path = f"{PODS}/{first.name}"
    admin.api("PATCH", path, {"metadata": {"finalizers": ["example.org/slow"]}}, MERGE)
    admin.api("DELETE", path, {})
    try:
        second = create(orchestrator, logged_in)
        assert second.name != first.name
    finally:
        admin.api("PATCH", path, {"metadata": {"finalizers": None}}, MERGE)


def test_a_name_taken_by_somebody_else_is_left_alone(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    orchestrator.delete_desktop_pod(create(orchestrator, logged_in))
    name = f"{logged_in.userid}-abcde"
    labels = {"type": "x11server", "access_userid": "somebody-else", "access_provider": "planet", "xauthkey": "0"}
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "a", "image": "example/x"}]}}
    admin.api("POST", PODS, body)
    admin.api(
        "PATCH",
        f"{SECRETS}/auth-vnc-{logged_in.userid}",
        {"metadata": {"annotations": {CLAIMED_DESKTOP: name}}},
        MERGE,
    )
    try:
        desktop = create(orchestrator, logged_in)
        assert desktop.name != name
        assert admin.exists(f"{PODS}/{name}")
    finally:
        admin.api("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})


def test_no_second_desktop_is_made_when_the_api_cannot_say_whether_there_is_one(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    admin.fault(verb="list", resource="pods", status=500)
    with pytest.raises(ODError) as caught:
        orchestrator.find_desktop(logged_in)
    assert caught.value.status == 500
    with pytest.raises(ODError):
        create(orchestrator, logged_in, 5)
    admin.no_faults()
    assert admin.pods(logged_in.userid) == []
