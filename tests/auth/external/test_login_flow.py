"""Users of real providers log in through HTTP: pages, token, desktop, labels, secrets, history."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from devstack.service import Service, free_port
from devstack.stack import Stack
from tests.auth.test_auth_on_stack import secrets_of
from tests.support import Api
from tests.waiting import eventually

from .conftest import World
from .support import HTML, JSON, Browser, changed, parameter, refused, token_of


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_the_login_page_gets_a_link_with_state_nonce_and_challenge(world: World, browser: Browser) -> None:
    response = browser.config()
    [external] = [manager for manager in response.json()["managers"] if manager["name"] == "external"]
    planet = external["providers"][0]
    assert planet["name"] == "planet"
    assert (planet["displayname"], planet["type"]) == ("Planet Express", "oauth")
    assert planet["explicitproviderapproval"] == "directory"
    link = urlsplit(planet["dialog_url"])
    query = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert f"{link.scheme}://{link.netloc}" == world.certified.issuer
    assert query["redirect_uri"] == f"{world.service.url}/API/auth/oauth?manager=external&provider=planet"
    assert (query["response_type"], query["client_id"], query["scope"]) == ("code", "desktop", "openid profile email")
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == len(query["nonce"]) == 43
    assert query["state"] == planet["state"]
    assert world.certified.client_secret not in response.text
    assert response.headers["Cache-Control"] == "no-cache, private"


def test_a_provider_that_cannot_be_discovered_is_not_offered(browser: Browser) -> None:
    managers = browser.config().json()["managers"]
    names = [entry["name"] for manager in managers for entry in manager["providers"]]
    assert "away" not in names
    assert {"planet", "hub", "open", "anonymous"} <= set(names)


def test_the_cookie_is_for_the_login_routes_only_and_no_script_reads_it(browser: Browser) -> None:
    header = browser.config().headers["Set-Cookie"]
    value, *attributes = header.split("; ")
    assert value.startswith("abcdesktop_oauth=")
    assert attributes == ["Max-Age=600", "Path=/API/auth/", "HttpOnly", "SameSite=Lax"]


def test_two_calls_of_one_browser_give_two_states_that_both_work(browser: Browser) -> None:
    first, second = browser.link("planet"), browser.link("planet")
    assert parameter(first, "state") != parameter(second, "state")
    assert parameter(first, "code_challenge") != parameter(second, "code_challenge")
    for link in (first, second):
        assert browser.come_back(browser.sign_in(link, "fry")).status_code == 200


def test_a_user_of_the_certified_provider_gets_a_desktop_with_labels_and_secrets(
    world: World, browser: Browser, stack: Stack
) -> None:
    token = browser.log_in("planet", "kif")
    claims = claims_of(token)
    assert claims["user"] == {"name": "Kif Kroker", "userid": "kif"}
    assert claims["auth"]["provider"] == "planet"
    assert claims["auth"]["providertype"] == "oauth"
    assert claims["auth"]["data"]["labels"]["shipcrew"] == "true"
    assert "admins" not in claims["auth"]["data"]["labels"]
    assert set(claims["roles"]) == {"ship_crew", "delivery"}
    with Api(world.service.url, token=token) as api:
        whoami = api.post("user/whoami").json()
        assert (whoami["userid"], whoami["name"], whoami["provider"]) == ("kif", "Kif Kroker", "planet")
        api.result("composer/launchdesktop")
        path = f"/api/v1/namespaces/{stack.namespace}/pods?labelSelector=access_userid%3Dkif"
        [pod] = stack.cluster_admin("GET", path)["items"]
        labels = pod["metadata"]["labels"]
        assert (labels["access_provider"], labels["access_providertype"]) == ("planet", "oauth")
        assert labels["shipcrew"] == "true"
        assert "admins" not in labels
        secrets = secrets_of(stack, "kif")
        assert secrets["posixaccount"]["uidNumber"] == "1025"
        assert secrets["localaccount"]["passwd"].startswith("kif:x:1025:1026:")
        assert secrets["ldif"]["email"] == "kif@doop.example"
        history = eventually(lambda: api.result("store/getcollection", {"key": "loginHistory"}))
        assert (history[-1]["provider"], history[-1]["type"]) == ("planet", "login")
        assert api.result("auth/logout") == {"url": "/"}
        assert secrets_of(stack, "kif") == {}


def test_a_user_of_a_plain_oauth_service_gets_a_desktop(world: World, browser: Browser, stack: Stack) -> None:
    login = world.obedient.user("amy", userinfo={"id": 4711, "name": "Amy Wong", "groups": ["ship_crew"]})
    token = browser.log_in("hub", login)
    userid = claims_of(token)["user"]["userid"]
    with Api(world.service.url, token=token) as api:
        api.result("composer/launchdesktop")
        path = f"/api/v1/namespaces/{stack.namespace}/pods?labelSelector=access_userid%3D{userid}"
        [pod] = stack.cluster_admin("GET", path)["items"]
        labels = pod["metadata"]["labels"]
        assert (labels["access_provider"], labels["shipcrew"]) == ("hub", "true")
        assert api.result("auth/logout") == {"url": "/"}
        assert secrets_of(stack, userid) == {}


def test_groups_decide_about_labels(browser: Browser) -> None:
    labels = claims_of(browser.log_in("planet", "hermes"))["auth"]["data"]["labels"]
    assert "shipcrew" not in labels
    assert labels["admins"] == "true"


def test_es256_and_credentials_in_the_body_work_and_a_verified_address_is_a_user_id(browser: Browser) -> None:
    claims = claims_of(browser.log_in("planet-post", "fry"))
    assert claims["auth"]["provider"] == "planet-post"
    assert claims["user"]["userid"].startswith("fry-planetexpress-com-h")


def test_another_user_s_unverified_address_is_no_user_id(browser: Browser) -> None:
    message = refused(browser.try_login("planet-post", "zapp"))
    assert message == "the identity provider has not verified the user's e-mail address"


def test_an_address_without_a_word_about_verification_is_no_user_id(browser: Browser) -> None:
    assert "not verified" in refused(browser.try_login("planet-post", "hermes"))


def test_ids_that_look_alike_after_cleaning_are_three_users(world: World) -> None:
    ids = set()
    for login in ("a.b", "a-b", "A.B"):
        with Browser(world.service.url) as one:
            ids.add(claims_of(one.log_in("planet", login))["user"]["userid"])
    assert len(ids) == 3
    assert "a-b" in ids
    assert all(re.fullmatch(r"[a-z0-9-]{1,63}", userid) for userid in ids)


def test_identity_tokens_keyed_with_the_client_secret_are_refused(browser: Browser) -> None:
    assert "algorithm that is not accepted" in refused(browser.try_login("planet-hs", "fry"))


def test_a_user_who_cancels_at_the_provider_is_told_so(browser: Browser) -> None:
    back = browser.sign_in(browser.link("planet"), "fry", abort=True)
    assert parameter(back, "error") == "access_denied"
    assert refused(browser.come_back(back, JSON)) == "the identity provider refused the login: access_denied"


def test_the_certified_provider_refuses_a_code_with_another_verifier(browser: Browser) -> None:
    link = changed(browser.link("planet"), code_challenge="A" * 43)
    assert refused(browser.come_back(browser.sign_in(link, "fry"), JSON)).endswith("refused the login: invalid_grant")


def test_a_code_of_somebody_else_is_refused_by_its_verifier(browser: Browser, other_browser: Browser) -> None:
    stolen = parameter(other_browser.sign_in(other_browser.link("planet"), "fry"), "code")
    mine = browser.sign_in(browser.link("planet"), "zapp")
    assert refused(browser.come_back(changed(mine, code=stolen), JSON)).endswith("invalid_grant")


@pytest.mark.parametrize("issuer", ["https://evil.example", "", None])
def test_an_answer_of_another_or_no_issuer_is_refused(browser: Browser, issuer: str | None) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    assert "iss" in parse_qs(urlsplit(back).query)
    message = refused(browser.come_back(changed(back, iss=issuer), JSON))
    assert message == "the answer comes from another identity provider"


def test_a_login_started_at_one_replica_ends_at_another(
    world: World, browser: Browser, start_world: Callable[..., Service]
) -> None:
    # the second replica listens elsewhere, as behind a router: the browser comes back to it with its cookie
    port = int(world.service.url.rpartition(":")[2])
    replica = start_world(world.certified, world.obedient, port)
    replica.port = free_port()
    with replica:
        back = browser.sign_in(browser.link("planet"), "fry")
        elsewhere = back.replace(world.service.url, replica.url)
        assert claims_of(token_of(browser.come_back(elsewhere)))["user"]["userid"] == "fry"
        assert "already used" in refused(browser.come_back(back, JSON))


def test_the_page_hands_the_token_over_as_the_front_end_expects(world: World, browser: Browser) -> None:
    response = browser.try_login("planet", "fry", HTML)
    assert response.headers["Content-Type"] == "text/html;charset=utf-8"
    assert response.headers["Refresh"] == f"5; url={world.service.url}"
    assert response.headers["Cache-Control"] == "no-cache, private"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "Location" not in response.headers
    page = response.text
    assert 'id="loginScreen"' in page
    assert '<script src="/js/jwtstorage.js"></script>' in page
    assert page.index("jwt_user_token") < page.index("/js/jwtstorage.js")
    assert 'default_host_url = "/"' in page
    assert page.count(token_of(response)) == 1


def test_a_browser_gets_a_page_and_a_client_json_when_a_login_fails(browser: Browser) -> None:
    back = browser.sign_in(browser.link("planet"), "fry", abort=True)
    response = browser.come_back(back, HTML)
    assert (response.status_code, response.headers["Content-Type"]) == (401, "text/html;charset=utf-8")
    assert '<a href="/">' in response.text
    assert "access_denied" in response.text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert refused(browser.come_back(back, JSON)) == "this login was already used, please try again"
    assert refused(browser.come_back(back, "*/*")) == "this login was already used, please try again"


def counters(world: World) -> dict[str, int]:
    with Api(world.service.url, world.service.api_key) as api:
        found: dict[str, int] = api.get("accounting/metrics?format=json").json()["login"]
    return found


def test_logins_and_failures_are_counted(world: World, browser: Browser) -> None:
    before = counters(world)
    back = browser.sign_in(browser.link("planet"), "fry")
    assert browser.come_back(back).status_code == 200
    assert browser.come_back(back).status_code == 401
    after = counters(world)
    changes = {name: after[name] - before.get(name, 0) for name in ("success", "failed", "oauth")}
    assert changes == {"success": 1, "failed": 1, "oauth": 1}


def test_external_providers_take_no_direct_login(world: World) -> None:
    with Api(world.service.url) as api:
        answer = api.post("auth/auth", {"provider": "planet", "userid": "fry", "password": "x"})
    assert (answer.status_code, answer.json()["message"]) == (
        401,
        "authentication provider planet accepts no direct login",
    )


def test_neither_codes_nor_tokens_nor_secrets_are_logged(world: World, browser: Browser) -> None:
    link = browser.link("planet")
    back = browser.sign_in(link, "fry")
    token = token_of(browser.come_back(back))
    log = world.service.log_path.read_text()
    secrets = [token, parameter(back, "code"), parameter(back, "state"), parameter(link, "nonce")]
    secrets += [world.certified.client_secret, browser.http.cookies["abcdesktop_oauth"]]
    basic = base64.b64encode(f"desktop:{world.certified.client_secret}".encode()).decode()
    assert [secret for secret in [*secrets, basic] if secret in log] == []
    assert "login of fry by provider planet" in log
