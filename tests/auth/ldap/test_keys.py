"""The keys of an LDAP provider: every problem is named, nothing secret is shown, doubtful settings are said aloud."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from oc.auth.accounts import AccountDefaults
from oc.auth.managers import Managers
from oc.auth.providers import PROVIDER_MAKERS, ProviderContext, ProviderError
from oc.auth.providers.ldap import LdapProvider
from oc.od.settings import settings_from_mapping

GOOD: dict[str, Any] = {"servers": ["ldaps://ldap.example.com"], "ldap_basedn": "dc=example,dc=com"}


def make(base: Path = Path(), **keys: Any) -> LdapProvider:
    return LdapProvider("planet", {**GOOD, **keys}, ProviderContext(AccountDefaults(password="x"), base))


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"servers": []}, "servers"),
        ({"servers": ["http://x"]}, "servers"),
        ({"servers": ["ldap://h"] * 33}, "servers"),
        ({"servers": 5}, "servers"),
        ({"ldap_basedn": None}, "ldap_basedn"),
        ({"ldap_basedn": "planetexpress"}, "ldap_basedn"),
        ({"users_ou": "people"}, "users_ou"),
        ({"groups_ou": "groups"}, "groups_ou"),
        ({"scope": "EVERYWHERE"}, "scope"),
        ({"group_scope": "x"}, "group_scope"),
        ({"user_filter": "(cn=fry)"}, "user_filter"),
        ({"user_filter": "cn=%s"}, "user_filter"),
        ({"filter": "(&(cn=%s)"}, "filter"),
        ({"group_filter": "(cn=%s)(cn=%s)"}, "group_filter"),
        ({"posixAccount_filter": "(cn=x)"}, "posixAccount_filter"),
        ({"posixAccountGroup_filter": "(gidNumber=1)"}, "posixAccountGroup_filter"),
        ({"posixGroup_filter": "(memberUid=%s)"}, "posixGroup_filter"),
        ({"useruidattr": "uid)(x"}, "useruidattr"),
        ({"usercnattr": "cn=x,ou"}, "usercnattr"),
        ({"memberof_attribut_name": "member of"}, "memberof_attribut_name"),
        ({"ldap_ip_mode": "IP_V5_ONLY"}, "ldap_ip_mode"),
        ({"ldap_timeout": -1}, "ldap_timeout"),
        ({"ldap_timeout": "soon"}, "ldap_timeout"),
        ({"tls_ca_file": "/nonexistent/ca.pem"}, "tls_ca_file"),
        ({"tls_require_cert": "yes"}, "tls_require_cert"),
        ({"serviceaccount": "cn=admin"}, "serviceaccount"),
        ({"serviceaccount": {"login": 5}}, "serviceaccount"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(keys: dict[str, Any], named: str) -> None:
    with pytest.raises(ProviderError) as refused:
        make(**keys)
    assert str(refused.value).startswith(named)
    assert ";" not in str(refused.value), "one mistake, one problem"


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ProviderError) as refused:
        make(servers=["http://x"], scope="NOWHERE", user_filter="(cn=x)", ldap_timeout=-5)
    problems = {problem.partition(":")[0] for problem in str(refused.value).split("; ")}
    assert problems == {"servers", "scope", "user_filter", "ldap_timeout"}


def test_a_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ProviderError, match="tls_ca_file: cannot be used: no certificate in it"):
        make(tmp_path, tls_ca_file="ca.pem")


def test_no_problem_shows_a_secret() -> None:
    with pytest.raises(ProviderError) as refused:
        make(serviceaccount={"login": "cn=admin", "password": 12345678})
    assert "12345678" not in str(refused.value)


def test_a_faulty_provider_leaves_the_others_in_place(caplog: pytest.LogCaptureFixture) -> None:
    tree = {"explicit": {"providers": {"good": GOOD, "faulty": {**GOOD, "scope": "NOWHERE"}, "also": GOOD}}}
    settings = settings_from_mapping({"authmanagers": tree})
    context = ProviderContext(AccountDefaults(password="x"))
    [manager] = [m for m in Managers(settings.auth.managers, context, PROVIDER_MAKERS) if m.name == "explicit"]
    assert list(manager.providers) == ["good", "also"]
    assert "authmanagers.explicit.providers.faulty: the provider is left out: scope" in caplog.text


def test_the_type_is_fixed_because_clients_choose_the_photo_by_it() -> None:
    assert make(type="activedirectory").providertype == "ldap"


def test_both_spellings_of_the_bases_are_read() -> None:
    provider = LdapProvider(
        "planet",
        {"servers": "ldap://localhost", "basedn": "dc=a", "goups_ou": "ou=g,dc=a"},
        ProviderContext(AccountDefaults(password="x")),
    )
    assert provider._groups.base == "ou=g,dc=a"
    assert provider._posix.users_base == "dc=a"


@pytest.mark.parametrize("keys", [{"secure": True}, {"ldap_protocol": "ldaps"}])
def test_bare_host_names_use_tls_when_asked_for(keys: dict[str, Any]) -> None:
    [address] = make(servers=["dc1"], **keys)._directory.servers.servers
    assert (address.tls, address.port) == (True, 636)


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        ({"servers": ["ldap://ldap.example.com"]}, "is not encrypted"),
        ({"tls_require_cert": False}, "tls_require_cert"),
        ({"servers": ["ldap://h"], "start_tls": True, "tls_require_cert": False}, "tls_require_cert"),
        ({"auth_type": "DIGEST"}, "auth_type"),
        ({"auth_only": True}, "auth_only"),
        ({}, ""),
        ({"servers": ["ldap://localhost"]}, ""),
        ({"servers": ["ldap://h"], "start_tls": True}, ""),
    ],
)
def test_what_is_doubtful_is_said_at_the_start(
    keys: dict[str, Any], warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    make(**keys)
    records = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(records) == bool(warning)
    assert all(warning in text and "authmanagers.explicit.providers.planet" in text for text in records)


def test_making_a_provider_opens_no_connection() -> None:
    make(servers=["ldaps://no-such-host.invalid"])
