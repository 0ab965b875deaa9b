"""Users of a real domain log in over HTTP, by each way to bind, and get a desktop."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from devstack.service import Service
from devstack.stack import Stack
from oc.auth.directory.dialogues import gssapi_available
from tests.peers import samba
from tests.support import Api

from .support import providers, secrets_of

FRY = {"userid": "fry", "password": samba.PASSWORDS["fry"]}
LEELA = {"userid": "leela", "password": samba.PASSWORDS["leela"]}
NEEDS_GSSAPI = pytest.mark.skipif(not gssapi_available(), reason="needs the Python package gssapi")
BOUND = ("adtest", "starttls", "found", "named", "ntlm", pytest.param("kerberos", marks=NEEDS_GSSAPI))


def claims_of(api: Api) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(str(api.token), options={"verify_signature": False})
    return claims


@pytest.mark.parametrize("provider", BOUND)
def test_each_way_to_bind_gives_the_same_user_with_groups_and_labels(ad_api: Api, provider: str) -> None:
    answer = ad_api.login(provider, **FRY)
    assert (answer["userid"], answer["name"], answer["provider"]) == ("fry", "Philip J. Fry", "activedirectory")
    claims = claims_of(ad_api)
    assert claims["roles"] == {"ship_crew": None}
    auth = claims["auth"]
    assert isinstance(auth, dict)
    assert auth["data"]["domain"] == samba.DOMAIN
    assert auth["data"]["labels"] == {"shipcrew": "true", "domainusers": "true", "ipsource": "127.0.0.1"}


@pytest.mark.parametrize("provider", [*BOUND, "ticketonly"])
@pytest.mark.parametrize("login", ["fry", "nobody-of-this-name"])
def test_a_wrong_password_and_an_unknown_login_are_refused_alike(ad_api: Api, provider: str, login: str) -> None:
    answer = ad_api.post("auth/auth", {"provider": provider, "userid": login, "password": "Wrong-0ne"})
    expected = "invalidCredentials"
    if provider in ("kerberos", "ticketonly"):
        expected = "kerberos credentitials validation failed Major (851968): "
    assert answer.status_code == 401
    assert answer.json()["message"].startswith(expected)
    assert "Wrong-0ne" not in answer.text


def test_the_user_gets_a_desktop_with_the_secrets_of_the_directory(ad_api: Api, ad_stack: Stack) -> None:
    ad_api.login("adtest", **LEELA)
    labels = ad_api.result("auth/labels")
    assert labels["captain"] == "true"
    secrets = secrets_of(ad_stack, "leela")
    assert set(secrets) >= {"ldif", "localaccount", "kerberos"}
    ldif = secrets["ldif"]
    assert ldif["homeDirectory"] == b"//NAS/leela"
    assert ldif["profilePath"] == b"//NAS/profiles/leela"
    assert ldif["objectSid"].startswith(b"S-1-5-21-")
    assert ldif["thumbnailPhoto"].startswith(b"\xff\xd8")
    assert not any("pwd" in key.lower() and key != "pwdLastSet" for key in ldif)
    desktop = ad_api.result("composer/launchdesktop")
    assert desktop["target_ip"] or desktop["websocketrouting"]
    path = f"/api/v1/namespaces/{ad_stack.namespace}/pods?labelSelector=access_userid%3Dleela"
    [pod] = ad_stack.cluster_admin("GET", path)["items"]
    assert pod["metadata"]["labels"]["captain"] == "true"
    whoami = ad_api.post("user/whoami").json()
    assert (whoami["userid"], whoami["mail"]) == ("leela", "leela@planetexpress.com")
    assert whoami["photo"]
    ad_api.result("auth/logout")
    assert secrets_of(ad_stack, "leela") == {}


@pytest.mark.parametrize("provider", BOUND)
def test_each_way_to_bind_ends_in_a_desktop(ad_api: Api, ad_stack: Stack, provider: str) -> None:
    ad_api.login(provider, **FRY)
    ad_api.result("composer/launchdesktop")
    path = f"/api/v1/namespaces/{ad_stack.namespace}/pods?labelSelector=access_userid%3Dfry"
    pods = [pod["metadata"]["labels"] for pod in ad_stack.cluster_admin("GET", path)["items"]]
    assert [(labels["access_provider"], labels["shipcrew"]) for labels in pods] == [(provider, "true")]
    ad_api.result("auth/logout")


def test_the_keytab_of_the_secret_gives_a_ticket_without_a_password(
    ad_api: Api, ad_stack: Stack, controller: samba.DomainController, tmp_path: Path
) -> None:
    ad_api.login("adtest", **FRY)
    secret = secrets_of(ad_stack, "fry")["kerberos"]
    assert (secret["PRINCIPAL"], secret["REALM"]) == (b"FRY", samba.REALM.encode())
    assert secret["krb5_conf"] == controller.krb5_conf.read_bytes()
    keytab, conf, cache = tmp_path / "keytab", tmp_path / "krb5.conf", tmp_path / "cache"
    keytab.write_bytes(secret["keytab"])
    conf.write_bytes(secret["krb5_conf"])
    principal = f"{secret['PRINCIPAL'].decode()}@{secret['REALM'].decode()}"
    subprocess.run(
        ["kinit", "-k", "-t", str(keytab), "-c", str(cache), principal],
        env={"KRB5_CONFIG": str(conf), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        timeout=20,
    )
    assert cache.stat().st_size > 0


def test_groups_of_groups_are_roles_when_wanted_also_in_a_circle(ad_api: Api) -> None:
    ad_api.login("nested", **LEELA)
    roles = claims_of(ad_api)["roles"]
    assert isinstance(roles, dict)
    assert set(roles) == {"ship_crew", "employees", "everybody", "captains"}
    assert ad_api.result("auth/labels")["captain"] == "true"


def test_a_ticket_alone_logs_in_where_the_directory_is_not_to_be_read(ad_api: Api) -> None:
    answer = ad_api.post("auth/auth", {"provider": "ticketonly", **FRY}).json()
    assert answer["result"]["userid"] == "fry"
    assert answer["message"].startswith(f"a.Authentication on {samba.REALM} successful in ")


def test_the_success_message_names_the_domain_for_ntlm(ad_api: Api) -> None:
    answer = ad_api.post("auth/auth", {"provider": "ntlm", **FRY}).json()
    assert answer["message"].startswith(f"a.Authentication on {samba.DOMAIN} successful in ")


@pytest.mark.parametrize("userid", ["ADTEST\\fry", "adtest\\fry"])
def test_the_prefix_of_the_provider_s_own_domain_is_taken_off(ad_api: Api, userid: str) -> None:
    assert ad_api.login("adtest", userid=userid, password=FRY["password"])["userid"] == "fry"


def test_the_prefix_of_another_domain_is_refused(ad_api: Api) -> None:
    answer = ad_api.post("auth/auth", {"provider": "adtest", "userid": "OTHER\\fry", "password": FRY["password"]})
    assert (answer.status_code, answer.json()["message"]) == (401, "Invalid domain")


@pytest.mark.parametrize(
    ("login", "password", "message"),
    [
        ("x" * 21, "p", "Unsafe login credentials"),
        ("fry)(cn=*", "p", "Unsafe login credentials"),
        ("", "p", "Unsafe login credentials"),
        ("   ", "p", "Unsafe login credentials"),
        ("fry", "", "Unsafe password credentials"),
        ("fry", "a\nb", "Unsafe password credentials"),
    ],
)
def test_what_no_account_can_have_is_refused_with_the_texts_the_page_knows(
    ad_api: Api, login: str, password: str, message: str
) -> None:
    answer = ad_api.post("auth/auth", {"provider": "adtest", "userid": login, "password": password})
    assert (answer.status_code, answer.json()["message"]) == (401, message)


def test_a_blank_password_never_binds(ad_api: Api) -> None:
    answer = ad_api.post("auth/auth", {"provider": "adtest", "userid": "fry", "password": "   "})
    assert answer.status_code == 401


def test_a_controller_that_refuses_clear_text_lets_nobody_in(ad_api: Api) -> None:
    for provider in ("plain", "ntlmplain"):
        answer = ad_api.post("auth/auth", {"provider": provider, **FRY})
        assert (answer.status_code, answer.json()["message"]) == (401, "the directory does not permit this login")


def test_a_certificate_of_an_unknown_authority_stops_the_login_before_the_password_is_sent(ad_api: Api) -> None:
    answer = ad_api.post("auth/auth", {"provider": "untrusted", **FRY})
    assert answer.status_code == 401
    assert answer.json()["message"] == "Can not contact LDAP servers, all servers are unavailable"


def test_no_password_reaches_the_log(ad_api: Api, ad_service: Service) -> None:
    ad_api.post("auth/auth", {"provider": "adtest", **FRY})
    ad_api.post("auth/auth", {"provider": "kerberos", **FRY})
    ad_api.post("auth/auth", {"provider": "ntlm", **FRY})
    log = ad_service.log_path.read_text(errors="replace")
    for secret in (*samba.PASSWORDS.values(), samba.SERVICE[1]):
        assert secret not in log


def test_with_and_without_the_domain_a_login_is_one_for_the_ban(
    start_service: Callable[..., Service], controller: samba.DomainController
) -> None:
    banning = {"enable": True, "failsbeforeban": 3, "banexpireafterseconds": 600, "protectednetworks": ["127.0.0.0/8"]}
    values = {"fail2ban": banning, "authmanagers": providers(controller)}
    service = start_service(values)
    with Api(service.url, service.api_key) as client:
        for userid in ("bender", "ADTEST\\bender", "adtest\\BENDER"):
            answer = client.post("auth/auth", {"provider": "adtest", "userid": userid, "password": "Wrong-0ne"})
            assert answer.json()["message"] == "invalidCredentials"
        for userid in ("bender", "ADTEST\\Bender"):
            right = {"provider": "adtest", "userid": userid, "password": samba.PASSWORDS["bender"]}
            answer = client.post("auth/auth", right)
            assert (answer.status_code, answer.json()["message"]) == (401, "user is banned")
        client.manager("DELETE", "ban/login/bender")


def test_a_user_without_groups_has_no_labels_of_groups(ad_api: Api) -> None:
    """The directory is asked about each group of a rule: it lists this user nowhere."""
    ad_api.login("adtest", userid=samba.SERVICE[0], password=samba.SERVICE[1])
    assert claims_of(ad_api)["roles"] == {}
    labels = ad_api.result("auth/labels")
    assert (labels.get("shipcrew"), labels.get("captain"), labels["domainusers"]) == (None, None, "true")
