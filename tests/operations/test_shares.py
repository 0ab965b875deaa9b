"""A user with shares, on a cluster: the secrets of the login, the volumes of desktop and applications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oc.model.deadline import Deadline
from oc.model.identity import Login
from tests.od.orchestrator.conftest import login_of
from tests.od.orchestrator.support import CLIENT, PODS, ClusterAdmin, Progress, settings_with
from tests.od.orchestrator.test_applications import application

SHARE = {"type": "cifs", "name": "projects", "unc": "//nas/projects", "volumename": "work"}


def test_the_cluster_takes_pods_with_shares_and_removal_leaves_no_secret(
    make_orchestrator: Callable[..., Any], make_identity: Callable[..., Any], admin: ClusterAdmin
) -> None:
    rules = {"rules": {"volumes": {"shipcrew": SHARE}}}
    orchestrator = make_orchestrator(settings_with(image="example/idle:1", **{"desktop.policies": rules}))
    plain = login_of(make_identity())
    driver = {"username": plain.identity.userid, "password": "secret of the share", "domain": "PLANET"}
    login = Login(plain.identity, plain.attributes, plain.posix, {**plain.claims, "driver": driver})
    orchestrator.write_login_secrets(login)
    types = {one["type"] for one in admin.secrets(login.identity.userid)}
    assert "abcdesktop/cifs" in types
    desktop = orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))
    pod = admin.api("GET", f"{PODS}/{desktop.name}")
    (volume,) = [one for one in pod["spec"]["volumes"] if "flexVolume" in one]
    assert volume["flexVolume"]["options"]["networkPath"] == "//nas/projects"
    (graphical,) = [one for one in pod["spec"]["containers"] if one["name"] == "x-graphical"]
    assert any(mount["name"] == volume["name"] for mount in graphical["volumeMounts"])
    assert "secret of the share" not in str(pod)
    for engine in ("ephemeral_container", "pod_application"):
        started = orchestrator.run_application(desktop, login.identity, application(containerengine=engine), CLIENT)
        assert started.type == engine
    assert orchestrator.remove_desktop(login.identity)
    assert admin.secrets(login.identity.userid) == []
