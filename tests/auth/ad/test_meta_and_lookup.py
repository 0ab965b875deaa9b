"""Meta logins, users named by a site in front, and sites, on a real domain.

One controller stands for both forests: the meta accounts are in an organizational unit of their own, and the entry of
the home account stands for its foreign security principal. A trust between two forests is not tested here.
"""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from devstack.stack import Stack
from tests.peers import samba
from tests.support import Api

from .support import secrets_of

LEELA = {"userid": "turanga.leela", "password": samba.PASSWORDS["leela"]}


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def meta_login(api: Api, **fields: str) -> Any:
    return api.post("auth/auth", {"provider": None, **fields})


def test_a_meta_login_ends_in_the_home_account_with_the_labels_of_both(ad_api: Api, ad_stack: Stack) -> None:
    answer = meta_login(ad_api, **LEELA)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["message"].startswith("a.Authentication on Meta via adtest successful in ")
    claims = claims_of(document["result"]["jwt_user_token"])
    assert claims["user"] == {"name": "Turanga Leela", "userid": "leela"}
    assert claims["auth"]["provider"] == "adtest"
    assert claims["auth"]["data"]["domain"] == samba.DOMAIN
    labels = claims["auth"]["data"]["labels"]
    assert labels["captain"] == labels["metacaptain"] == labels["shipcrew"] == "true"
    assert set(claims["roles"]) == {"ship_crew", "captains"}
    assert "kerberos" in secrets_of(ad_stack, "leela")
    ad_api.token = document["result"]["jwt_user_token"]
    ad_api.result("composer/launchdesktop")
    path = f"/api/v1/namespaces/{ad_stack.namespace}/pods?labelSelector=access_userid%3Dleela"
    [pod] = ad_stack.cluster_admin("GET", path)["items"]
    assert labels.items() <= pod["metadata"]["labels"].items()
    assert ad_api.result("auth/logout") == {"url": "/"}


def test_an_operator_is_told_why_a_domain_user_has_the_labels(ad_api: Api) -> None:
    found = ad_api.manager("POST", "explain", json={"provider": "adtest", "userid": "leela"}).json()
    assert (found["source"], found["permitted"]) == ("directory", True)
    assert {rule["label"]: rule["conditions"][0]["tests"][0]["test"] for rule in found["rules"] if rule["applies"]} == {
        "shipcrew": "memberOf",
        "captain": "memberOf",
        "domainusers": "primarygroupid",
    }
    ad_api.login("adtest", userid="leela", password=samba.PASSWORDS["leela"])
    assert ad_api.result("auth/labels") == found["labels"]
    ad_api.post("auth/logout")


def test_a_meta_login_may_name_its_provider(ad_api: Api) -> None:
    assert ad_api.login("MetaDirectory", **LEELA)["userid"] == "leela"


def test_the_password_is_that_of_the_home_account(ad_api: Api) -> None:
    answer = meta_login(ad_api, userid="turanga.leela", password="Wrong-0ne")
    assert (answer.status_code, answer.json()["message"]) == (401, "invalidCredentials")


@pytest.mark.parametrize("login", ["fry", "leela"])
def test_without_a_home_account_it_is_an_ordinary_login(ad_api: Api, login: str) -> None:
    """fry has a meta account without a home, leela has none at all."""
    answer = meta_login(ad_api, userid=login, password=samba.PASSWORDS[login])
    assert answer.status_code == 200, answer.text
    assert answer.json()["message"].startswith("a.Authentication on adtest successful in ")
    assert "metacaptain" not in claims_of(answer.json()["result"]["jwt_user_token"])["auth"]["data"]["labels"]


def test_a_home_that_no_provider_serves_is_refused(ad_api: Api) -> None:
    answer = meta_login(ad_api, userid="lost.meta", password="Some-passw0rd")
    assert answer.status_code == 401
    assert answer.json()["message"].startswith("Invalid domain")


def test_the_meta_provider_s_acl_can_refuse_what_the_home_would_permit(ad_api: Api) -> None:
    bender = {"password": samba.PASSWORDS["bender"]}
    assert ad_api.post("auth/auth", {"provider": "adtest", "userid": "bender", **bender}).status_code == 200
    answer = meta_login(ad_api, userid="bender.meta", **bender)
    assert (answer.status_code, answer.json()["message"]) == (401, "Access is denied by security policy")


# --- named by a site in front -----------------------------------------------------------------------------------------


def named(api: Api, userid: str, provider: str = "sslclient-directory") -> Any:
    return api.get(f"auth/logmein?provider={provider}&userid={userid}", headers={"Accept": "application/json"})


def test_a_user_named_by_the_site_in_front_is_looked_up_and_gets_a_desktop(ad_api: Api, ad_stack: Stack) -> None:
    answer = named(ad_api, "leela")
    assert answer.status_code == 200, answer.text
    ad_api.token = answer.json()["result"]["jwt_user_token"]
    claims = claims_of(str(ad_api.token))
    assert claims["user"] == {"name": "Turanga Leela", "userid": "leela"}
    assert claims["auth"]["providertype"] == "activedirectory"
    assert claims["auth"]["data"]["labels"]["captain"] == "true"
    assert ad_api.result("composer/launchdesktop")["authorization"]
    secrets = secrets_of(ad_stack, "leela")
    assert secrets["ldif"]["mail"] == b"leela@planetexpress.com"
    ad_api.result("auth/logout")


def test_an_asserted_user_whom_the_directory_does_not_know_is_refused(ad_api: Api) -> None:
    answer = named(ad_api, "nobody")
    assert (answer.status_code, answer.json()["message"]) == (401, "the user is not in the directory")


@pytest.mark.parametrize("userid", ["*", "fry)(cn=*", "f%2A", "a b"])
def test_an_asserted_user_cannot_be_a_pattern(ad_api: Api, userid: str) -> None:
    assert named(ad_api, userid).status_code == 401


def test_the_look_up_provider_takes_no_password(ad_api: Api) -> None:
    fry = {"userid": "fry", "password": samba.PASSWORDS["fry"]}
    assert ad_api.post("auth/auth", {"provider": "sslclient-directory", **fry}).status_code == 401


# --- sites ------------------------------------------------------------------------------------------------------------


def test_a_private_address_is_located_by_the_longest_subnet_of_the_user_s_domain(ad_api: Api) -> None:
    assert ad_api.manager("GET", "updateactivedirectorysite").json() is None
    ad_api.login("adtest", userid="fry", password=samba.PASSWORDS["fry"])
    place = ad_api.result("user/getlocation")["user"]
    assert (place["site"], place["location"]) == ("New New York", "New New York")
    assert (place["subnet"], place["datasource"]) == ("127.0.0.0/24", "activedirectory")
    assert place["ipAddr"] == "127.0.0.1"


def test_users_of_no_domain_are_not_located_by_its_sites(ad_api: Api) -> None:
    ad_api.login("anonymous")
    assert ad_api.result("user/getlocation")["user"]["site"] is None
