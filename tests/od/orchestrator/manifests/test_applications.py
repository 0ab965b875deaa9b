"""Behaviour of the two application classes."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest

from oc.od.orchestrator.manifests import applications
from oc.od.orchestrator.manifests.types import ApplicationRequest, ManifestError
from oc.od.settings import Settings, settings_from_mapping

from . import configurations as conf
from . import people
from .cases import build_application_pod, build_desktop, build_ephemeral, running
from .people import DESKTOP, FRY, FRY_ACCOUNT, KONSOLE, XEYES
from .test_desktop import scramble

SHIPPED = settings_from_mapping(conf.shipped())
LIVE = running(build_desktop(SHIPPED, FRY, FRY_ACCOUNT))


def changed(change: Any) -> Settings:
    values = conf.shipped()
    change(values)
    return settings_from_mapping(values)


def env(container: Any) -> dict[str, str | None]:
    return {one["name"]: one.get("value") for one in container["env"]}


def test_an_ephemeral_container_mounts_only_what_the_live_pod_has() -> None:
    bare = dataclasses.replace(LIVE, volumes=frozenset({"home", "tmp"}))
    built = build_ephemeral(SHIPPED, FRY, FRY_ACCOUNT, XEYES, bare)
    assert {mount["name"] for mount in built.manifest["volumeMounts"]} == {"home", "tmp"}
    assert len(built.warnings) == 8
    assert all("does not have this volume" in warning for warning in built.warnings)


def test_an_ephemeral_container_cannot_mount_a_sub_path() -> None:
    with pytest.raises(ManifestError, match="forcesubpath") as caught:
        build_ephemeral(conf.shared_claim(), FRY, FRY_ACCOUNT, XEYES, LIVE)
    assert caught.value.status == 500


def test_a_mount_of_the_configuration_with_a_sub_path_is_left_out_of_an_ephemeral_container() -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.pod"]["default_volumes_mount"]["log"]["subPath"] = "x"

    built = build_ephemeral(changed(change), FRY, FRY_ACCOUNT, XEYES, LIVE)
    assert "log" not in {mount["name"] for mount in built.manifest["volumeMounts"]}
    assert any("sub-path" in warning for warning in built.warnings)


@pytest.mark.parametrize("entry", ["ephemeral_container", "pod_application"])
@pytest.mark.parametrize("change", [{"enable": False}, {"acl": {"permit": ["adminstaff"]}}])
def test_a_class_that_is_not_permitted_starts_nothing(entry: str, change: dict[str, Any]) -> None:
    settings = changed(lambda values: values["desktop.pod"][entry].update(change))
    build = build_ephemeral if entry == "ephemeral_container" else build_application_pod
    with pytest.raises(ManifestError) as caught:
        build(settings, FRY, FRY_ACCOUNT, XEYES, LIVE)
    assert caught.value.status == 403


def test_the_patch_adds_the_container_and_nothing_else() -> None:
    container = build_ephemeral(SHIPPED, FRY, FRY_ACCOUNT, XEYES, LIVE).manifest
    patch = applications.ephemeral_patch(container)
    assert patch == {"spec": {"ephemeralContainers": [container]}}
    patch["spec"]["ephemeralContainers"][0]["name"] = "changed"
    assert container["name"] != "changed"


def test_without_a_command_the_image_decides() -> None:
    built = build_ephemeral(SHIPPED, FRY, FRY_ACCOUNT, dataclasses.replace(XEYES, cmd=None), LIVE)
    assert "command" not in built.manifest


def test_display_and_sound_differ_by_class() -> None:
    beside = env(build_ephemeral(SHIPPED, FRY, FRY_ACCOUNT, KONSOLE, LIVE).manifest)
    apart = env(build_application_pod(SHIPPED, FRY, FRY_ACCOUNT, KONSOLE, LIVE).manifest["spec"]["containers"][0])
    assert (beside["DISPLAY"], beside["PULSE_SERVER"]) == (":0.0", "/tmp/.pulse.sock")
    assert (apart["DISPLAY"], apart["PULSE_SERVER"]) == ("10.244.0.172:0", "10.244.0.172:4713")
    assert beside["CUPS_SERVER"] == apart["CUPS_SERVER"] == "10.244.0.172:631"
    assert beside["XAUTH_KEY"] == people.DRAW.xauthkey


def test_unset_values_are_left_out() -> None:
    found = env(build_ephemeral(SHIPPED, FRY, FRY_ACCOUNT, XEYES, LIVE).manifest)
    assert not {"APP", "ARGS", "APPARGS", "TZ", "UNIQUERUNKEY", "ABCDESKTOP_RUNTIME_CLASSNAME"} & set(found)
    assert "None" not in found.values()


@pytest.mark.parametrize(
    ("args", "line"),
    [(None, None), ("--a 'b c'", "--a 'b c'"), (["--a 'b c'"], "--a 'b c'"), (["--a", "b c"], "--a 'b c'"), ([], None)],
)
def test_default_arguments_are_one_line(args: Any, line: str | None) -> None:
    app = dataclasses.replace(XEYES, args=args)
    assert env(build_ephemeral(SHIPPED, FRY, FRY_ACCOUNT, app, LIVE).manifest).get("ARGS") == line


def test_what_the_script_prints_wins_but_never_over_the_kubelet() -> None:
    request = ApplicationRequest(overwrite={"DISPLAY": ":9", "POD_IP": "1.2.3.4", "EXTRA": "x"})
    made = build_ephemeral(SHIPPED, FRY, FRY_ACCOUNT, XEYES, LIVE, request).manifest
    assert env(made)["DISPLAY"] == ":9"
    assert env(made)["EXTRA"] == "x"
    assert env(made)["POD_IP"] is None


def test_the_resources_told_to_an_ephemeral_application_are_those_of_graphical() -> None:
    live = running(build_desktop(SHIPPED, FRY, FRY_ACCOUNT, pod_level=False))
    told = env(build_ephemeral(SHIPPED, FRY, FRY_ACCOUNT, XEYES, live).manifest)["ABCDESKTOP_EXECUTE_RESOURCES"]
    assert json.loads(told or "") == {
        "limits": {"memory": "8Gi", "cpu": "4000m"},
        "requests": {"memory": "576Mi", "cpu": "220m"},
    }


def test_the_runtime_class_of_the_application_wins() -> None:
    app = dataclasses.replace(KONSOLE, executeclassname="gold", runtimeClassName="kata")
    spec = build_application_pod(SHIPPED, FRY, FRY_ACCOUNT, app, LIVE).manifest["spec"]
    assert spec["runtimeClassName"] == "kata"
    assert env(spec["containers"][0])["ABCDESKTOP_RUNTIME_CLASSNAME"] == "kata"


def test_the_configured_affinity_replaces_the_preference_for_the_desktops_node() -> None:
    own: dict[str, Any] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    }
    settings = changed(lambda values: values["desktop.pod"]["pod_application"].update(affinity=own))
    spec = build_application_pod(settings, FRY, FRY_ACCOUNT, KONSOLE, LIVE).manifest["spec"]
    assert spec["affinity"] == own


def test_without_a_node_there_is_no_preference() -> None:
    nowhere = dataclasses.replace(DESKTOP, node="")
    assert "affinity" not in build_application_pod(SHIPPED, FRY, FRY_ACCOUNT, KONSOLE, nowhere).manifest["spec"]


def test_an_application_pod_has_no_unique_key_unless_it_has_one() -> None:
    labels = build_application_pod(SHIPPED, FRY, FRY_ACCOUNT, KONSOLE, LIVE).manifest["metadata"]["labels"]
    assert "uniquerunkey" not in labels


def test_not_being_root_is_asked_of_the_application_not_of_its_init_container() -> None:
    app = dataclasses.replace(KONSOLE, securitycontext={"runAsNonRoot": True})
    spec = build_application_pod(SHIPPED, FRY, FRY_ACCOUNT, app, LIVE).manifest["spec"]
    assert "runAsNonRoot" not in spec["securityContext"]
    assert spec["containers"][0]["securityContext"]["runAsNonRoot"] is True


def test_a_vnc_password_is_never_mounted_in_an_application() -> None:
    app = dataclasses.replace(KONSOLE, secrets_requirement=["abcdesktop/vnc", "all"])
    spec = build_application_pod(SHIPPED, FRY, FRY_ACCOUNT, app, LIVE, auth=("kerberos",)).manifest["spec"]
    names = {volume["name"] for volume in spec["volumes"]}
    assert "auth-vnc-fry" not in names
    assert "auth-kerberos-fry" in names


@pytest.mark.parametrize("build", [build_ephemeral, build_application_pod])
def test_what_is_built_shares_nothing_with_settings_and_catalogue(build: Any) -> None:
    settings = settings_from_mapping(conf.with_policies())
    app = dataclasses.replace(
        KONSOLE, securitycontext={"capabilities": {"add": ["X"]}}, rules={"volumes": {}}, cmd=["a"], args=["b"]
    )
    before = copy.deepcopy((settings, app))
    first = build(settings, FRY, FRY_ACCOUNT, app, LIVE, claim="c").manifest
    kept = copy.deepcopy(first)
    scramble(first)
    assert (settings, app) == before
    assert build(settings, FRY, FRY_ACCOUNT, app, LIVE, claim="c").manifest == kept


def pod(**changes: Any) -> dict[str, Any]:
    made = build_desktop(SHIPPED, FRY, FRY_ACCOUNT).manifest
    made["status"] = {"podIP": "10.0.0.9"}
    made["spec"]["nodeName"] = "worker1"
    made["metadata"]["annotations"].update(changes)
    return made


STATUS = "k8s.v1.cni.cncf.io/network-status"


@pytest.mark.parametrize(
    ("annotations", "ip"),
    [
        ({}, "10.0.0.9"),
        ({STATUS: json.dumps([{"interface": "eth0", "ips": ["10.1.0.1", "fd00::1"]}])}, "10.1.0.1"),
        ({STATUS: json.dumps([{"interface": "net1", "ips": ["10.2.0.1"]}])}, "10.0.0.9"),
        ({STATUS: json.dumps([{"interface": "eth0", "ips": "10.1.0.2"}])}, "10.1.0.2"),
        ({"k8s.v1.cni.cncf.io/networks-status": json.dumps([{"interface": "eth0", "ips": ["10.1.0.3"]}])}, "10.1.0.3"),
        ({STATUS: "not json"}, "10.0.0.9"),
        ({STATUS: '{"interface": "eth0"}'}, "10.0.0.9"),
        ({STATUS: '[null, {"interface": "eth0", "ips": []}]'}, "10.0.0.9"),
    ],
)
def test_the_address_of_a_desktop_is_its_first_interface_else_the_pods(annotations: dict[str, str], ip: str) -> None:
    facts = applications.desktop_facts(pod(**annotations))
    assert facts.ip == ip
    assert facts.node == "worker1"
    assert facts.graphical == "x-graphical"


def test_a_pod_without_address_or_graphical_container_takes_no_application() -> None:
    pending = {**pod(), "status": {}}
    with pytest.raises(ManifestError):
        applications.desktop_facts(pending)
    strange = pod()
    strange["spec"]["containers"] = strange["spec"]["containers"][1:]
    with pytest.raises(ManifestError):
        applications.desktop_facts(strange)


def test_the_facts_of_a_desktop_show_no_cookie() -> None:
    assert people.DRAW.xauthkey not in repr(LIVE)
    assert people.DRAW.broadcast_cookie not in repr(LIVE)
