"""The manager's desktop routes over HTTP: containers, application pods, usage, the collector, the dry run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devstack.service import Service
from tests.od.orchestrator.support import PODS, ClusterAdmin
from tests.support import Api
from tests.waiting import eventually


def image(engine: str, name: str) -> dict[str, Any]:
    return {
        "Id": "sha256:" + name.encode().hex().ljust(64, "0")[:64],
        "RepoTags": [f"example/{name}:1"],
        "Architecture": "amd64",
        "Os": "linux",
        "Config": {
            "Cmd": ["/usr/bin/clock"],
            "Labels": {
                "oc.type": "app",
                "oc.name": name,
                "oc.launch": f"{name}.Clock",
                "oc.icon": "clock.svg",
                "oc.containerengine": engine,
                "oc.acl": '{"permit": ["all"]}',
            },
        },
    }


class Session:
    """Somebody with a desktop, one application in it and one beside it."""

    def __init__(self, api: Api, admin: ClusterAdmin) -> None:
        self.api = api
        for one in (image("ephemeral_container", "inclock"), image("pod_application", "podclock")):
            api.manager("POST", "image", json=one).raise_for_status()
        api.login()
        api.result("composer/launchdesktop")
        (pod,) = [pod for pod in admin.pods(str(api.userid)) if pod["metadata"]["labels"]["type"] == "x11server"]
        self.name: str = pod["metadata"]["name"]
        self.container: str = api.result("composer/ocrun", {"image": "inclock"})["container_id"]
        self.pod: str = api.result("composer/ocrun", {"image": "podclock"})["container_id"]

    def get(self, path: str = "", **arguments: Any) -> Any:
        answer = self.api.manager("GET", f"desktop/{self.name}{path}", **arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def session(service: Service, admin: ClusterAdmin) -> Iterator[Session]:
    with Api(service.url, service.api_key) as api:
        try:
            yield Session(api, admin)
        finally:
            if api.token:
                api.post("auth/logout")


def test_containers_and_pods_of_a_desktop_are_listed_apart(session: Session) -> None:
    containers, pods = session.get("/container"), session.get("/pod")
    assert [(one["id"], one["type"], one["podname"]) for one in containers] == [
        (session.container, "ephemeralcontainer", session.name)
    ]
    assert [(one["id"], one["type"], one["podname"]) for one in pods] == [(session.pod, "pod_application", session.pod)]
    keys = "podname id short_id status type image nodehostname runtime oc.path oc.args oc.icon oc.launch oc.displayname"
    for one in containers + pods:
        assert set(keys.split()) <= set(one)
    assert containers[0]["oc.launch"] == "inclock.Clock"


def test_every_sort_of_container_is_described_with_spec_and_state(session: Session) -> None:
    found = session.get(f"/container/{session.container}")
    assert found["spec"]["name"] == session.container
    assert found["image"] == "example/inclock:1"
    assert found["state"] is None or found["state"]["name"] == session.container
    graphical = session.get("/container/x-graphical")
    assert graphical["status"] == "Running"
    assert graphical["state"]["containerID"]
    assert session.get("/container/i-init")["status"] == "Terminated"


def test_cookies_are_masked_in_what_operators_see(session: Session, admin: ClusterAdmin) -> None:
    labels = admin.api("GET", f"{PODS}/{session.name}")["metadata"]["labels"]
    shown = [
        session.get(),
        session.get("/container/x-graphical"),
        session.get(f"/container/{session.container}"),
        session.get(f"/pod/{session.pod}"),
    ]
    for cookie in ("xauthkey", "pulseaudio_cookie", "broadcast_cookie"):
        assert labels[cookie]
        assert all(labels[cookie] not in str(one) for one in shown)


def test_an_application_pod_is_shown_as_kubernetes_has_it(session: Session) -> None:
    pod = session.get(f"/pod/{session.pod}")
    assert pod["kind"] == "Pod"
    assert pod["metadata"]["name"] == session.pod
    assert pod["metadata"]["labels"]["type"] == "pod_application"


def test_an_application_pod_can_be_deleted_once(session: Session, admin: ClusterAdmin) -> None:
    answer = session.api.manager("DELETE", f"desktop/{session.name}/pod/{session.pod}")
    assert (answer.status_code, answer.json()) == (200, True)
    assert eventually(lambda: not admin.exists(f"{PODS}/{session.pod}"))
    assert session.api.manager("DELETE", f"desktop/{session.name}/pod/{session.pod}").status_code == 404
    assert session.get("/pod") == []


def test_a_part_of_the_desktop_is_no_application_to_end(session: Session, admin: ClusterAdmin) -> None:
    answer = session.api.manager("DELETE", f"desktop/{session.name}/container/x-graphical")
    assert answer.status_code == 400
    assert admin.exists(f"{PODS}/{session.name}")


USAGE = {
    "cpuacct.usage": "183000000000",
    "cpu.cfs_quota_us": "400000",
    "memory.usage_in_bytes": "734003200",
    "memory.limit_in_bytes": "8589934592",
}


def commands_since(admin: ClusterAdmin, began: float) -> list[dict[str, Any]]:
    """Commands in containers that began after that time. The cluster notes one when it has ended."""
    return [one for one in admin.requests_of("pods/exec") if one["time"] - one["duration_ms"] / 1000 >= began]


def test_usage_is_told_of_the_desktop_its_containers_and_its_pods(session: Session, admin: ClusterAdmin) -> None:
    assert eventually(lambda: session.get("/pod")[0]["status"] == "Running")
    began = time.time()
    found = session.get("/resources_usage")
    assert isinstance(found.pop("timestamp"), float)
    assert found == USAGE
    assert len(eventually(lambda: commands_since(admin, began))) == 1
    for path in ("/container/x-graphical", f"/container/{session.container}", f"/pod/{session.pod}"):
        found = session.get(f"{path}/resources_usage")
        assert {key: found[key] for key in USAGE} == USAGE


def test_the_usage_of_a_container_that_does_not_run_is_a_bare_timestamp(session: Session) -> None:
    assert set(session.get("/container/i-init/resources_usage")) == {"timestamp"}


@pytest.mark.parametrize(
    "path",
    [
        "desktop/nobody-12345",
        "desktop/nobody-12345/container",
        "desktop/nobody-12345/pod",
        "desktop/nobody-12345/resources_usage",
        "desktop/UPPER%2F..%2Fx/container",
        "desktop/{name}/container/none",
        "desktop/{name}/container/none/resources_usage",
        "desktop/{name}/pod/none",
        "desktop/{name}/pod/none/resources_usage",
        "desktop/{name}/pod/{name}",
        "desktop/{name}/container/{pod}",
        "desktop/{pod}",
        "desktop/{pod}/container",
        "desktop/{pod}/resources_usage",
    ],
)
def test_what_is_not_there_is_answered_404(session: Session, path: str) -> None:
    filled = path.format(name=session.name, pod=session.pod)
    assert session.api.manager("GET", filled).status_code == 404
    if "usage" not in filled and filled.count("/") != 2:
        assert session.api.manager("DELETE", filled).status_code == 404


def test_the_application_pod_of_another_user_is_not_found(
    session: Session, service: Service, admin: ClusterAdmin
) -> None:
    with Api(service.url, service.api_key) as other:
        theirs = Session(other, admin)
        for method in ("GET", "DELETE"):
            path = f"desktop/{session.name}/pod/{theirs.pod}"
            assert session.api.manager(method, path).status_code == 404
        assert session.api.manager("GET", f"desktop/{session.name}/pod/{theirs.pod}/resources_usage").status_code == 404
        assert admin.exists(f"{PODS}/{theirs.pod}")
        other.post("auth/logout")


# -- the collector ---------------------------------------------------------------------------------------------------


def age(admin: ClusterAdmin, name: str) -> None:
    body = {"metadata": {"annotations": {"lastlogin_datetime": "2020-01-01T00:00:00"}}}
    admin.api("PATCH", f"{PODS}/{name}", body, "application/merge-patch+json")


def test_the_collector_answers_the_names_it_removed(session: Session, admin: ClusterAdmin) -> None:
    collect = session.api.manager
    assert session.name not in collect("GET", "garbagecollector?expirein=900").json()
    age(admin, session.name)
    assert session.name in collect("GET", "garbagecollector?expirein=900&dryrun=true").json()
    (told,) = [
        one
        for one in collect("GET", "garbagecollector?expirein=900&dryrun=1&verbose=yes").json()
        if one["name"] == session.name
    ]
    assert told["removed"] is True
    assert told["reason"] == "idle"
    assert admin.exists(f"{PODS}/{session.name}")
    answer = collect("GET", "garbagecollector?expirein=900&force=TRUE&snaphot=false&snapshot=No")
    assert answer.status_code == 200
    assert session.name in answer.json()
    assert eventually(lambda: not admin.pods(str(session.api.userid)))
    assert admin.secrets(str(session.api.userid)) == []


def test_a_collected_desktop_is_in_the_history_as_garbage(session: Session, admin: ClusterAdmin) -> None:
    age(admin, session.name)
    session.api.manager("GET", "garbagecollector?expirein=900")

    def stops() -> list[dict[str, Any]]:
        found = session.api.manager("GET", "datastore/desktop/history").json()
        return [one for one in found if one["desktop_id"] == session.name and one["eventtype"] == "stop"]

    assert eventually(stops)
    assert [one["isgarbaged"] for one in stops()] == [True]


@pytest.mark.parametrize(
    "query",
    ["", "expirein=", "expirein=-1", "expirein=1.5", "expirein=x", "expirein=%D9%A3", "expirein=99999999999",
     "expirein=1&force=perhaps", "expirein=1&snapshot=2", "expirein=1&nodename=a,b%3Dc", "expirein=1&dryrun=x"],
)  # fmt: skip
def test_bad_parameters_of_the_collector_are_refused(service: Service, query: str) -> None:
    with Api(service.url, service.api_key) as api:
        assert api.manager("GET", f"garbagecollector?{query}").status_code == 400


# -- the dry run -----------------------------------------------------------------------------------------------------

WRITES = ("create", "update", "patch", "delete", "deletecollection")


def written(admin: ClusterAdmin) -> list[dict[str, Any]]:
    """The requests that changed something: the log says of each whether it was a dry run."""
    return [seen for seen in admin.requests_seen() if seen["verb"] in WRITES and "pyos" in seen["user"]]


def test_a_dry_run_gives_the_pod_and_writes_nothing(service: Service, admin: ClusterAdmin) -> None:
    with Api(service.url, service.api_key) as api:
        api.login()
        before = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in admin.secrets(str(api.userid))}
        admin.forget_requests()
        answer = api.request("POST", "manager/dry_run_desktop", json={}, headers={"X-API-Key": api.api_key})
        assert answer.status_code == 200, answer.text
        pod = answer.json()
        assert pod["kind"] == "Pod"
        assert pod["metadata"]["labels"]["type"] == "x11server"
        assert pod["metadata"]["labels"]["xauthkey"] == "***"
        assert not re.search(r"[0-9a-f]{30}", str(pod["metadata"]["labels"]))
        (graphical,) = [one for one in pod["spec"]["containers"] if one["name"] == "x-graphical"]
        assert {one["name"]: one.get("value") for one in graphical["env"]}["XAUTH_KEY"] == "***"
        assert all(seen["dry_run"] for seen in written(admin)), written(admin)
        assert admin.pods(str(api.userid)) == []
        after = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in admin.secrets(str(api.userid))}
        assert after == before
        api.post("auth/logout")


def test_a_dry_run_leaves_a_live_desktop_and_its_password_alone(session: Session, admin: ClusterAdmin) -> None:
    before = {
        one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in admin.secrets(str(session.api.userid))
    }
    pods = {pod["metadata"]["uid"] for pod in admin.pods(str(session.api.userid))}
    answer = session.api.request("GET", "manager/dry_run_desktop", headers={"X-API-Key": session.api.api_key})
    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"]["name"] != session.name
    after = {
        one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in admin.secrets(str(session.api.userid))
    }
    assert after == before
    assert {pod["metadata"]["uid"] for pod in admin.pods(str(session.api.userid))} == pods


def test_a_dry_run_needs_the_key_and_the_user(session: Session) -> None:
    assert session.api.request("POST", "manager/dry_run_desktop", json={}).status_code == 403
    headers = {"X-API-Key": session.api.api_key}
    assert (
        session.api.request("POST", "manager/dry_run_desktop", json={}, headers=headers, token=None).status_code == 401
    )


def test_a_refused_dry_run_says_why(own_service: Callable[..., Service], service: Service, admin: ClusterAdmin) -> None:
    with Api(service.url, service.api_key) as api:
        api.login()
        admin.fault(verb="create", resource="pods", status=422, message="the pod is not to my taste")
        answer = api.request("POST", "manager/dry_run_desktop", json={}, headers={"X-API-Key": api.api_key})
        assert answer.status_code == 400, answer.text
        assert "not to my taste" in answer.json()["message"]
        admin.no_faults()
        api.post("auth/logout")
