"""Images pulled in advance: which pods are made, and that they go away again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from devstack.service import Service
from oc.errors import BadRequestError
from oc.od.orchestrator import Orchestrator
from oc.od.orchestrator.prefetch import pull_pod
from tests.od.orchestrator.support import PODS, ClusterAdmin, settings_with
from tests.support import Api
from tests.waiting import eventually

from .test_manager_desktops import image

Make = Callable[..., Any]
PULLS = f"{PODS}?labelSelector=type%3Dpod_application_pull"


@dataclass(frozen=True)
class Image:
    id: str = "example/run-app:1"
    sha_id: str = "sha256:0"


def pulls(admin: ClusterAdmin) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.api("GET", PULLS)["items"]
    return found


@pytest.fixture(autouse=True)
def _clean(admin: ClusterAdmin) -> None:
    admin.api("DELETE", f"{PULLS}&gracePeriodSeconds=0")  # all at once: one that ends by itself meanwhile is no error
    assert eventually(lambda: not pulls(admin))


def test_every_node_of_desktops_pulls_once(make_orchestrator: Make, admin: ClusterAdmin) -> None:
    orchestrator = make_orchestrator()
    assert orchestrator.prefetch(Image(), None)
    assert eventually(lambda: {pod["spec"]["nodeName"] for pod in pulls(admin)} == {"node1", "node2"})
    names = {pod["metadata"]["name"] for pod in pulls(admin)}
    assert orchestrator.prefetch(Image(), None)
    orchestrator._prefetcher._pool.shutdown(wait=True)
    assert {pod["metadata"]["name"] for pod in pulls(admin)} == names


def test_the_node_selector_limits_the_nodes(make_orchestrator: Make, admin: ClusterAdmin) -> None:
    make_orchestrator(settings_with(**{"desktop.nodeselector": {"zone": "b"}})).prefetch(Image(), None)
    assert eventually(lambda: pulls(admin))
    assert [pod["spec"]["nodeName"] for pod in pulls(admin)] == ["node2"]


def test_one_node_can_be_named(make_orchestrator: Make, admin: ClusterAdmin) -> None:
    make_orchestrator().prefetch(Image(), "node1")
    assert eventually(lambda: [pod["spec"]["nodeName"] for pod in pulls(admin)] == ["node1"])


@pytest.mark.parametrize("node", ["A", "a b", "x" * 300, "../x"])
def test_what_is_no_node_is_refused(orchestrator: Orchestrator, node: str) -> None:
    with pytest.raises(BadRequestError):
        orchestrator.prefetch(Image(), node)


def test_without_the_right_to_see_nodes_one_pod_goes_where_desktops_go(
    make_orchestrator: Make, admin: ClusterAdmin
) -> None:
    admin.fault(verb="list", resource="nodes", status=403)
    make_orchestrator(settings_with(**{"desktop.nodeselector": {"zone": "b"}})).prefetch(Image(), None)
    assert eventually(lambda: pulls(admin))
    (pod,) = pulls(admin)
    assert pod["spec"]["nodeSelector"] == {"zone": "b"}
    assert eventually(lambda: pulls(admin)[0]["spec"].get("nodeName") == "node2")


def test_a_refusal_on_one_node_does_not_keep_the_others_from_pulling(
    make_orchestrator: Make, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="pods", status=422, count=1)
    make_orchestrator().prefetch(Image(), None)
    assert eventually(lambda: len(pulls(admin)) == 1)


def test_too_many_at_once_are_turned_away(make_orchestrator: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oc.od.orchestrator.prefetch.MAX_WAITING", 1)
    orchestrator = make_orchestrator()
    assert orchestrator._prefetcher._room.acquire(blocking=False)
    assert not orchestrator.prefetch(Image(), None)


def test_a_pull_pod_has_no_rights_and_the_pull_secrets_of_desktops() -> None:
    settings = settings_with()
    template = {"spec": {"imagePullSecrets": [{"name": "registry"}], "tolerations": [{"operator": "Exists"}]}}
    settings = settings_with(**{"desktop.pod": template})
    pod = pull_pod(settings, "registry.example.org:5000/team/app@sha256:" + "0" * 64, "sha256:1", "node1")
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert len(pod["metadata"]["name"]) <= 63
    again = pull_pod(settings, "registry.example.org:5000/team/app@sha256:" + "0" * 64, "sha256:2", "node1")
    assert again["metadata"]["name"] != pod["metadata"]["name"]


def test_putting_an_image_has_it_pulled_and_the_watcher_cleans_up(service: Service, admin: ClusterAdmin) -> None:
    admin.forget_requests()
    with Api(service.url, service.api_key) as api:
        one = image("pod_application", "pulled")
        one["RepoTags"] = ["example/run-pulled:1"]
        record = api.manager("PUT", "image", json=one).json()
        assert record["pulling"] is True
        assert eventually(lambda: len([seen for seen in admin.requests_of("pods") if seen["verb"] == "create"]) == 2)
        assert eventually(lambda: not pulls(admin))
        listed = api.manager("PUT", "image?node=node2", json=[one]).json()
        assert [entry["pulling"] for entry in listed] == [True]
        assert api.manager("PUT", "image?node=No%20Node", json=one).status_code == 400
        assert api.manager("DELETE", "image/example/run-pulled:1").status_code == 200
