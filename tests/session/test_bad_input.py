"""What must be refused, with its status and JSON, leaving nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from devstack.stack import Stack

from ..support import Api
from .test_worked_example import objects_of

LAUNCH = "composer/launchdesktop"


@pytest.fixture
def user(api: Api) -> Iterator[Api]:
    """Somebody logged in, without a desktop."""
    api.login()
    yield api
    api.post("auth/logout")


@pytest.fixture
def desktop(user: Api) -> Api:
    """Somebody with a desktop."""
    user.result(LAUNCH)
    return user


def refused(response: Any, status: int) -> str:
    """The error document, which has exactly two keys; its message."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"].startswith("application/json")
    document = response.json()
    assert set(document) == {"status", "message"}
    assert document["status"] == status
    assert isinstance(document["message"], str)
    assert document["message"]
    assert "Traceback" not in document["message"]
    return str(document["message"])


def raw(api: Api, path: str, data: bytes, content_type: str = "application/json") -> Any:
    """A POST whose body is sent as it is."""
    return api.request("POST", path, data=data, headers={"Content-Type": content_type})


def no_pods(stack: Stack, user: Api) -> bool:
    assert user.userid
    return objects_of(stack, "pods", user.userid) == []


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"{", b'{"a":}', b"\xff\xfe", b'{"a": "\xff"}'])
def test_a_launch_with_a_body_of_the_wrong_shape_is_400_and_creates_nothing(
    user: Api, stack: Stack, body: bytes
) -> None:
    refused(raw(user, LAUNCH, body), 400)
    assert no_pods(stack, user)


def test_a_body_nested_too_deep_is_400(user: Api, stack: Stack) -> None:
    refused(raw(user, LAUNCH, b'{"a":' * 50_000 + b"1" + b"}" * 50_000), 400)
    assert no_pods(stack, user)


def test_a_body_of_three_mebibytes_is_413(user: Api, stack: Stack) -> None:
    refused(raw(user, LAUNCH, b'{"a":"' + b"x" * (3 << 20) + b'"}'), 413)
    assert no_pods(stack, user)


def test_a_body_of_another_type_is_415(user: Api, stack: Stack) -> None:
    refused(raw(user, LAUNCH, b"{}", "application/x-www-form-urlencoded"), 415)
    assert no_pods(stack, user)


@pytest.mark.parametrize("path", ["composer/unknown", "unknown/route", "composer/launchdesktop/more", ""])
def test_an_unknown_route_is_404(user: Api, path: str) -> None:
    refused(user.post(path), 404)


def test_a_path_that_names_no_method_of_a_controller_with_a_policy_is_403_12(user: Api) -> None:
    assert refused(user.post("composer"), 403).startswith("403.12 - ")


def test_a_method_that_a_route_does_not_have_is_405_and_names_those_it_has(user: Api) -> None:
    response = user.get(LAUNCH)
    refused(response, 405)
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "body", [{}, {"image": ""}, {"image": 7}, {"image": None}, {"image": "x" * 600}, {"image": "a", "args": ["b"]}]
)
def test_an_application_start_without_a_proper_image_is_400(desktop: Api, body: dict[str, Any]) -> None:
    refused(desktop.post("composer/ocrun", body), 400)
    assert desktop.result("composer/listcontainer") == []


def test_an_unknown_application_is_404_and_starts_nothing(desktop: Api) -> None:
    refused(desktop.post("composer/ocrun", {"image": "no/such.app:1"}), 404)
    assert desktop.result("composer/listcontainer") == []


def test_an_application_start_without_a_desktop_is_404(user: Api) -> None:
    refused(user.post("composer/ocrun", {"image": "no/such.app:1"}), 404)


