"""The description of a desktop, and what of it is public."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oc.od.orchestrator.desktop import Desktop, desktop_from, interfaces_of
from oc.od.orchestrator.masking import MASK, masked_pod
from oc.od.orchestrator.podmodel import pod_from

STATUS = "k8s.v1.cni.cncf.io/network-status"


def manifest(**changes: Any) -> dict[str, Any]:
    metadata = {
        "name": "fry-f7c42",
        "uid": "u1",
        "creationTimestamp": "2026-06-02T08:15:42Z",
        "labels": {"type": "x11server", "access_userid": "fry", "access_provider": "planet", "xauthkey": "aa"},
        "annotations": {"lastlogin_datetime": "2026-06-02T08:15:42"},
    }
    return {
        "metadata": metadata | changes.pop("metadata", {}),
        "spec": {
            "nodeName": "worker1",
            "hostname": "fry-f7c42",
            "subdomain": "desktop",
            "containers": [{"name": "s-sound"}, {"name": "x-graphical", "image": "desktop"}],
            "volumes": [{"name": "v", "secret": {"secretName": "auth-vnc-fry"}}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.244.0.7",
            "containerStatuses": [
                {"name": "s-sound", "containerID": "containerd://1", "state": {}},
                {"name": "x-graphical", "containerID": "containerd://2", "state": {"running": {}}},
            ],
        },
    } | changes


def describe(**options: Any) -> Desktop:
    return desktop_from(pod_from(manifest(**options.pop("changes", {}))), domain=options.pop("domain", None), **options)


def test_the_graphical_container_is_the_one_named_with_x() -> None:
    desktop = describe()
    assert (desktop.container_name, desktop.container_id) == ("x-graphical", "containerd://2")


def test_a_desktop_is_addressed_by_its_ip_or_by_its_dns_name() -> None:
    assert describe().internaluri == "10.244.0.7"
    named = describe(domain="abcdesktop.svc.cluster.local")
    assert named.internaluri == "fry-f7c42.desktop.abcdesktop.svc.cluster.local"


def test_a_desktop_is_reachable_with_address_and_password_only() -> None:
    assert not describe().is_reachable
    assert describe().with_password("x").is_reachable
    assert not describe(changes={"status": {"phase": "Pending"}}).with_password("x").is_reachable


def test_the_public_description_has_exactly_the_fields_the_console_reads() -> None:
    assert describe().with_password("hidden").public_dict() == {
        "id": "fry-f7c42",
        "name": "fry-f7c42",
        "status": "Running",
        "ipAddr": "10.244.0.7",
        "container_id": "containerd://2",
        "container_name": "x-graphical",
        "creation_timestamp": "2026-06-02T08:15:42Z",
        "lastlogin_datetime": "2026-06-02T08:15:42",
        "nodehostname": "worker1",
        "hostname": "fry-f7c42",
        "fqdn": None,
        "vncPassword": None,
        "desktop_interfaces": None,
        "websocketrouting": None,
        "websocketroute": None,
    }


def test_neither_password_nor_cookies_are_in_the_text_form() -> None:
    text = repr(describe().with_password("hidden"))
    assert "hidden" not in text
    assert "aa" not in text


@pytest.mark.parametrize("key", [STATUS, "k8s.v1.cni.cncf.io/networks-status"])
def test_interfaces_come_from_either_spelling_of_the_annotation(key: str) -> None:
    status = [
        {"name": "", "interface": "eth0", "ips": ["10.244.0.7"], "mac": "aa:bb"},
        {"name": "lan", "interface": "net1", "ips": ["192.0.2.1", "2001:db8::1"]},
        {"name": "broken"},
        "text",
    ]
    assert interfaces_of({key: json.dumps(status)}) == {
        "eth0": {"mac": "aa:bb", "ips": "10.244.0.7"},
        "net1": {"mac": None, "ips": ["192.0.2.1", "2001:db8::1"]},
    }


@pytest.mark.parametrize("text", ["", "{", "{}", "null", '[{"interface": 3}]'])
def test_a_malformed_annotation_gives_no_interfaces(text: str) -> None:
    assert interfaces_of({STATUS: text}) == {}


def test_websocket_routing_of_the_pod_wins_over_the_configured_one() -> None:
    assert describe(websocketrouting="host").websocketrouting == "host"
    bridged = describe(
        changes={"metadata": {"labels": {"websocketrouting": "bridge", "websocketroute": "d.example.org"}}},
        websocketrouting="host",
    )
    assert (bridged.websocketrouting, bridged.websocketroute) == ("bridge", "d.example.org")


def test_masking_leaves_the_original_alone_and_hides_cookies_everywhere() -> None:
    pod = manifest()
    pod["metadata"]["managedFields"] = [{}]
    pod["spec"]["containers"][1]["env"] = [
        {"name": "XAUTH_KEY", "value": "aa"},
        {"name": "HOME", "value": "/home/fry"},
        {"name": "PULSEAUDIO_COOKIE", "valueFrom": {}},
    ]
    pod["spec"]["ephemeralContainers"] = [{"name": "e", "env": [{"name": "BROADCAST_COOKIE", "value": "bb"}]}]
    shown = masked_pod(pod)
    assert shown["metadata"]["labels"]["xauthkey"] == MASK
    assert shown["metadata"]["labels"]["access_userid"] == "fry"
    assert shown["spec"]["containers"][1]["env"] == [
        {"name": "XAUTH_KEY", "value": MASK},
        {"name": "HOME", "value": "/home/fry"},
        {"name": "PULSEAUDIO_COOKIE", "valueFrom": {}},
    ]
    assert shown["spec"]["ephemeralContainers"][0]["env"][0]["value"] == MASK
    assert "managedFields" not in shown["metadata"]
    assert pod["metadata"]["labels"]["xauthkey"] == "aa"
