"""User routes: the checks of http-api.md 2.9 in their order, over HTTP, with real tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator

import jwt
import pytest

from devstack.keys import KeyFiles, ensure_keys
from oc.auth.tokens import UserTokens
from oc.model.identity import Identity
from oc.od.settings import settings_from_mapping

from .harness import Client, RecordingBans, make_services, serving
from .sample import SampleController

PUBLIC = "203.0.113.9"
FRY = Identity(provider="planet", providertype="ldap", userid="fry", name="Philip J. Fry")


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> KeyFiles:
    return ensure_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def jwt_values(keys: KeyFiles) -> dict[str, object]:
    return {
        "exp": 360,
        "jwtuserprivatekeyfile": str(keys.user_signing.private),
        "jwtuserpublickeyfile": str(keys.user_signing.public),
    }


@pytest.fixture(scope="module")
def tokens(jwt_values) -> UserTokens:
    return UserTokens(settings_from_mapping({"desktop.pod": {}, "jwt_token_user": jwt_values}, {}).jwt_user)


@pytest.fixture
def bans() -> RecordingBans:
    return RecordingBans()


@pytest.fixture
def client(tokens: UserTokens, bans: RecordingBans) -> Iterator[Client]:
    services = make_services({"trusted_proxy_cidr": ["192.0.2.0/24"]}, usertokens=tokens, fail2ban=bans)
    with serving(SampleController(), services=services) as served:
        served.headers["X-Forwarded-For"] = PUBLIC
        yield served


def bearer(token: str) -> dict[str, str]:
    return {"ABCAuthorization": f"Bearer {token}"}


def test_a_valid_token_identifies_its_user(client: Client, tokens: UserTokens, bans: RecordingBans):
    assert client.post("/API/sample/mine", {}, bearer(tokens.issue(FRY))).json["result"] == "fry"
    assert bans.failed == []


def test_a_ban_counts_from_the_next_request_though_the_token_is_known(
    client: Client, tokens: UserTokens, bans: RecordingBans
):
    token = bearer(tokens.issue(FRY))
    assert client.post("/API/sample/mine", {}, token).status == 200
    bans.logins.add("fry")
    assert client.post("/API/sample/mine", {}, token).status == 401
    bans.logins.clear()
    bans.addresses.add(PUBLIC)
    assert client.post("/API/sample/mine", {}, token).status == 401
    bans.addresses.clear()
    assert client.post("/API/sample/mine", {}, token).status == 200


@pytest.mark.parametrize("name", ["abcauthorization", "Abcauthorization", "ABCAUTHORIZATION"])
def test_the_header_name_is_case_insensitive(client: Client, tokens: UserTokens, name):
    headers = {name: f"Bearer {tokens.issue(FRY)}"}
    assert client.post("/API/sample/mine", {}, headers).status == 200


def test_a_missing_token_is_401_and_does_not_count(client: Client, bans: RecordingBans):
    answer = client.post("/API/sample/mine", {})
    assert (answer.status, answer.json["status"]) == (401, 401)
    assert answer.message
    assert bans.failed == []


@pytest.mark.parametrize("prefix", ["", "bearer ", "Bearer", "Basic ", "Bearer\t"])
def test_the_exact_prefix_is_needed(client: Client, tokens: UserTokens, prefix):
    headers = {"ABCAuthorization": prefix + tokens.issue(FRY)}
    assert client.post("/API/sample/mine", {}, headers).status == 401


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "Bearer", "x" * 9000])
def test_garbage_is_401_and_is_charged_to_the_client(client: Client, bans: RecordingBans, token):
    assert client.post("/API/sample/mine", {}, bearer(token)).status == 401
    assert bans.failed == [PUBLIC]


def test_an_expired_token_is_401_and_does_not_count(jwt_values, client: Client, bans: RecordingBans):
    settings = settings_from_mapping({"desktop.pod": {}, "jwt_token_user": jwt_values}, {}).jwt_user
    old = UserTokens(settings, clock=lambda: time.time() - 4000).issue(FRY)
    assert client.post("/API/sample/mine", {}, bearer(old)).status == 401
    assert bans.failed == []


def test_a_foreign_signature_is_401_and_counts(keys: KeyFiles, tokens: UserTokens, client: Client, bans: RecordingBans):
    claims = jwt.decode(tokens.issue(FRY), options={"verify_signature": False})
    forged = jwt.encode(claims, keys.desktop_signing.private.read_bytes(), algorithm="RS256")
    assert client.post("/API/sample/mine", {}, bearer(forged)).status == 401
    assert bans.failed == [PUBLIC]


def test_a_banned_address_is_401_before_anything_else(client: Client, tokens: UserTokens, bans: RecordingBans):
    bans.addresses.add(PUBLIC)
    answer = client.post("/API/sample/mine", {}, bearer(tokens.issue(FRY)))
    assert (answer.status, answer.message) == (401, "ip address is banned")
    assert client.post("/API/sample/mine", {}, bearer("garbage")).message == "ip address is banned"
    assert client.post("/API/sample/enter", {}).message == "ip address is banned"
    assert bans.failed == []


def test_a_banned_login_is_401_after_its_token_was_read(client: Client, tokens: UserTokens, bans: RecordingBans):
    bans.logins.add("fry")
    for route in ("mine", "maybe"):
        answer = client.post(f"/API/sample/{route}", {}, bearer(tokens.issue(FRY)))
        assert (answer.status, answer.message) == (401, "user is banned")


def test_a_spoofed_header_is_401_and_charged_to_the_real_address(
    client: Client, tokens: UserTokens, bans: RecordingBans
):
    headers = {**bearer(tokens.issue(FRY)), "X-Forwarded-For": f"10.0.0.1, {PUBLIC}"}
    for route in ("mine", "enter"):
        answer = client.post(f"/API/sample/{route}", {}, headers)
        assert (answer.status, answer.message) == (401, "spoofed X-Forwarded-For header detected")
    assert bans.failed == [PUBLIC, PUBLIC]


def test_a_listed_outer_proxy_is_accepted(client: Client, tokens: UserTokens):
    headers = {**bearer(tokens.issue(FRY)), "X-Forwarded-For": f"{PUBLIC}, 192.0.2.7"}
    assert client.post("/API/sample/mine", {}, headers).status == 200


def test_an_optional_token_may_be_missing_expired_or_garbage(client: Client, bans: RecordingBans):
    for headers in ({}, bearer("garbage"), {"ABCAuthorization": "nonsense"}):
        assert client.post("/API/sample/maybe", {}, headers).json["result"] is None
    assert bans.failed == []


def test_an_optional_token_is_used_when_it_is_valid(client: Client, tokens: UserTokens):
    assert client.post("/API/sample/maybe", {}, bearer(tokens.issue(FRY))).json["result"] == "fry"


def test_open_routes_ask_nobody_about_bans(client: Client, bans: RecordingBans):
    bans.addresses.add(PUBLIC)
    assert client.get("/API/healthz").body == b"OK"
    assert client.post("/API/sample/echo", {}).status == 200
    assert bans.asked == []


def test_the_guard_refuses_before_the_body_is_read(client: Client):
    answer = client.request("POST", "/API/sample/mine", b"{", {"Content-Type": "text/plain"})
    assert answer.status == 401


def test_without_token_keys_nobody_is_let_in(bans: RecordingBans):
    with serving(SampleController(), services=make_services(fail2ban=bans)) as client:
        assert client.post("/API/sample/mine", {}, bearer("x")).status == 401
