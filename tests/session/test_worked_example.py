"""The anonymous session of spec http-api.md 6, request by request as the web front end sends it."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from devstack.service import Service
from devstack.stack import Stack
from tests.waiting import until

from ..support import Api

GAME = {
    "Id": "sha256:bdca74c7a9b1f3e0d5c2b4a697887766554433221100ffeeddccbbaa99887766",
    "RepoTags": ["abcdesktopio/2048-alpine.d:3.1"],
    "Created": "2026-01-01T00:00:00Z",
    "Architecture": "amd64",
    "Os": "linux",
    "Config": {
        "Cmd": ["/composer/appli-docker-entrypoint.sh"],
        "Labels": {
            "oc.type": "app",
            "oc.name": "2048-alpine",
            "oc.displayname": "2048 (alpine gtk)",
            "oc.launch": "org.gnome.TwentyFortyEight.Gnome-2048",
            "oc.path": "/usr/bin/gnome-2048",
            "oc.icon": "circle_2048.svg",
            "oc.icondata": base64.b64encode(b"<svg/>").decode(),
            "oc.keyword": "2048",
            "oc.cat": "games",
            "oc.showinview": "dock",
            "oc.acl": '{"permit": ["all"]}',
        },
    },
}
USER_LIST_KEYS = (
    "id launch name icon icondata keyword uniquerunkey cat args execmode showinview displayname mimetype path "
    "desktopfile sha_id created executablefilename os secrets_requirement architecture wm_class fileextensions "
    "legacyfileextensions hideindock"
)


@pytest.fixture
def user(api: Api) -> Iterator[Api]:
    """Somebody at the front end; nothing of them is left afterwards."""
    api.manager("POST", "image", json=GAME).raise_for_status()
    yield api
    if api.token:
        api.post("auth/logout")


def router_reads(token: str, stack: Stack) -> str:
    """The target of a desktop token, found as nginx/lua does: verify with the public key, decrypt the hash."""
    assert stack.keys is not None
    claims = jwt.decode(token, stack.keys.desktop_signing.public.read_bytes(), algorithms=["RS256"])
    key = load_pem_private_key(stack.keys.desktop_payload.private.read_bytes(), None)
    return key.decrypt(base64.b64decode(claims["hash"], validate=True), padding.PKCS1v15()).decode("ascii")  # type: ignore[union-attr,call-arg]


def test_the_worked_session_holds_to_the_letter(user: Api, stack: Stack) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    managers = user.post("auth/getauthconfig", headers=headers).json()
    assert set(managers) == {"managers"}
    assert [
        provider["name"]
        for manager in managers["managers"]
        if manager["name"] == "implicit"
        for provider in manager["providers"]
    ] == ["anonymous"]

    body = {"manager": None, "provider": "anonymous", "utctimestamp": 1729772725120, "geolocation": {}}
    answer = user.post("auth/auth", body, headers=headers).json()
    assert set(answer) == {"status", "result", "message"}
    assert answer["status"] == 200
    assert answer["message"].startswith("a.")
    login = answer["result"]
    assert set(login) == {"userid", "jwt_user_token", "name", "provider", "expire_in"}
    assert uuid.UUID(login["userid"]).version == 4
    assert (login["provider"], login["expire_in"]) == ("anonymous", 360)
    user.token = login["jwt_user_token"]

    launch = {"width": 1440, "height": 819, "hostname": "localhost", "timezone": "Europe/Paris", "args": None}
    texts = launching(user, launch)
    result = texts.pop("result")
    assert set(result) == {
        "target_ip", "vncpassword", "authorization", "websocketrouting", "websockettcpport", "expire_in",
    }  # fmt: skip
    assert (result["target_ip"], result["websocketrouting"]) == ("localhost", "http_origin")
    assert (result["websockettcpport"], result["expire_in"]) == (6081, 420)
    assert result["vncpassword"].isalnum()
    assert {text[:2] for text in texts["seen"]} <= {"b.", "c."}
    assert user.post("core/getmessageinfo").json() == {"status": 200, "result": None, "message": None}

    pod = desktop_pod(stack, login["userid"])
    assert router_reads(result["authorization"], stack) == pod["status"]["podIP"]

    applications = user.result("composer/getuserapplist")
    assert [set(entry) for entry in applications] == [set(USER_LIST_KEYS.split())] * len(applications)
    assert (applications[0]["id"], applications[0]["launch"]) == ("webshell.d", "frontendjs.webshell")
    assert (applications[0]["execmode"], applications[0]["showinview"]) == ("frontendjs", "dock")
    assert base64.b64decode(applications[0]["icondata"]).lstrip().startswith(b"<svg")
    game = next(entry for entry in applications if entry["id"] == "abcdesktopio/2048-alpine.d:3.1")
    assert (game["execmode"], game["cat"], game["path"], game["mimetype"]) == (None, "games", "/usr/bin/gnome-2048", [])
    assert game["sha_id"] == GAME["Id"]

    assert user.post("core/getkeyinfo", {"provider": "menuconfig"}).json() == {
        "id": {
            "settings": True, "appstore": True, "screenshot": True, "download": True, "logout": True,
            "disconnect": True, "snapshot": False,
        },
        "callbackurl": None,
    }  # fmt: skip
    missing = user.post("store/get", {"key": "dock"})
    assert missing.status_code == missing.json()["status"] == 404
    assert set(missing.json()) == {"status", "message"}

    assert "abcdesktop/vnc" in user.result("composer/listsecrets")
    ran = user.result(
        "composer/ocrun", {"image": "abcdesktopio/2048-alpine.d:3.1", "args": "", "timezone": "Europe/Paris"}
    )
    assert ran["container_id"].startswith("anonymous-2048-alpine-")
    assert (ran["type"], ran["wm_class"]) == ("ephemeral_container", "org.gnome.TwentyFortyEight.Gnome-2048")

    entry = until(lambda: running(user, ran["container_id"]))
    assert entry.pop("short_id").startswith("containerd://")
    assert entry == {
        "podname": pod["metadata"]["name"],
        "id": ran["container_id"],
        "status": "Running",
        "image": "abcdesktopio/2048-alpine.d:3.1",
        "oc.path": ["/composer/appli-docker-entrypoint.sh"],
        "nodehostname": pod["spec"]["nodeName"],
        "architecture": "amd64",
        "os": "linux",
        "oc.icondata": game["icondata"],
        "oc.args": None,
        "oc.icon": "circle_2048.svg",
        "oc.launch": "org.gnome.TwentyFortyEight.Gnome-2048",
        "oc.displayname": "2048 (alpine gtk)",
        "runtime": "kubernetes",
        "type": "ephemeralcontainer",
    }

    refreshed = user.post("composer/refreshdesktoptoken", {"app": None})
    assert refreshed.headers["Cache-Control"] == "no-cache, private"
    assert refreshed.headers["X-Content-Type-Options"] == "nosniff"
    assert refreshed.json()["result"]["expire_in"] == 420
    assert router_reads(refreshed.json()["result"]["authorization"], stack) == pod["status"]["podIP"]

    assert user.post("auth/logout").json() == {"status": 200, "result": {"url": "/"}, "message": "ok"}
    until(lambda: not objects_of(stack, "pods", login["userid"]))
    assert objects_of(stack, "secrets", login["userid"]) == []


def launching(user: Api, body: dict[str, Any]) -> dict[str, Any]:
    """Launch while polling the progress texts as the page does; ``{"result": ..., "seen": [texts]}``."""
    over, seen = threading.Event(), []
    assert user.token

    def poll() -> None:
        with Api(user.url, token=user.token) as page:
            while not over.wait(0.02):
                text = page.post("core/getmessageinfo").json()["message"]
                if text:
                    seen.append(text)

    page = threading.Thread(target=poll)
    page.start()
    try:
        return {"result": user.result("composer/launchdesktop", body), "seen": seen}
    finally:
        over.set()
        page.join()


def running(user: Api, container: str) -> dict[str, Any] | None:
    """The entry of an application once it runs."""
    entries = user.result("composer/listcontainer")
    return next((dict(e) for e in entries if e["id"] == container and e["status"] == "Running"), None)


def objects_of(stack: Stack, kind: str, userid: str) -> list[dict[str, Any]]:
    """What the cluster has of a user."""
    path = f"/api/v1/namespaces/{stack.namespace}/{kind}?labelSelector=access_userid={userid}"
    return list(stack.cluster_admin("GET", path)["items"])


def desktop_pod(stack: Stack, userid: str) -> dict[str, Any]:
    """The only desktop of a user."""
    (pod,) = [p for p in objects_of(stack, "pods", userid) if p["metadata"]["labels"]["type"] == "x11server"]
    return pod


def test_after_the_session_the_user_can_begin_another(user: Api, stack: Stack) -> None:
    first = user.login()["userid"]
    user.result("composer/launchdesktop")
    user.post("auth/logout").raise_for_status()
    second = user.login()["userid"]
    assert second != first
    user.result("composer/launchdesktop")
    assert len(objects_of(stack, "pods", second)) == 1


def test_disconnecting_keeps_the_desktop_for_the_next_launch(user: Api, stack: Stack) -> None:
    userid = user.login()["userid"]
    first = user.result("composer/launchdesktop")
    assert user.post("auth/disconnect").json() == {"status": 200, "result": {"url": "/"}, "message": "ok"}
    pod = desktop_pod(stack, userid)["metadata"]["uid"]
    again = user.result("composer/launchdesktop")
    assert again["vncpassword"] == first["vncpassword"]
    assert desktop_pod(stack, userid)["metadata"]["uid"] == pod


def test_the_sample_applications_register_and_run(user: Api, stack: Stack) -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "apps"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: published application descriptions are not part of the repository")
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    flat = [entry for document in documents for entry in (document if isinstance(document, list) else [document])]
    records = user.manager("POST", "image", json=flat).json()
    assert len(records) == len(flat) >= 19
    user.login()
    user.result("composer/launchdesktop")
    allowed = {entry["id"] for entry in user.result("composer/getuserapplist")}
    started = [
        user.result("composer/ocrun", {"image": record["id"]})["container_id"]
        for record in records
        if record["id"] in allowed
    ]
    assert len(started) >= 15
    until(lambda: set(started) <= {e["id"] for e in user.result("composer/listcontainer") if e["status"] == "Running"})
    for record in records:
        user.manager("DELETE", f"image/{record['sha_id'].removeprefix('sha256:')}").raise_for_status()


def test_the_service_log_of_a_session_holds_no_secret(user: Api, service: Service, stack: Stack) -> None:
    login = user.login()
    launch = user.result("composer/launchdesktop")
    user.post("auth/refreshtoken").raise_for_status()
    user.post("auth/logout").raise_for_status()
    log = service.log_path.read_text(encoding="utf-8", errors="replace")
    for secret in (login["jwt_user_token"], launch["vncpassword"], launch["authorization"], service.api_key):
        assert secret not in log
    assert stack.mongodb_url is not None
    assert stack.mongodb_url.partition("@")[0].rpartition(":")[2] not in log