ROUTES = ["logcontainer", "envcontainer", "stopcontainer", "removecontainer"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", [{}, {"podname": "a"}, {"containerid": "a"}, {"podname": 1, "containerid": "a"}])
def test_a_container_request_without_both_names_is_400(desktop: Api, route: str, body: dict[str, Any]) -> None:
    refused(desktop.post(f"composer/{route}", body), 400)


@pytest.mark.parametrize("route", ROUTES)
def test_a_pod_that_does_not_exist_is_404(desktop: Api, route: str) -> None:
    refused(desktop.post(f"composer/{route}", {"podname": "no-such-pod", "containerid": "no-such-pod"}), 404)


@pytest.mark.parametrize("route", ROUTES)
def test_a_container_of_the_desktop_itself_is_no_application(desktop: Api, stack: Stack, route: str) -> None:
    assert desktop.userid
    (pod,) = objects_of(stack, "pods", desktop.userid)
    name = pod["metadata"]["name"]
    refused(desktop.post(f"composer/{route}", {"podname": name, "containerid": "x-graphical"}), 404)
    assert objects_of(stack, "pods", desktop.userid)


@pytest.mark.parametrize("route", ROUTES)
def test_another_users_pod_is_refused_and_stays(desktop: Api, stack: Stack, route: str) -> None:
    with Api(desktop.url) as other:
        other.login()
        other.result(LAUNCH)
        assert other.userid
        assert desktop.userid
        (theirs,) = objects_of(stack, "pods", other.userid)
        (own,) = objects_of(stack, "pods", desktop.userid)
        name, mine = theirs["metadata"]["name"], own["metadata"]["name"]
        refused(desktop.post(f"composer/{route}", {"podname": name, "containerid": name}), 401)
        # the pod named is the caller's, the object acted on would be somebody else's
        answer = desktop.post(f"composer/{route}", {"podname": mine, "containerid": name})
        assert answer.status_code in (401, 404), answer.text
        assert len(objects_of(stack, "pods", other.userid)) == 1
        other.post("auth/logout").raise_for_status()


def test_no_token_is_401(api: Api) -> None:
    refused(api.post(LAUNCH), 401)


def forged(stack: Stack, **changes: Any) -> str:
    """A token signed with the service's own key, with claims changed."""
    assert stack.keys is not None
    now = int(time.time())
    claims = {
        "exp": now + 300,
        "nbf": now,
        "auth": {"provider": "anonymous", "providertype": "anonymous", "data": {"labels": {}}},
        "user": {"name": "x", "userid": "x"},
        "roles": {},
    }
    return jwt.encode(claims | changes, stack.keys.user_signing.private.read_bytes(), algorithm="RS256")


def test_an_expired_token_is_401(api: Api, stack: Stack) -> None:
    expired = forged(stack, exp=int(time.time()) - 120, nbf=int(time.time()) - 500)
    refused(api.post(LAUNCH, token=expired), 401)


def test_a_token_signed_by_somebody_else_is_401(api: Api) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = jwt.encode({"exp": int(time.time()) + 300}, key, algorithm="RS256")
    refused(api.post(LAUNCH, token=token), 401)


def test_a_desktop_token_is_no_user_token(desktop: Api) -> None:
    token = desktop.result("composer/refreshdesktoptoken")["authorization"]
    refused(desktop.post(LAUNCH, token=token), 401)


@pytest.mark.parametrize("token", ["", "null", "a.b.c", "x" * 20_000])
def test_garbage_for_a_token_is_401(api: Api, token: str) -> None:
    response = api.request("POST", LAUNCH, json={}, headers={"ABCAuthorization": f"Bearer {token}"})
    assert response.status_code in (400, 401), response.text  # 400: more header than the server takes
    if response.status_code == 401:
        refused(response, 401)


@pytest.mark.parametrize("key", ["", "null", "wrong"])
def test_a_wrong_api_key_opens_the_consoles_key_dialog(api: Api, key: str) -> None:
    headers = {"X-API-Key": key} if key else {}
    message = refused(api.request("GET", "manager/healtz", headers=headers), 403)
    assert message.split(" - ")[0] == "403.1"


@pytest.mark.parametrize("userid", ["fry", "../x", "a" * 70])
def test_nobody_chooses_the_user_id_of_an_anonymous_login(api: Api, userid: str) -> None:
    answer = api.post("auth/auth", {"provider": "anonymous", "userid": userid, "password": "x"})
    assert answer.status_code == 200
    assert answer.json()["result"]["userid"] != userid
    api.token = answer.json()["result"]["jwt_user_token"]
    api.post("auth/logout").raise_for_status()
