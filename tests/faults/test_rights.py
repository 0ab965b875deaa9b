"""The rights of deploy/ are the ones pyos uses: none is missing, none is there for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.service import Backends, Service

from ..od.orchestrator.support import PODS, ClusterAdmin
from ..support import Api
from ..waiting import eventually
from .support import LAUNCH, PYOS, ask

ROLE = Path(__file__).parents[2] / "deploy" / "10-rbac.yaml"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
MAPS = "/api/v1/namespaces/abcdesktop/configmaps"
BIND_NOW = "bind-now-for-rights"

OTHER_SERVERS = {"create pods/exec"}
"""From Kubernetes 1.35 on an exec over WebSocket is a GET that is checked as `create`; our cluster is a 1.34."""

OPTIONAL = {"get storageclasses"}
"""Refused without harm: pyos asks the claim's events instead."""


def granted() -> set[str]:
    """``verb resource`` of everything the Role allows."""
    documents = [document for document in yaml.safe_load_all(ROLE.read_text()) if document]
    (role,) = [document for document in documents if document["kind"] == "Role"]
    assert not any("*" in rule["verbs"] + rule["resources"] for rule in role["rules"])
    return {f"{verb} {one}" for rule in role["rules"] for verb in rule["verbs"] for one in rule["resources"]}


@pytest.fixture
def homely(
    service: Service, backends: Backends, admin: ClusterAdmin, tmp_path: Path
) -> Iterator[tuple[Service, ClusterAdmin]]:
    """A pyos whose desktops have homes on claims; started after the log was cleared, to see its watches begin."""
    classes = admin.api("GET", CLASSES)["items"]
    if BIND_NOW not in {one["metadata"]["name"] for one in classes}:
        body = {
            "metadata": {"name": BIND_NOW},
            "provisioner": classes[0]["provisioner"],
            "volumeBindingMode": "Immediate",
        }
        admin.api("POST", CLASSES, body)
    claim = {
        "metadata": {"name": "{{ provider }}-{{ userid }}"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": BIND_NOW,
        },
    }
    overrides: dict[str, Any] = {
        "desktop.homedirectorytype": "persistentVolumeClaim",
        "desktop.persistentvolumeclaim": claim,
        "desktop.removepersistentvolumeclaim": True,
        "K8S_CREATE_POD_TIMEOUT_SECONDS": 30,
    }
    with Service(tmp_path / "homely", backends, overrides=overrides, api_key=service.api_key) as running:
        yield running, admin


def live(user: Api, admin: ClusterAdmin) -> None:
    """Use everything a user and an operator can."""
    assert ask(user, LAUNCH).good
    for image in ("dev.local/clock.d:1.0", "dev.local/notes.d:1.0", "run.example/sleeper:1"):
        run_and_stop(user, image)
    user.result("composer/getlogs")
    user.result("composer/listsecrets")
    assert ask(user, LAUNCH).good  # resumed
    (name,) = [one["metadata"]["name"] for one in admin.pods(user.userid or "") if kind(one) == "x11server"]
    user.manager("GET", f"desktop/{name}").raise_for_status()
    user.manager("GET", "garbagecollector?expirein=3600&dryrun=true").raise_for_status()
    # a desktop that failed is replaced by one of another name
    path = f"{PODS}/{name}"
    status = {"status": {"phase": "Failed", "reason": "Evicted"}}
    admin.api("PATCH", f"{path}/status", status, "application/merge-patch+json")
    assert eventually(lambda: ask(user, "composer/listcontainer").status == 404)
    assert ask(user, LAUNCH).good
    labels = {"access_userid": user.userid or "", "access_provider": "anonymous"}
    admin.api("POST", MAPS, {"metadata": {"name": f"old-{user.userid}", "labels": labels}})
    user.post("auth/logout").raise_for_status()
    assert eventually(lambda: not admin.pods(user.userid or ""))


def kind(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"]["type"])


def run_and_stop(user: Api, image: str) -> None:
    answer = ask(user, "composer/ocrun", {"image": image})
    assert answer.good, answer
    name = answer.result["container_id"]

    def running() -> list[dict[str, Any]]:
        entries = user.result("composer/listcontainer")
        return [one for one in entries if one["id"] == name and one["status"] == "Running"]

    assert eventually(running)
    target = {"podname": running()[0]["podname"], "containerid": name}
    user.result("composer/logcontainer", target)
    user.result("composer/envcontainer", target)
    if "clock" not in image:  # has no shell to be stopped with
        user.result("composer/stopcontainer", target)


def test_every_right_is_used_and_none_is_missing(homely: tuple[Service, ClusterAdmin]) -> None:
    service, admin = homely
    with Api(service.url, service.api_key) as user:
        user.login()
        live(user, admin)
    assert eventually(lambda: "delete persistentvolumeclaims" in used(admin)), "the claim of the home stays"
    admin.devstack("DELETE", "watches")  # a watch is in the log when it has ended
    assert eventually(lambda: {"watch pods", "watch events"} <= used(admin))
    refused = {name for name, status in seen(admin) if status == 403}
    assert refused <= OPTIONAL, "rights are missing"
    assert used(admin) - OPTIONAL <= granted(), "rights that only the optional file grants"
    assert granted() - used(admin) == OTHER_SERVERS, "rights that nothing uses"


def seen(admin: ClusterAdmin) -> list[tuple[str, int]]:
    """(``verb resource``, status) of every call of pyos to the namespace's objects."""
    log = [one for one in admin.requests_seen() if one["user"] == PYOS and not one["resource"].startswith("/")]
    return [(f"{one['verb']} {one['resource']}", one["status"]) for one in log]


def used(admin: ClusterAdmin) -> set[str]:
    return {name for name, _ in seen(admin)}
