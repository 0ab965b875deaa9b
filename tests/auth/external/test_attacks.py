"""What an attacker, a broken provider or a strange user may send."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
import requests

from tests.peers.oidc import ObedientProvider

from .conftest import World
from .support import HTML, JSON, Browser, changed, parameter, refused, token_of
from .test_login_flow import claims_of

NOT_STARTED = "this login was not started in this browser or took too long, please try again"
USED = "this login was already used, please try again"
LEELA = {"sub": "leela", "id": 42, "name": "Turanga Leela", "groups": ["ship_crew"]}


def successful(response: requests.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return claims_of(token_of(response))


# --- state ------------------------------------------------------------------------------------------------------------


def test_an_answer_is_taken_once(browser: Browser) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    assert browser.come_back(back).status_code == 200
    assert refused(browser.come_back(back, JSON)) == USED


def test_a_state_is_used_up_by_a_login_that_failed(browser: Browser, obedient: ObedientProvider) -> None:
    login = obedient.user("usedup", userinfo=LEELA)
    back = browser.sign_in(browser.link("hub"), login)
    assert "invalid_grant" in refused(browser.come_back(changed(back, code="guess"), JSON))
    assert refused(browser.come_back(back, JSON)) == USED


def test_an_answer_in_another_browser_is_refused(browser: Browser, other_browser: Browser) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    assert refused(other_browser.come_back(back, JSON)) == NOT_STARTED
    other_browser.config()
    assert refused(other_browser.come_back(back, JSON)) == NOT_STARTED
    assert browser.come_back(back).status_code == 200


@pytest.mark.parametrize(
    "state",
    [
        None,
        "",
        "guess",
        "eyJwIjoicGxhbmV0In0.AAAA",
        ".",
        "a.b.c",
        "é",
        "x" * 5000,
        base64.b64encode(json.dumps({"executeclassname": "silver"}).encode()).decode(),
    ],
)
def test_a_missing_or_invented_state_is_refused(browser: Browser, state: str | None) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    assert refused(browser.come_back(changed(back, state=state), JSON)) == NOT_STARTED


@pytest.mark.parametrize("cookie", ["", "guess", "a.b", "x" * 4000, "eyJzIjoieCIsImUiOjk5OTk5OTk5OTl9.AAAA"])
def test_an_invented_cookie_is_refused(browser: Browser, cookie: str) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    response = requests.get(
        back, headers={"Accept": JSON, "Cookie": f"abcdesktop_oauth={cookie}"}, allow_redirects=False, timeout=30
    )
    assert refused(response) == NOT_STARTED


def test_a_state_with_another_payload_under_the_same_signature_is_refused(browser: Browser) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    payload, _, mac = parameter(back, "state").partition(".")
    longer = json.loads(base64.urlsafe_b64decode(payload + "=="))
    longer["e"] += 10_000
    forged = base64.urlsafe_b64encode(json.dumps(longer).encode()).rstrip(b"=").decode()
    assert refused(browser.come_back(changed(back, state=f"{forged}.{mac}"), JSON)) == NOT_STARTED


def test_a_cookie_that_a_neighbour_set_does_not_hide_ours(browser: Browser, other_browser: Browser) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    other_browser.config()
    name = "abcdesktop_oauth"
    both = f"{name}={other_browser.http.cookies[name]}; x=y; {name}={browser.http.cookies[name]}"
    response = requests.get(back, headers={"Accept": HTML, "Cookie": both}, allow_redirects=False, timeout=30)
    assert response.status_code == 200


# --- two providers ----------------------------------------------------------------------------------------------------


def test_an_answer_meant_for_another_provider_is_refused(browser: Browser, obedient: ObedientProvider) -> None:
    obedient.user("mixed", userinfo=LEELA)
    hub = browser.sign_in(browser.link("hub"), "mixed")
    before = obedient.calls("/token")
    # the attacker's provider sends the browser to the honest one's address, to get at its code
    assert refused(browser.come_back(changed(hub, provider="planet"), JSON)) == NOT_STARTED
    planet = browser.sign_in(browser.link("planet"), "fry")
    assert refused(browser.come_back(changed(planet, provider="open"), JSON)) == NOT_STARTED
    assert obedient.calls("/token") == before


def test_an_issuer_that_is_not_the_provider_s_is_refused_before_the_code_is_sent(
    browser: Browser, obedient: ObedientProvider
) -> None:
    login = obedient.user("foreigniss", userinfo=LEELA, answer={"iss": "https://evil.example"})
    before = obedient.calls("/token")
    assert "another identity provider" in refused(browser.try_login("open", login))
    assert obedient.calls("/token") == before


@pytest.mark.parametrize("provider", [None, "", "nobody", "anonymous", "x" * 3000, "../planet"])
def test_an_answer_for_no_external_provider_is_refused(browser: Browser, provider: str | None) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    message = refused(browser.come_back(changed(back, provider=provider), JSON))
    assert "provider" in message
    assert len(message) < 200


def test_nothing_in_the_request_decides_where_the_page_leads(world: World, browser: Browser) -> None:
    evil = "https://evil.example/"
    back = browser.sign_in(browser.link("planet"), "fry")
    address = changed(back, default_host_url=evil, redirect_uri=evil, next=evil, url=evil, manager=evil)
    response = browser.http.get(
        address,
        headers={"Accept": HTML, "X-Forwarded-Host": "evil.example", "Referer": evil, "Origin": evil},
        allow_redirects=False,
        timeout=30,
    )
    assert response.status_code == 200
    assert "evil.example" not in response.text
    assert "evil.example" not in str(response.headers)
    assert response.headers["Refresh"] == f"5; url={world.service.url}"


def test_a_host_header_does_not_change_where_the_provider_sends_users(world: World) -> None:
    response = requests.post(
        f"{world.service.url}/API/auth/getauthconfig",
        json={},
        headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"},
        timeout=30,
    )
    assert response.status_code == 200
    assert "evil.example" not in response.text


@pytest.mark.parametrize(
    "error", ["access_denied", "<script>alert(1)</script>", "x" * 3000, "a\r\nSet-Cookie: b=c", ""]
)
def test_a_provider_s_error_is_shown_without_its_markup(browser: Browser, error: str) -> None:
    back = browser.sign_in(browser.link("planet"), "fry")
    address = changed(back, code=None, error=error, error_description="<b>call 555</b>")
    response = browser.come_back(address, HTML)
    assert response.status_code == 401
    assert "<script" not in response.text
    assert "555" not in response.text
    assert "Set-Cookie" not in response.headers
    assert "refused the login" in response.text


# --- identity tokens --------------------------------------------------------------------------------------------------

NOW = int(time.time())


@pytest.mark.parametrize(
    ("name", "description", "message"),
    [
        ("nonce", {"claims": {"nonce": "another"}}, "belongs to another login"),
        ("nononce", {"claims": {"nonce": None}}, "belongs to another login"),
        ("numnonce", {"claims": {"nonce": 7}}, "belongs to another login"),
        ("issuer", {"claims": {"iss": "https://evil.example"}}, "not acceptable"),
        ("audience", {"claims": {"aud": "another-client"}}, "not acceptable"),
        ("noaudience", {"claims": {"aud": None}}, "not acceptable"),
        ("audiences", {"claims": {"aud": ["client:1", "another"]}}, "issued to another client"),
        ("azp", {"claims": {"azp": "another"}}, "issued to another client"),
        ("expired", {"claims": {"exp": NOW - 3600}}, "not acceptable"),
        ("noexp", {"claims": {"exp": None}}, "not acceptable"),
        ("future", {"claims": {"iat": NOW + 3600}}, "not acceptable"),
        ("notyet", {"claims": {"nbf": NOW + 3600}}, "not acceptable"),
        ("noiat", {"claims": {"iat": None}}, "not acceptable"),
        ("nosub", {"claims": {"sub": None}}, "not acceptable"),
        ("emptysub", {"claims": {"sub": ""}}, "no usable subject"),
        ("longsub", {"claims": {"sub": "s" * 300}}, "no usable subject"),
        ("hash", {"claims": {"at_hash": "AAAA"}}, "access token does not belong"),
        ("none", {"sign": {"alg": "none"}}, "algorithm that is not accepted"),
        ("hs256", {"sign": {"alg": "HS256"}}, "algorithm that is not accepted"),
        ("stranger", {"sign": {"key": "stranger"}}, "not acceptable"),
        ("strangekid", {"sign": {"key": "stranger", "kid": "unknown"}}, "unknown key"),
        ("absent", {"answered": {"id_token": None}}, "sent no identity token"),
        ("garbage", {"answered": {"id_token": "a.b.c"}}, "cannot be read"),
        ("number", {"answered": {"id_token": 5}}, "sent no identity token"),
        ("large", {"answered": {"id_token": "x" * 70_000}}, "sent no identity token"),
    ],
)
def test_a_wrong_identity_token_is_refused(
    browser: Browser, obedient: ObedientProvider, name: str, description: dict[str, Any], message: str
) -> None:
    login = obedient.user(f"idt-{name}", userinfo={"sub": f"idt-{name}", "name": "x"}, **description)
    assert message in refused(browser.try_login("open", login))


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("plain", {}),
        ("list", {"aud": ["client:1"]}),
        ("azp", {"aud": ["client:1", "other"], "azp": "client:1"}),
        ("justover", {"exp": NOW - 5, "iat": NOW - 300}),
        ("clock", {"iat": NOW + 20, "nbf": NOW + 20}),
    ],
)
def test_an_identity_token_within_the_rules_is_taken(
    browser: Browser, obedient: ObedientProvider, name: str, claims: dict[str, Any]
) -> None:
    if "exp" in claims:
        claims = {**claims, "exp": int(time.time()) - 5}
    login = obedient.user(f"good-{name}", userinfo={"sub": f"good-{name}"}, claims=claims)
    assert successful(browser.try_login("open", login, HTML))["user"]["userid"] == f"good-{name}"


def test_claims_of_the_identity_token_count_where_the_user_information_is_silent(
    browser: Browser, obedient: ObedientProvider
) -> None:
    login = obedient.user("tokenonly", userinfo={"sub": "tokenonly"}, claims={"groups": ["ship_crew"], "name": "T"})
    claims = successful(browser.try_login("open", login, HTML))
    assert claims["user"] == {"name": "T", "userid": "tokenonly"}
    assert claims["auth"]["data"]["labels"]["shipcrew"] == "true"


def test_user_information_about_another_user_is_refused(browser: Browser, obedient: ObedientProvider) -> None:
    login = obedient.user("subject", userinfo={"sub": "fry", "name": "Fry"})
    assert "about another user" in refused(browser.try_login("open", login))


# --- answers of the provider ------------------------------------------------------------------------------------------

ANSWERS = {
    "html": ({"type": "text/html", "body": "<html>sorry</html>"}, "no JSON document"),
    "empty": ({"body": ""}, "no JSON document"),
    "list": ({"body": "[1]"}, "no JSON object"),
    "deep": ({"body": '{"a":' * 20_000}, "no JSON document"),
    "nan": ({"body": '{"sub": NaN}'}, "no JSON document"),
    "latin": ({"body": "{}", "type": "application/json; charset=klingon"}, "no JSON document"),
    "huge": ({"body": "{", "size": 3_000_000}, "too large"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("which", ["token", "me"])
def test_an_unusable_answer_fails_the_login(
    browser: Browser, obedient: ObedientProvider, which: str, name: str
) -> None:
    fault, message = ANSWERS[name]
    login = obedient.user(f"bad-{which}-{name}", userinfo=LEELA, **{which: fault})
    assert message in refused(browser.try_login("hub", login))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": 500, "body": "boom", "type": "text/html"}, "refused the login: status 500"),
        ({"status": 400, "body": '{"error": "invalid_grant", "error_description": "s3cret"}'}, "login: invalid_grant"),
        ({"status": 200, "body": '{"error": "bad_verification_code"}'}, "login: bad_verification_code"),
        ({"status": 200, "body": '{"error": "<b>"}'}, "login: status 200"),
        ({"status": 302, "location": "http://127.0.0.1:1/"}, "refused the login: status 302"),
        ({"body": '{"token_type": "bearer"}'}, "sent no access token"),
        ({"body": '{"access_token": 7}'}, "sent no access token"),
        ({"body": '{"access_token": "a b", "token_type": "bearer"}'}, "unusable access token"),
        ({"body": '{"access_token": "a\\nb", "token_type": "bearer"}'}, "unusable access token"),
        ({"body": '{"access_token": "ab", "token_type": "mac"}'}, "of an unknown type"),
    ],
)
def test_a_refused_or_strange_token_request_is_explained_without_details(
    browser: Browser, obedient: ObedientProvider, fault: dict[str, Any], message: str
) -> None:
    login = obedient.user("tokenfault", userinfo=LEELA, token=fault)
    answer = refused(browser.try_login("hub", login))
    assert message in answer
    assert "s3cret" not in answer


@pytest.mark.parametrize("status", [204, 301, 401, 403, 404, 500, 503])
def test_a_refused_user_information_request_names_the_status(
    browser: Browser, obedient: ObedientProvider, status: int
) -> None:
    login = obedient.user(f"me{status}", userinfo=LEELA, me={"status": status, "location": "http://127.0.0.1:1/"})
    message = refused(browser.try_login("hub", login))
    assert (str(status) in message) or status == 204


@pytest.mark.parametrize(
    "userinfo",
    [
        {},
        {"name": "nobody"},
        {"id": None},
        {"id": ""},
        {"sub": "   "},
        {"id": True},
        {"id": {"a": 1}},
        {"sub": ["x"]},
        {"id": "x" * 257},
    ],
)
def test_a_user_without_a_usable_id_is_refused(
    browser: Browser, obedient: ObedientProvider, userinfo: dict[str, Any]
) -> None:
    login = obedient.user("noid", userinfo=userinfo)
    message = refused(browser.try_login("hub", login))
    assert "who the user is" in message or "user id" in message


@pytest.mark.parametrize(
    "posix", [{"uidNumber": 0}, {"uidNumber": "root"}, {"homeDirectory": "/home/../etc"}, {"loginShell": "a:b"}]
)
def test_an_account_that_could_forge_a_line_or_be_root_is_refused(
    browser: Browser, obedient: ObedientProvider, posix: dict[str, Any]
) -> None:
    login = obedient.user("posix", userinfo={**LEELA, **posix})
    assert "the user's account has an unusable" in refused(browser.try_login("hub", login))


def test_more_groups_than_anybody_has_are_refused(browser: Browser, obedient: ObedientProvider) -> None:
    login = obedient.user("groups", userinfo={**LEELA, "groups": [f"group{number}" for number in range(3000)]})
    assert "groups" in refused(browser.try_login("hub", login))


def test_claims_too_large_for_a_token_still_log_in_with_fewer_roles(
    browser: Browser, obedient: ObedientProvider
) -> None:
    groups = ["ship_crew", *(f"a-group-with-a-long-name-{number}" for number in range(1500))]
    document = {**LEELA, "id": "oversize", "groups": groups, "bio": "x" * 100_000, "name": "L" * 5000}
    response = browser.try_login("hub", obedient.user("oversize", userinfo=document), HTML)
    claims = successful(response)
    assert len(token_of(response)) < 8192
    assert claims["auth"]["data"]["labels"]["shipcrew"] == "true"
    assert 0 < len(claims["roles"]) < len(groups)
    assert len(claims["user"]["name"]) <= 256


def test_too_many_fields_are_refused(browser: Browser, obedient: ObedientProvider) -> None:
    login = obedient.user("fields", userinfo={**LEELA, **{f"field{number}": 1 for number in range(600)}})
    assert "too much" in refused(browser.try_login("hub", login))


def test_another_scope_than_asked_for_is_accepted_because_the_shipped_configuration_says_so(
    browser: Browser, obedient: ObedientProvider
) -> None:
    login = obedient.user("scope", userinfo=LEELA, answered={"scope": "read:user,gist"})
    assert successful(browser.try_login("hub", login, HTML))["user"]["userid"] == "42"


# --- plain OAuth 2.0 --------------------------------------------------------------------------------------------------


def test_a_user_of_a_plain_service_is_who_its_user_information_says(
    browser: Browser, obedient: ObedientProvider
) -> None:
    claims = successful(browser.try_login("hub", obedient.user("leela", userinfo=LEELA), HTML))
    assert claims["user"] == {"name": "Turanga Leela", "userid": "42"}
    assert claims["auth"]["data"]["labels"]["shipcrew"] == "true"


def test_the_user_information_is_remapped(browser: Browser, obedient: ObedientProvider) -> None:
    data = {"login": "nibbler", "names": ["Lord", "Nibbler"], "teams": ["admin_staff", 7, None]}
    login = obedient.user("nibbler", userinfo={"sub": "other", "data": data})
    claims = successful(browser.try_login("hub-map", login, HTML))
    assert claims["user"] == {"name": "Nibbler", "userid": "nibbler"}
    assert set(claims["roles"]) == {"admin_staff"}


def test_without_user_information_everybody_is_somebody_new(browser: Browser, obedient: ObedientProvider) -> None:
    login = obedient.user("quiet", userinfo=LEELA)
    users = [successful(browser.try_login("hub-quiet", login, HTML))["user"] for _ in range(2)]
    assert [user["name"] for user in users] == ["anonymous", "anonymous"]
    assert len({user["userid"] for user in users}) == 2


def test_an_unverified_address_is_refused_as_a_user_id_also_in_user_information(
    browser: Browser, obedient: ObedientProvider
) -> None:
    for verified in (False, "false", None, 1, "yes"):
        userinfo = {"sub": "mail", "email": "fry@planetexpress.com", "email_verified": verified}
        assert "not verified" in refused(browser.try_login("open-mail", obedient.user("mail", userinfo=userinfo)))


def test_a_new_signing_key_is_found_and_forged_key_ids_do_not_make_us_ask_again_and_again(
    browser: Browser, obedient: ObedientProvider
) -> None:
    good = obedient.user("rotating", userinfo={"sub": "rotating"})
    successful(browser.try_login("open", good, HTML))
    forged = obedient.user("forger", userinfo={"sub": "forger"}, sign={"key": "stranger", "kid": "invented"})
    before = obedient.calls("/jwks")
    for _ in range(4):
        refused(browser.try_login("open", forged))
    assert obedient.calls("/jwks") - before <= 1
