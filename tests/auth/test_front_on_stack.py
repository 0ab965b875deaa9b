"""Logins by client certificate on the whole stack: desktop, key, replicas."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from devstack.service import Service
from devstack.stack import Stack
from tests.support import Api

from .test_logmein import HEADER, UID, certificate, pem

CONFIG = {
    "auth.logmein": {"enable": True, "network_list": ["127.0.0.1/32"], "http_attribut": HEADER},
    "authmanagers": {"implicit": {"providers": {"sslclient": {"dialog_url": "https://certificates.example/"}}}},
}


def test_a_certificate_gives_a_desktop_with_its_key_and_every_replica_exports_it(
    stack: Stack, own_service: Callable[..., Service]
) -> None:
    one, two = own_service(CONFIG), own_service(CONFIG)
    header = {HEADER: quote(pem(certificate({UID: "certified"}, start=datetime.now(UTC))))}
    with Api(one.url) as browser, Api(two.url) as bastion:
        answer = browser.get("auth/logmein?provider=sslclient", headers={**header, "Accept": "text/plain"})
        assert answer.status_code == 200, answer.text
        token = answer.text.strip()
        lines = [text for text in bastion.get("auth/authorizedkeys").text.splitlines() if text]
        assert bastion.post("user/whoami", token=token).json()["userid"] == "certified"
        bastion.result("composer/launchdesktop", token=token)  # by the replica that saw no certificate
        path = f"/api/v1/namespaces/{stack.namespace}/pods?labelSelector=access_userid%3Dcertified"
        [pod] = stack.cluster_admin("GET", path)["items"]
        environment = {
            entry["name"]: entry.get("value")
            for container in pod["spec"]["containers"]
            for entry in container.get("env", [])
        }
        assert environment["ABCDESKTOP_AUTHORIZEDKEY"] in lines
        bastion.result("auth/logout", token=token)


def test_the_certificate_is_in_no_log(own_service: Callable[..., Service]) -> None:
    service = own_service(CONFIG)
    made = pem(certificate({UID: "certified"}, start=datetime.now(UTC)))
    with Api(service.url) as browser:
        token = browser.get(
            "auth/logmein?provider=sslclient", headers={HEADER: quote(made), "Accept": "text/plain"}
        ).text.strip()
        browser.get("auth/logmein?provider=nobody", headers={HEADER: quote(made)})
    log = service.log_tail(1_000_000)
    assert token.count(".") == 2
    assert token not in log
    assert made.splitlines()[3] not in log
