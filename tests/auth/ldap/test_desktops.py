"""Users of a directory get desktops however the connection to it is made, and never that of a namesake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from devstack.peers.planetexpress import PEOPLE, SHIP_CREW, SUFFIX
from devstack.peers.slapd import Slapd
from devstack.service import Backends, Service
from devstack.stack import Stack
from tests.auth.test_logmein import HEADER, UID, certificate, pem
from tests.support import Api

from .test_on_stack import rule, secrets_of

#: Providers, one for each way to reach the directory, and a user for each.
WAYS = {"plain": "leela", "tls": "bender", "starttls": "professor"}


def providers(slapd: Slapd) -> dict[str, Any]:
    common = {
        "ldap_basedn": PEOPLE,
        "users_ou": PEOPLE,
        "groups_ou": SUFFIX,
        "usercnattr": "cn",
        "user_filter": "(&(objectClass=person)(uid=%s))",
        "auth_type": "ANONYMOUS",
        "policies": {"acl": {"permit": ["all"]}, "rules": {"ship": rule(SHIP_CREW, "shipcrew")}},
    }
    return {
        "plain": {**common, "servers": slapd.ldap},
        "tls": {**common, "servers": [slapd.ldaps], "tls_ca_file": str(slapd.ca_file)},
        "starttls": {**common, "servers": slapd.ldap, "start_tls": True, "tls_ca_file": str(slapd.ca_file)},
    }


def configuration(slapd: Slapd) -> dict[str, Any]:
    return {
        "auth.logmein": {"enable": True, "network_list": ["127.0.0.1/32"], "http_attribut": HEADER},
        "authmanagers": {
            "explicit": {"providers": providers(slapd)},
            "implicit": {
                "providers": {
                    "anonymous": {},
                    "sslclient": {"dialog_url": "https://certificates.example/"},
                    "badge": {"dialog_url": "https://badges.example/"},
                }
            },
        },
    }


@pytest.fixture(scope="module")
def reached(slapd: Slapd, backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("reached"), backends, overrides=configuration(slapd)) as service:
        yield service


def pods_of(stack: Stack, userid: str) -> dict[str, str]:
    """Provider -> name of the desktop of each user of this id that is not being removed."""
    path = f"/api/v1/namespaces/{stack.namespace}/pods?labelSelector=type%3Dx11server%2Caccess_userid%3D{userid}"
    pods = [
        p["metadata"] for p in stack.cluster_admin("GET", path)["items"] if "deletionTimestamp" not in p["metadata"]
    ]
    return {pod["labels"]["access_provider"]: pod["name"] for pod in pods}


@pytest.mark.parametrize("way", WAYS)
def test_a_user_gets_a_desktop_with_labels_and_secrets_by(way: str, reached: Service, stack: Stack) -> None:
    userid = WAYS[way]
    with Api(reached.url) as api:
        answer = api.login(way, userid=userid, password=userid)
        assert (answer["userid"], answer["provider"]) == (userid, "ldap")
        labels = api.result("auth/labels")
        assert ("shipcrew" in labels) is (userid != "professor")
        api.result("composer/launchdesktop")
        path = f"/api/v1/namespaces/{stack.namespace}/pods?labelSelector=access_userid%3D{userid}"
        [pod] = stack.cluster_admin("GET", path)["items"]
        assert labels.items() <= pod["metadata"]["labels"].items()
        assert pod["metadata"]["labels"]["access_provider"] == way
        assert set(secrets_of(stack, userid)) >= {"ldif", "localaccount"}
        api.result("auth/logout")
        assert pods_of(stack, userid) == {}
        assert secrets_of(stack, userid) == {}


@pytest.mark.parametrize("never_change", [True, False])
def test_a_certificate_never_opens_the_desktop_of_a_namesake(
    never_change: bool, slapd: Slapd, stack: Stack, own_service: Callable[..., Service]
) -> None:
    overrides = {**configuration(slapd), "desktop.authproviderneverchange": never_change}
    service = own_service(overrides)
    header = {HEADER: quote(pem(certificate({UID: "leela"}, start=datetime.now(UTC)))), "Accept": "text/plain"}
    with Api(service.url) as captain, Api(service.url) as sender, Api(service.url) as other:
        captain.login("plain", userid="leela", password="leela")
        captain.result("composer/launchdesktop")
        for client, provider in ((sender, "sslclient"), (other, "badge")):
            answer = client.get(f"auth/logmein?provider={provider}", headers=header)
            assert answer.status_code == 200, answer.text
            client.token = answer.text.strip()
            client.result("composer/launchdesktop")
        names = pods_of(stack, "leela")
        assert set(names) == {"plain", "sslclient", "badge"}
        assert len(set(names.values())) == 3
        desktop = names["plain"]
        for client in (sender, other):
            taken = client.post("composer/logcontainer", {"podname": desktop, "containerid": "x"})
            assert taken.status_code in (401, 403, 404)
            client.result("auth/logout")
        assert pods_of(stack, "leela") == {"plain": desktop}, "what one removes is only theirs"
        captain.result("composer/launchdesktop")
        assert pods_of(stack, "leela") == {"plain": desktop}, "resumed"
        captain.result("auth/logout")
