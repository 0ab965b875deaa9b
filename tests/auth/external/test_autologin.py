"""``autologin`` on a real directory, and a front end that puts features in place of the state."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
import requests

from devstack.peers.slapd import Slapd
from devstack.service import Service, free_port

from .conftest import World
from .support import HTML, JSON, Browser, changed, refused, token_of
from .test_attacks import LEELA
from .test_login_flow import claims_of

FRY = {"login": "Philip J. Fry", "password": "fry"}


def autologin(service: Service, data: object, **arguments: object) -> requests.Response:
    return requests.post(
        f"{service.url}/API/auth/autologin",
        data=data,
        timeout=60,
        allow_redirects=False,
        **arguments,  # type: ignore[arg-type]
    )


@pytest.fixture
def directory(slapd: Slapd | None) -> Slapd:
    if slapd is None:
        pytest.skip("no OpenLDAP server: slapd is not installed")
    return slapd


def test_a_form_with_a_password_gives_the_page_with_the_token(world: World, directory: Slapd) -> None:
    for provider in ({}, {"provider": "directory"}, {"provider": "DIRECTORY"}):
        response = autologin(world.service, {**FRY, **provider})
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "text/html;charset=utf-8"
        assert claims_of(token_of(response))["auth"]["provider"] == "directory"


def test_a_wrong_password_is_refused_and_not_logged(world: World, directory: Slapd) -> None:
    response = autologin(world.service, {**FRY, "password": "hypnotoad-8271"})
    assert (response.status_code, response.json()["message"]) == (401, "invalidCredentials")
    assert "hypnotoad-8271" not in world.service.log_path.read_text()


@pytest.mark.parametrize("provider", ["planet", "anonymous", "nobody"])
def test_only_explicit_providers_serve_it(world: World, provider: str) -> None:
    assert "not found" in refused(autologin(world.service, {**FRY, "provider": provider}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "Bad request invalid login parameter"),
        ({"login": ""}, "Bad request invalid login parameter"),
        ({"login": "x" * 300}, "Bad request invalid login parameter"),
        ({"login": "x", "password": "x" * 300}, "Bad request invalid password parameter"),
    ],
)
def test_missing_and_oversize_parameters_are_refused(world: World, data: dict[str, str], message: str) -> None:
    response = autologin(world.service, data)
    assert (response.status_code, response.json()["message"]) == (400, message)


def test_json_values_that_are_no_text_are_refused(world: World) -> None:
    body = json.dumps({"login": "fry", "password": ["x"]})
    response = autologin(world.service, body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["message"]) == (400, "Bad request invalid password parameter")


def test_the_query_string_is_not_read_and_get_is_refused(world: World) -> None:
    assert autologin(world.service, {}, params=FRY).status_code == 400
    answer = requests.get(f"{world.service.url}/API/auth/autologin", params=FRY, timeout=30)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_form_that_cannot_be_read_is_refused(world: World) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for data in (b"login=%ff%fe", b"\xff\xfe", b"&".join(b"a=1" for _ in range(100))):
        assert autologin(world.service, data, headers=kind).status_code == 400


# --- a pyos of its own ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def silver(world: World, start_world: Callable[..., Service]) -> Service:  # type: ignore[misc]
    """Execute classes may be asked for; autologin is as shipped; the scope of a token must be the one asked for."""
    service = start_world(
        world.certified,
        world.obedient,
        free_port(),
        **{
            "desktop.features_permissions": ["read", "submit"],
            "executeclasses": {"default": {}, "silver": {}},
            "OAUTHLIB_RELAX_TOKEN_SCOPE": None,
            "memcacheserver": "local",
        },
    )
    with service:
        yield service


def encoded(features: object) -> str:
    return base64.b64encode(json.dumps(features).encode()).decode()


def test_autologin_is_denied_unless_the_configuration_allows_it(silver: Service) -> None:
    response = autologin(silver, FRY)
    assert (response.status_code, response.json()["message"]) == (400, "request is denied by configfile")


def test_features_in_place_of_the_state_choose_an_execute_class_once(silver: Service, world: World) -> None:
    login = world.obedient.user("silver", userinfo={**LEELA, "id": 7})
    with Browser(silver.url) as browser:
        link = changed(browser.link("hub"), state=encoded({"executeclassname": "silver"}))
        back = browser.sign_in(link, login)
        cookie = browser.http.cookies["abcdesktop_oauth"]
        response = browser.come_back(back, HTML)
        assert claims_of(token_of(response))["auth"]["data"]["labels"]["executeclassname"] == "silver"
        assert response.headers["Set-Cookie"].startswith("abcdesktop_oauth=; Max-Age=0; Path=/API/auth/")
        again = browser.sign_in(link, login)
        replay = requests.get(again, headers={"Accept": JSON, "Cookie": f"abcdesktop_oauth={cookie}"}, timeout=30)
        assert refused(replay) == "this login was already used, please try again"
        assert token_of(browser.try_login("hub", login, HTML))


def test_features_without_the_cookie_and_unknown_classes_are_refused(silver: Service, world: World) -> None:
    login = world.obedient.user("gold", userinfo={**LEELA, "id": 8})
    with Browser(silver.url) as browser, Browser(silver.url) as stranger:
        link = changed(browser.link("hub"), state=encoded({"executeclassname": "gold"}))
        back = browser.sign_in(link, login)
        assert "not started in this browser" in refused(stranger.come_back(back, JSON))
        assert refused(browser.come_back(back, JSON)) == "bad parameters features, executeclassname is unknown"


def test_another_scope_than_asked_for_is_refused_unless_relaxed(silver: Service, world: World) -> None:
    login = world.obedient.user("strict", userinfo=LEELA, answered={"scope": "read:user gist"})
    with Browser(silver.url) as browser:
        assert "another scope" in refused(browser.try_login("hub", login))
    login = world.obedient.user("same", userinfo=LEELA, answered={"scope": "read:user"})
    with Browser(silver.url) as browser:
        assert browser.try_login("hub", login, HTML).status_code == 200
