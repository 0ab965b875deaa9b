"""The desktop DNS route, and which address stands for a user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.service import Service
from oc.od.composer.addresses import desktop_address, interface_address
from oc.od.orchestrator import Desktop
from oc.od.orchestrator.desktop import desktop_from
from oc.od.orchestrator.podmodel import pod_from
from tests.od.orchestrator.support import ClusterAdmin
from tests.support import Api

KEY = "a-key-for-the-name-server"
NETWORKS = '[{"interface": "eth0", "ips": ["10.0.0.5"]}, {"interface": "net1", "ips": ["192.0.2.7"]}]'


def described(userid: str, status: str = "Running", networks: str = "", provider: str = "planet") -> Desktop:
    metadata = {
        "name": f"{userid.lower()}-{provider}",
        "uid": f"{userid}{provider}",
        "labels": {"type": "x11server", "access_userid": userid, "access_provider": provider},
        "annotations": {"k8s.v1.cni.cncf.io/network-status": networks} if networks else {},
    }
    return desktop_from(
        pod_from({"metadata": metadata, "spec": {}, "status": {"phase": status, "podIP": "10.244.0.9"}}), domain=None
    )


class Cluster:
    """Stands for the orchestrator: some desktops."""

    def __init__(self, *desktops: Desktop) -> None:
        self.desktops = desktops

    def list_desktops(self, user: str) -> Iterator[Desktop]:
        return (desktop for desktop in self.desktops if desktop.user == user)


def address(userid: str, *desktops: Desktop, interface: str = "eth0") -> str | None:
    return desktop_address(Cluster(*desktops), interface, userid)  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", ["fry", "FRY", "Fry"])
def test_a_user_is_found_in_any_case_of_the_name(asked: str) -> None:
    assert address(asked, described("fry")) == "10.244.0.9"


def test_the_exact_spelling_comes_first() -> None:
    assert address("FRY", described("fry"), described("FRY", networks=NETWORKS)) == "10.0.0.5"


def test_nobody_and_desktops_that_do_not_run_have_no_address() -> None:
    assert address("leela", described("fry")) is None
    assert address("fry", described("fry", status="Pending")) is None


def test_a_user_id_of_two_providers_has_no_address() -> None:
    assert address("fry", described("fry"), described("fry", provider="mars")) is None


def test_the_configured_interface_is_told() -> None:
    desktop = described("fry", networks=NETWORKS)
    assert interface_address(desktop, "net1") == "192.0.2.7"
    assert interface_address(desktop, "net2") is None
    assert interface_address(described("fry"), "net1") is None


@pytest.fixture(scope="module")
def dns_service(backends: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    policy = {"requestsallowed": {"dns": True}, "permitip": ["127.0.0.0/8"], "authdnskey": KEY}
    overrides = {
        "controllers": {
            "ManagerController": {"permitip": ["127.0.0.0/8"]},
            "DesktopController": policy,
        }
    }
    with Service(tmp_path_factory.mktemp("dns"), backends, overrides=overrides) as running:
        yield running


def test_the_route_answers_json_or_text(dns_service: Service, admin: ClusterAdmin) -> None:
    with Api(dns_service.url) as api:
        api.login()
        headers = {"authdnskey": KEY}
        path = f"desktop/dns/{api.userid}"
        assert api.get(path, headers=headers).status_code == 404
        api.result("composer/launchdesktop")
        (pod,) = admin.pods(str(api.userid))
        assert api.get(path, headers=headers).json() == {"ipaddr": pod["status"]["podIP"]}
        text = api.get(path, headers={**headers, "Accept": "text/plain"})
        assert text.text == pod["status"]["podIP"]
        assert text.headers["Content-Type"].startswith("text/plain")
        assert api.get(f"desktop/dns/{'x' * 300}", headers=headers).status_code == 404
        api.post("auth/logout")


@pytest.mark.parametrize("headers", [{}, {"authdnskey": ""}, {"authdnskey": "wrong"}, {"authdnskey": KEY[:-1]}])
def test_the_route_needs_its_key(dns_service: Service, headers: dict[str, str]) -> None:
    with Api(dns_service.url) as api:
        answer = api.get("desktop/dns/fry", headers=headers)
        assert answer.status_code == 401
        assert KEY not in answer.text


def test_its_key_may_stand_in_a_file(own_service: Callable[..., Service], tmp_path: Path) -> None:
    file = tmp_path / "dnskey"
    file.write_text(KEY + "\n")
    policy = {"requestsallowed": {"dns": True}, "permitip": ["127.0.0.0/8"], "authdnskey": file.as_uri()}
    with Api(own_service({"controllers": {"DesktopController": policy}}).url) as api:
        assert api.get("desktop/dns/nobody", headers={"authdnskey": KEY}).status_code == 404
        assert api.get("desktop/dns/nobody", headers={"authdnskey": file.as_uri()}).status_code == 401


def test_the_route_is_off_as_shipped(own_service: Callable[..., Service], service: Service) -> None:
    with Api(service.url, service.api_key) as api:
        answer = api.get("desktop/dns/fry", headers={"authdnskey": KEY})
        assert answer.status_code == 403
        assert answer.json()["message"].startswith("403.8")
