"""A desktop that runs: resumed, its applications started and stopped, logged out of, with each call going wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devstack.service import Service
from devstack.stack import Stack
from tests.waiting import eventually

from ..od.orchestrator.support import PODS, ClusterAdmin
from ..support import Api
from .support import (
    AWAY,
    CONFLICT,
    GONE,
    LAUNCH,
    NOT_FOUND,
    PASSING,
    TROUBLES,
    UNHEARD,
    Call,
    Trouble,
    ask,
    one_desktop,
    strike,
    struck,
)

EPHEMERAL = "dev.local/clock.d:1.0"
POD = "dev.local/notes.d:1.0"
SLEEPER = "run.example/sleeper:1"
RUN = "composer/ocrun"
PATCH_POD = Call("patch", "pods")
GET_POD = Call("get", "pods")
CREATE_POD = Call("create", "pods")
DELETE_POD = Call("delete", "pods")
LIST_PODS = Call("list", "pods")
GET_SECRET = Call("get", "secrets")
LIST_SECRETS = Call("list", "secrets")
PATCH_EPHEMERAL = Call("patch", "pods/ephemeralcontainers")
LIST_MAPS = Call("list", "configmaps")
DELETE_SECRET = Call("delete", "secrets")
EXEC = Call("get", "pods/exec")


@pytest.fixture(scope="module")
def owner(stack: Stack, service: Service) -> Iterator[Api]:
    """Somebody with a desktop, for all tests of this file that leave it."""
    with Api(service.url, service.api_key) as api:
        api.login()
        yield api
        ClusterAdmin(stack).no_faults()
        api.post("auth/logout").raise_for_status()


@pytest.fixture
def desktop(owner: Api, admin: ClusterAdmin) -> Api:
    assert ask(owner, LAUNCH).good
    return owner


def desktops(admin: ClusterAdmin, api: Api) -> list[dict[str, Any]]:
    return [pod for pod in admin.pods(api.userid or "") if pod["metadata"]["labels"]["type"] == "x11server"]


def applications(admin: ClusterAdmin, api: Api) -> list[str]:
    """Names of all applications the cluster has of the user, of both classes."""
    found = []
    for pod in admin.pods(api.userid or ""):
        if pod["metadata"]["labels"]["type"] == "pod_application":
            found.append(pod["metadata"]["name"])
        found += [one["name"] for one in pod["spec"].get("ephemeralContainers") or ()]
    return found


# -- resume ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
@pytest.mark.parametrize("call", [PATCH_POD, GET_SECRET], ids=str)
def test_a_resume_ends_with_one_desktop_or_is_refused_clearly(
    desktop: Api, admin: ClusterAdmin, call: Call, trouble: Trouble
) -> None:
    (before,) = desktops(admin, desktop)
    strike(admin, call, trouble)
    first = ask(desktop, LAUNCH)
    assert struck(admin)
    if trouble in PASSING:
        assert first.good, first
        assert desktops(admin, desktop)[0]["metadata"]["uid"] == before["metadata"]["uid"]
    assert len(desktops(admin, desktop)) <= 1
    if not admin.secrets(desktop.userid or ""):
        desktop.login()  # removed completely: the user was told to load the page again
    second = ask(desktop, LAUNCH)
    assert second.good, second
    assert len(desktops(admin, desktop)) == 1


# -- start an application --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
@pytest.mark.parametrize(
    ("image", "call"),
    [(EPHEMERAL, GET_POD), (EPHEMERAL, LIST_SECRETS), (EPHEMERAL, PATCH_EPHEMERAL), (POD, CREATE_POD)],
    ids=str,
)
def test_an_application_starts_once_or_is_refused_clearly(
    desktop: Api, admin: ClusterAdmin, image: str, call: Call, trouble: Trouble
) -> None:
    before = applications(admin, desktop)
    strike(admin, call, trouble)
    answer = ask(desktop, RUN, {"image": image})
    assert struck(admin)
    if trouble in PASSING or (call, trouble) == (CREATE_POD, CONFLICT):
        assert answer.good, answer
    started = [name for name in applications(admin, desktop) if name not in before]
    assert started == ([answer.result["container_id"]] if answer.good else [])


@pytest.mark.parametrize(("image", "call"), [(EPHEMERAL, PATCH_EPHEMERAL), (POD, CREATE_POD)], ids=str)
@pytest.mark.parametrize("trouble", [AWAY, GONE], ids=str)
def test_an_application_that_cannot_be_started_says_so(
    desktop: Api, admin: ClusterAdmin, image: str, call: Call, trouble: Trouble
) -> None:
    before = applications(admin, desktop)
    admin.fault(verb=call.verb, resource=call.resource, **trouble.rule, count=4)
    answer = ask(desktop, RUN, {"image": image})
    if not answer.good:
        assert answer.status == (503 if trouble is AWAY else 500), answer
        assert applications(admin, desktop) == before
    admin.no_faults()
    assert ask(desktop, RUN, {"image": image}).good


# -- stop an application ---------------------------------------------------------------------------------------------


def run(api: Api, image: str) -> dict[str, Any]:
    """Start an application and wait until it runs; its entry in the list."""
    answer = ask(api, RUN, {"image": image})
    assert answer.good, answer

    def running() -> list[dict[str, Any]]:
        entries = ask(api, "composer/listcontainer").result
        return [one for one in entries if one["id"] == answer.result["container_id"] and one["status"] == "Running"]

    assert eventually(running)
    return running()[0]


@pytest.mark.parametrize(
    ("image", "call", "trouble"),
    [*((POD, DELETE_POD, trouble) for trouble in TROUBLES), (SLEEPER, EXEC, UNHEARD)],
    ids=str,
)
def test_a_stop_ends_the_application_or_says_that_it_did_not(
    desktop: Api, admin: ClusterAdmin, image: str, call: Call, trouble: Trouble
) -> None:
    entry = run(desktop, image)
    body = {"podname": entry["podname"], "containerid": entry["id"]}
    strike(admin, call, trouble)
    answer = ask(desktop, "composer/stopcontainer", body)
    assert struck(admin)
    if call is DELETE_POD and trouble in PASSING:
        assert answer.good, answer
    second = ask(desktop, "composer/stopcontainer", body)
    assert second.good or second.status == 404, second

    def gone() -> bool:
        entries = ask(desktop, "composer/listcontainer").result
        return not [one for one in entries if one["id"] == entry["id"] and one["status"] == "Running"]

    assert eventually(gone)


# -- logout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "trouble"),
    [
        *((call, one) for call in (LIST_PODS, LIST_SECRETS, LIST_MAPS, DELETE_SECRET) for one in TROUBLES),
        # 404 and 409 to the deletion of a pod by its uid say that it is gone: not to be lied about
        *((DELETE_POD, trouble) for trouble in (GONE, *PASSING)),
    ],
    ids=str,
)
def test_a_logout_removes_everything_or_says_what_is_left(
    user: Api, admin: ClusterAdmin, call: Call, trouble: Trouble
) -> None:
    assert ask(user, LAUNCH).good
    strike(admin, call, trouble)
    response = user.post("auth/logout")
    assert struck(admin)
    good = response.status_code == 200 and response.json()["status"] == 200
    if trouble in PASSING:
        assert good, response.text
    if not good:
        assert "Traceback" not in response.text
        again = user.post("auth/logout")
        assert again.json()["status"] == 200, again.text
    user.token = None
    assert eventually(lambda: not admin.pods(user.userid or ""))
    # what a failed deletion of a secret left is in the log, and goes with the next logout or login
    left = admin.secrets(user.userid or "")
    assert not left or (good and trouble in (NOT_FOUND, CONFLICT, GONE)), left


# -- things that happen to a desktop ---------------------------------------------------------------------------------


def test_a_desktop_deleted_under_its_user_is_replaced_at_the_next_launch(user: Api, admin: ClusterAdmin) -> None:
    assert ask(user, LAUNCH).good
    (pod,) = desktops(admin, user)
    admin.api("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
    assert eventually(lambda: ask(user, "composer/listcontainer").status == 404)
    second = ask(user, LAUNCH)
    assert second.good
    assert one_desktop(admin, user.userid or "", [second])["metadata"]["uid"] != pod["metadata"]["uid"]


@pytest.mark.parametrize("failure", ["Evicted", "NodeLost", "OOMKilled"])
def test_a_desktop_that_fails_after_it_ran_is_replaced_or_repaired(
    new_user: Callable[..., Api], admin: ClusterAdmin, failure: str
) -> None:
    user = new_user()
    container = "x-graphical" if failure == "OOMKilled" else ""
    labels = {"access_userid": user.userid or ""}
    admin.behave(labels=labels, failure=failure, container=container, after_s=0.5, count=1)
    assert ask(user, LAUNCH).good
    (before,) = desktops(admin, user)
    path = f"{PODS}/{before['metadata']['name']}"

    def struck_down() -> bool:
        status = admin.api("GET", path)["status"]
        restarts = [one["restartCount"] for one in status["containerStatuses"]]
        return status.get("reason") == failure or status["phase"] == "Failed" or any(restarts)

    assert eventually(struck_down)
    admin.no_faults()
    again = ask(user, LAUNCH)
    assert again.good, again
    usable = [pod for pod in desktops(admin, user) if pod["status"]["phase"] == "Running"]
    (pod,) = [pod for pod in usable if pod["status"].get("reason") != "NodeLost"]
    assert again.good
    if failure == "NodeLost":
        # no node is there to end it: the administrator's force is what Kubernetes asks for
        for left in desktops(admin, user):
            if left["metadata"]["uid"] == before["metadata"]["uid"]:
                admin.api("DELETE", path, {"gracePeriodSeconds": 0})
    assert pod["metadata"]["uid"] == before["metadata"]["uid"] or failure != "OOMKilled"
