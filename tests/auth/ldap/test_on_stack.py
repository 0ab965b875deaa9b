"""The crew logs in over HTTP: labels, secrets, a desktop on the development cluster, bans, directory secrets later."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from devstack.peers.planetexpress import (
    ADMIN_STAFF,
    PEOPLE,
    PHOTO,
    ROOT_PASSWORD,
    SERVICE_ACCOUNT,
    SHIP_CREW,
    SUFFIX,
    provider,
)
from devstack.peers.slapd import Slapd
from devstack.service import Backends, Service
from devstack.stack import Stack
from oc.auth.sha512crypt import sha512_crypt
from oc.auth.tokens import UserTokens
from oc.model.identity import Identity
from tests.auth.support import UserTokenConfig
from tests.support import Api

from .support import dead_address

BANS = {"enable": True, "failsbeforeban": 3, "banexpireafterseconds": 600, "protectednetworks": ["127.0.0.0/8"]}


def rule(group: str, label: str) -> dict[str, Any]:
    return {"conditions": [{"memberOf": group, "expected": True}], "expected": True, "label": label}


def configuration(slapd: Slapd) -> dict[str, Any]:
    """Keys over the shipped od.config: its directory ``planet``, with other servers, and three more providers."""
    rules = {
        "rule-dummy": {"conditions": [{"boolean": True, "expected": True}], "expected": True, "label": "labeltrue"},
        "rule-ship": rule(SHIP_CREW, "shipcrew"),
        "rule-test": rule(ADMIN_STAFF, "adminstaff"),
    }
    planet = provider(slapd.ldap, rules)
    crew = {
        "servers": [slapd.ldaps],
        "tls_ca_file": str(slapd.ca_file),
        "ldap_basedn": PEOPLE,
        "groups_ou": SUFFIX,
        "user_filter": "(&(objectClass=person)(uid=%s))",
        "serviceaccount": dict(SERVICE_ACCOUNT),
        "policies": {"acl": {"permit": ["shipcrew"]}, "rules": rules},
    }
    return {
        "ldapconfig": {"planet": planet},
        "authmanagers": {
            "explicit": {
                "show_domains": True,
                "providers": {
                    "planet": {"config_ref": "ldapconfig", "enabled": True},
                    "crew": crew,
                    "away": {**planet, "servers": [dead_address()], "default": False},
                    "faulty": {**planet, "servers": []},
                },
            },
            "implicit": {
                "providers": {
                    "anonymous": {"username": "Anonymous"},
                    "front": {"dialog_url": "https://front.example.com/", "explicitproviderapproval": "crew"},
                }
            },
        },
        "fail2ban": BANS,
    }


@pytest.fixture(scope="module")
def planet_service(slapd: Slapd, backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("planet"), backends, overrides=configuration(slapd)) as service:
        yield service


@pytest.fixture
def crew(planet_service: Service) -> Iterator[Api]:
    """A client without a user; whoever it logs in is logged out at the end, bans are lifted."""
    with Api(planet_service.url, planet_service.api_key) as client:
        yield client
        if client.token:
            client.post("auth/logout")
        for collection in ("login", "ipaddr"):
            client.manager("DELETE", f"ban/{collection}")


def secrets_of(stack: Stack, userid: str) -> dict[str, dict[str, bytes]]:
    """Kind of each secret of a user -> its decoded data."""
    path = f"/api/v1/namespaces/{stack.namespace}/secrets?labelSelector=access_userid%3D{userid}"
    return {
        secret["type"].rpartition("/")[2]: {key: base64.b64decode(value) for key, value in secret["data"].items()}
        for secret in stack.cluster_admin("GET", path)["items"]
    }


def claims(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return decoded


def try_login(client: Api, userid: str, password: str, provider: str = "crew", address: str = "") -> tuple[int, str]:
    """Status and message of a login that is not expected to succeed."""
    headers = {"X-Forwarded-For": address, "X-Real-IP": address} if address else {}
    body = {"manager": None, "provider": provider, "userid": userid, "password": password}
    answer = client.post("auth/auth", body, headers=headers)
    return answer.status_code, answer.json()["message"]


def test_fry_logs_in_with_the_labels_and_roles_of_his_groups(crew: Api) -> None:
    body = {"manager": None, "provider": "Planet", "userid": "Philip J. Fry", "password": "fry"}
    answer = crew.post("auth/auth", body)
    document = answer.json()
    assert document["message"].startswith("a.Authentication on planet successful in ")
    assert {**document["result"], "jwt_user_token": ""} == {
        "userid": "fry",
        "name": "Philip J. Fry",
        "provider": "ldap",
        "expire_in": 360,
        "jwt_user_token": "",
    }
    crew.token = document["result"]["jwt_user_token"]
    known = claims(crew.token)
    assert known["roles"] == {"ship_crew": None}
    assert known["auth"]["provider"] == "planet"
    assert known["user"] == {"name": "Philip J. Fry", "userid": "fry"}
    assert crew.result("auth/labels") == {"labeltrue": "true", "shipcrew": "true", "ipsource": "127.0.0.1"}
    assert "fry@planetexpress.com" not in json.dumps(known)


def test_fry_gets_his_secrets_and_a_desktop_and_logout_takes_them_away(stack: Stack, crew: Api) -> None:
    crew.login("crew", userid="fry", password="fry")
    found = secrets_of(stack, "fry")
    assert set(found) == {"ldif", "localaccount", "posixaccount"}

    ldif = found["ldif"]
    assert (ldif["userid"], ldif["name"], ldif["mail"]) == (b"fry", b"Philip J. Fry", b"fry@planetexpress.com")
    assert ldif["jpegPhoto"] == PHOTO
    assert not [key for key in ldif if "assword" in key]

    posix = found["posixaccount"]
    assert (posix["uid"], posix["uidNumber"], posix["gid"]) == (b"fry", b"2042", b"planetexpress")
    assert [group["cn"] for group in json.loads(posix["groups"])] == ["pilots", "drinkers"]

    account = {key: value.decode() for key, value in found["localaccount"].items()}
    assert account["passwd"] == "fry:x:2042:12042:Philip J. Fry:/home/fry:/bin/sh\n"
    assert account["shadow"] == f"fry:{account['sha512']}:19080:0:99999:7:::\n"
    assert account["sha512"] == sha512_crypt("fry", salt=account["sha512"].split("$")[2])
    assert "planetexpress:x:12042:fry" in account["group"].splitlines()
    assert "pilots:x:12050:leela,fry" in account["group"].splitlines()
    assert "pilots:!::leela,fry" in account["gshadow"].splitlines()

    whoami = crew.post("user/whoami").json()
    assert (whoami["userid"], whoami["providertype"], whoami["mail"]) == ("fry", "ldap", "fry@planetexpress.com")
    assert base64.b64decode(whoami["photo"]) == PHOTO

    crew.result("composer/launchdesktop")
    path = f"/api/v1/namespaces/{stack.namespace}/pods?labelSelector=access_userid%3Dfry"
    [pod] = stack.cluster_admin("GET", path)["items"]
    assert pod["metadata"]["labels"]["shipcrew"] == "true"
    assert pod["metadata"]["labels"]["access_provider"] == "crew"
    assert "12050" in json.dumps(pod["spec"])
    assert crew.result("auth/logout") == {"url": "/"}
    crew.token = None
    assert secrets_of(stack, "fry") == {}
    assert [
        pod for pod in stack.cluster_admin("GET", path)["items"] if not pod["metadata"].get("deletionTimestamp")
    ] == []


def test_an_operator_is_told_why_fry_has_his_labels_without_his_password(crew: Api) -> None:
    found = crew.manager("POST", "explain", json={"provider": "crew", "userid": "fry"}).json()
    assert (found["source"], found["userid"], found["permitted"]) == ("directory", "fry", True)
    assert found["roles"] == [SHIP_CREW]
    why = {rule["label"]: (rule["applies"], rule["conditions"][0]["tests"][0]["found"]) for rule in found["rules"]}
    assert why == {"labeltrue": (True, None), "shipcrew": (True, [SHIP_CREW]), "adminstaff": (False, [])}
    crew.login("crew", userid="fry", password="fry")
    assert crew.result("auth/labels") == found["labels"]


@pytest.mark.parametrize(("provider", "userid"), [("crew", "nibbler"), ("crew", "*"), ("away", "fry")])
def test_a_user_who_cannot_be_looked_up_is_not_explained(crew: Api, provider: str, userid: str) -> None:
    answer = crew.manager("POST", "explain", json={"provider": provider, "userid": userid})
    assert answer.status_code == 400
    assert ROOT_PASSWORD not in answer.text


def test_a_changed_password_changes_the_hash(stack: Stack, crew: Api, slapd: Slapd) -> None:
    crew.login("crew", userid="bender", password="bender")
    before = secrets_of(stack, "bender")["localaccount"]["sha512"]
    crew.login("crew", userid="bender", password="bender")
    after = secrets_of(stack, "bender")["localaccount"]["sha512"]
    assert before != after, "each login has a new salt"
    assert secrets_of(stack, "bender")["localaccount"]["passwd"] == b"bender:x:4096:4096::/home/bender:/bin/bash\n"


def test_the_provider_s_access_list_is_asked_after_its_rules(crew: Api) -> None:
    assert try_login(crew, "hermes", "hermes") == (401, "Access is denied by security policy")
    assert crew.login("crew", userid="leela", password="leela")["userid"] == "leela"


def test_the_login_page_knows_the_providers_that_work(crew: Api) -> None:
    config = crew.post("auth/getauthconfig").json()
    explicit = next(manager for manager in config["managers"] if manager["name"] == "explicit")
    assert [provider["name"] for provider in explicit["providers"]] == ["planet", "crew", "away"]
    assert explicit["default_domain"] == "planet"
    assert ROOT_PASSWORD not in json.dumps(config)


def test_a_directory_that_is_away_is_said_to_be_away(crew: Api) -> None:
    answer = try_login(crew, "Philip J. Fry", "fry", provider="away")
    assert answer == (401, "Can not contact LDAP servers, all servers are unavailable")


def test_the_log_holds_no_password(crew: Api, planet_service: Service) -> None:
    for userid in ("fry", "lrrr"):
        try_login(crew, userid, "an-unlikely-password")
    crew.login("crew", userid="fry", password="fry")
    crew.post("user/whoami")
    log = planet_service.log_path.read_text()
    assert "login refused" in log
    assert "an-unlikely-password" not in log
    assert ROOT_PASSWORD not in log
    assert "fry@planetexpress.com" not in log


def test_the_faulty_provider_is_named_in_the_log_with_its_problem(planet_service: Service) -> None:
    assert (
        "authmanagers.explicit.providers.faulty: the provider is left out: servers:"
        in planet_service.log_path.read_text()
    )


# --- wrong passwords --------------------------------------------------------------------------------------------------


def test_a_login_is_banned_after_exactly_three_wrong_passwords_on_every_replica(
    crew: Api, slapd: Slapd, backends: Backends, tmp_path: Path
) -> None:
    with (
        Service(tmp_path / "second", backends, overrides=configuration(slapd)) as other,
        Api(other.url, other.api_key) as elsewhere,
    ):
        for attempt in range(2):
            assert try_login(crew, "zoidberg", f"wrong{attempt}") == (401, "invalidCredentials")
        assert try_login(elsewhere, "zoidberg", "zoidberg") == (401, "Access is denied by security policy")
        assert try_login(elsewhere, "Zoidberg", "wrong") == (401, "invalidCredentials")
        start = slapd.log_size()
        assert try_login(elsewhere, "zoidberg", "zoidberg") == (401, "user is banned")
        assert slapd.requests(start) == [], "a banned login does not reach the directory"


def test_an_address_is_banned_after_exactly_three_wrong_passwords_of_any_user(crew: Api) -> None:
    for userid in ("fry", "leela", "nobody-at-all"):
        assert try_login(crew, userid, "wrong", address="203.0.113.9") == (401, "invalidCredentials")
    assert try_login(crew, "bender", "bender", address="203.0.113.9") == (401, "ip address is banned")
    assert crew.login("crew", userid="bender", password="bender")["userid"] == "bender"


def test_spellings_the_directory_takes_for_one_name_share_one_ban(crew: Api) -> None:
    for spelling in ("Philip J. Fry", "PHILIP  J. FRY ", "Philip J\u2024 Fry"):
        assert try_login(crew, spelling, "wrong", provider="planet") == (401, "invalidCredentials")
    assert try_login(crew, "philip j. fry", "fry", provider="planet") == (401, "user is banned")


def test_a_directory_that_is_away_bans_nobody(crew: Api) -> None:
    for _ in range(4):
        try_login(crew, "amy", "amy", provider="away", address="203.0.113.10")
    assert try_login(crew, "amy", "amy", address="203.0.113.10") == (401, "Access is denied by security policy")


@pytest.mark.parametrize("password", ["", " ", "\0", "\x00fry", "x" * 129, "x" * 256])
def test_a_password_no_user_can_have_is_refused_like_a_wrong_one(crew: Api, password: str) -> None:
    assert try_login(crew, "fry", password) == (401, "invalidCredentials")


def test_a_password_of_ten_kilobytes_is_refused_unread(crew: Api, slapd: Slapd) -> None:
    start = slapd.log_size()
    status, message = try_login(crew, "fry", "x" * 10_240)
    assert status == 400
    assert "x" * 100 not in message
    assert slapd.requests(start) == []


@pytest.mark.parametrize("body", [{}, {"userid": "fry"}, {"password": "fry"}, {"userid": "", "password": "fry"}])
def test_missing_credentials_are_refused_like_wrong_ones(crew: Api, body: dict[str, str]) -> None:
    answer = crew.post("auth/auth", {"provider": "crew", **body})
    assert (answer.status_code, answer.json()["message"]) == (401, "invalidCredentials")


# --- buildsecret ------------------------------------------------------------------------------------------------------


def token_of(stack: Stack, userid: str, provider: str) -> str:
    """What this service issued to a user that a front service named."""
    assert stack.keys is not None
    keys = stack.keys.user_signing
    identity = Identity(provider=provider, providertype=provider, userid=userid, name=userid)
    return UserTokens(UserTokenConfig(keys.private, keys.public)).issue(identity)


def test_buildsecret_turns_an_approved_user_into_one_of_the_directory(stack: Stack, crew: Api) -> None:
    crew.token = token_of(stack, "fry", "front")
    answer = crew.post("auth/buildsecret", {"password": "fry"}).json()
    result = answer["result"]
    assert (answer["status"], answer["message"]) == (200, "Authentication successful")
    assert (result["userid"], result["name"], result["provider"], result["expire_in"]) == (
        "fry",
        "Philip J. Fry",
        "ldap",
        360,
    )
    crew.token = result["jwt_user_token"]
    assert crew.result("auth/labels")["shipcrew"] == "true"
    assert set(secrets_of(stack, "fry")) == {"ldif", "localaccount", "posixaccount"}
    assert set(crew.result("composer/listsecrets")) >= {"abcdesktop/ldif", "abcdesktop/localaccount"}


@pytest.mark.parametrize("password", [5, None, ["fry"], "x" * 10_240])
def test_buildsecret_wants_a_password(stack: Stack, crew: Api, password: object) -> None:
    answer = crew.post("auth/buildsecret", {"password": password}, token=token_of(stack, "fry", "front"))
    assert (answer.status_code, answer.json()["message"]) == (400, "Bad request invalid password parameter")


def test_buildsecret_refuses_and_counts_a_wrong_password(stack: Stack, crew: Api) -> None:
    token = token_of(stack, "leela", "front")
    for _ in range(3):
        answer = crew.post("auth/buildsecret", {"password": "wrong"}, token=token)
        assert (answer.status_code, answer.json()["message"]) == (401, "invalidCredentials")
    answer = crew.post("auth/buildsecret", {"password": "leela"}, token=token)
    assert (answer.status_code, answer.json()["message"]) == (401, "user is banned")


@pytest.mark.parametrize("provider", ["anonymous", "planet", "gone"])
def test_buildsecret_is_for_users_of_approved_providers(stack: Stack, crew: Api, provider: str) -> None:
    answer = crew.post("auth/buildsecret", {"password": "fry"}, token=token_of(stack, "fry", provider))
    assert answer.status_code == 401
    assert provider in answer.json()["message"]


def test_buildsecret_is_for_users(crew: Api) -> None:
    assert crew.post("auth/buildsecret", {"password": "fry"}).status_code == 401
