"""A login and a logout of a running pyos: secrets in the cluster, history in the database, tokens across replicas."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import jwt

from devstack.service import Service
from devstack.stack import Stack
from tests.support import Api
from tests.waiting import eventually

FAST = {"failsbeforeban": 3, "banexpireafterseconds": 600, "protectednetworks": [], "enable": True}


def secrets_of(stack: Stack, userid: str) -> dict[str, dict[str, str]]:
    """Kind of each secret of a user -> its decoded data."""
    path = f"/api/v1/namespaces/{stack.namespace}/secrets?labelSelector=access_userid%3D{userid}"
    return {
        secret["type"].rpartition("/")[2]: {
            key: base64.b64decode(value).decode("utf-8", "replace") for key, value in secret["data"].items()
        }
        for secret in stack.cluster_admin("GET", path)["items"]
    }


def test_a_login_writes_the_secrets_and_a_logout_removes_them(stack: Stack, api: Api) -> None:
    user = api.login()
    found = secrets_of(stack, user["userid"])
    assert set(found) == {"ldif", "localaccount", "posixaccount"}
    assert found["ldif"]["userid"] == user["userid"]
    assert found["posixaccount"]["uidNumber"] == "4096"
    account = found["localaccount"]
    assert account["passwd"] == "anonymous:x:4096:4096:anonymous user:/home/anonymous:/bin/bash\n"
    assert account["shadow"] == f"anonymous:{account['sha512']}:19080:0:99999:7:::\n"
    assert account["group"].splitlines()[0] == "sudo:x:27:anonymous"
    assert account["gshadow"].endswith("anonymous:!::anonymous\n")
    assert api.result("auth/logout") == {"url": "/"}
    assert secrets_of(stack, user["userid"]) == {}


def test_a_login_is_kept_in_the_history_of_the_user(api: Api) -> None:
    api.login(geolocation={"accuracy": 14.9, "latitude": 48.85, "longitude": 2.37})
    [entry] = eventually(lambda: api.result("store/getcollection", {"key": "loginHistory"}))
    assert (entry["userid"], entry["provider"], entry["type"]) == (api.userid, "anonymous", "login")
    assert entry["geolocation"] == {"accuracy": 14.9, "latitude": 48.85, "longitude": 2.37}
    assert entry["ipaddr"] == "127.0.0.1"


def test_any_replica_takes_and_renews_a_token(api: Api, replica_api: Api) -> None:
    token = api.login()["jwt_user_token"]
    renewed = replica_api.result("auth/refreshtoken", token=token)
    assert renewed["expire_in"] == 360
    assert api.result("auth/isauthenticated", token=renewed["jwt_user_token"]) is True
    whoami = replica_api.post("user/whoami", token=renewed["jwt_user_token"]).json()
    assert (whoami["userid"], whoami["name"], whoami["providertype"]) == (api.userid, "Anonymous", "anonymous")


def test_two_guests_share_nothing(stack: Stack, service: Service) -> None:
    with Api(service.url) as one, Api(service.url) as other:
        assert one.login()["userid"] != other.login()["userid"]
        one.result("auth/logout")
        assert secrets_of(stack, str(other.userid))


def test_a_token_of_somebody_s_own_key_is_refused(service: Service, foreign: Any) -> None:
    claims = {
        "exp": int(time.time()) + 360,
        "nbf": int(time.time()),
        "auth": {"provider": "anonymous", "providertype": "anonymous", "data": {"labels": {}}},
        "user": {"name": "x", "userid": "fry"},
        "roles": {},
    }
    token = jwt.encode(claims, foreign.private.read_bytes(), algorithm="RS256")
    with Api(service.url, token=token) as client:
        assert client.post("auth/refreshtoken").status_code == 401
        assert client.result("auth/isauthenticated") is False
        assert client.post("user/whoami").json()["userid"] is None


def test_a_ban_reaches_every_replica(own_service: Callable[..., Service]) -> None:
    one = own_service({"fail2ban": FAST})
    two = own_service({"fail2ban": FAST})
    with Api(one.url) as attacker, Api(two.url, two.api_key) as elsewhere:
        for address in ("203.0.113.77", "2001:db8::77"):
            router = {"X-Forwarded-For": address, "X-Real-IP": address}
            for _ in range(3):
                assert attacker.post("auth/refreshtoken", token="a.b.c", headers=router).status_code == 401
            for client in (attacker, elsewhere):
                answer = client.post("auth/auth", {"provider": "anonymous"}, headers=router)
                assert (answer.status_code, answer.json()["message"]) == (401, "ip address is banned")
            assert elsewhere.manager("DELETE", f"ban/ipaddr/{address}").json() == {"n": 1, "ok": 1.0}
        assert elsewhere.post("auth/auth", {"provider": "anonymous"}).status_code == 200
