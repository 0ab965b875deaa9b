"""What makes a provider an Active Directory, what its keys mean, and binds in several steps."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest

from oc.auth.directory.servers import parse_server
from oc.auth.directory.session import NotPermittedError, RefusedError, Session
from oc.auth.directory.transport import ServerFailedError
from oc.auth.managers import Managers
from oc.auth.providers import ProviderContext, ProviderError
from oc.auth.providers.activedirectory import ActiveDirectoryProvider
from oc.auth.providers.explicit import make_explicit
from oc.auth.providers.ldap import LdapProvider
from oc.auth.providers.lookup import LookupProvider, make_implicit
from oc.errors import AuthenticationError, InvalidCredentialsError
from oc.od.settings import settings_from_mapping

PLAIN = {"servers": ["ldaps://ldap.example.test"], "ldap_basedn": "dc=example,dc=test"}
DOMAIN = {**PLAIN, "domain": "planet"}


def made(given: dict[str, Any]) -> LdapProvider:
    provider = make_explicit("planet", given, ProviderContext())
    assert isinstance(provider, LdapProvider)
    return provider


def test_the_key_domain_makes_an_active_directory() -> None:
    assert type(made(PLAIN)) is LdapProvider
    assert made({**PLAIN, "domain": ""}).providertype == "ldap"
    provider = made({**DOMAIN, "type": "anything"})
    assert isinstance(provider, ActiveDirectoryProvider)
    assert (provider.providertype, provider.domain) == ("activedirectory", "PLANET")


def test_the_filter_of_a_domain_is_the_key_filter() -> None:
    given = {**DOMAIN, "user_filter": "(cn=%s)"}
    assert made(given)._users.filter == "(&(objectClass=user)(sAMAccountName=%s))"
    assert made({**given, "filter": "(uid=%s)"})._users.filter == "(uid=%s)"


def test_a_domain_without_servers_is_its_name() -> None:
    given = {**DOMAIN, "servers": [], "domain_fqdn": "planet.example.test"}
    assert [str(s) for s in made(given)._directory.servers.order()] == ["ldap://planet.example.test:389"]
    secure = made({**given, "ldap_protocol": "ldaps"})
    assert [str(s) for s in secure._directory.servers.order()] == ["ldaps://planet.example.test:636"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"auth_type": "KERBEROS"}, "kerberos_realm"),
        ({"auth_type": "KERBEROS", "kerberos_realm": {"other": "OTHER.TEST"}}, "kerberos_realm"),
        ({"servers": None}, "servers or domain_fqdn"),
        ({"site_subnetdn": "nowhere"}, "site_subnetdn"),
        ({"site_filter": "(cn=%s)"}, "site_filter"),
        ({"exec_timeout": "soon"}, "exec_timeout"),
    ],
)
def test_a_domain_that_cannot_work_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ProviderError, match=named):
        made({**DOMAIN, **change})


def test_simple_and_ntlm_refuse_to_end_before_the_directory_is_read() -> None:
    for auth_type in ("SIMPLE", "NTLM"):
        provider = made({**DOMAIN, "auth_type": auth_type, "auth_only": True})
        with pytest.raises(AuthenticationError, match="auth_only is not possible"):
            provider._ready_method()


def test_a_look_up_needs_a_service_account() -> None:
    given = {**DOMAIN, "useExplicitIdentityProvider": True}
    with pytest.raises(ProviderError, match="serviceaccount"):
        make_implicit("sslclient", given, ProviderContext())
    account = {"login": "svc", "password": "secret"}
    provider = make_implicit("sslclient", {**given, "serviceaccount": account}, ProviderContext())
    assert isinstance(provider, LookupProvider)
    assert (provider.direct, provider.takes_credentials) == (False, False)
    assert "secret" not in repr(provider.public())


def test_the_default_domain_of_the_page_is_a_provider_s_name_also_when_a_domain_is_configured() -> None:
    explicit = {
        "default_domain": "mars",
        "providers": {"first": {**DOMAIN, "default": True}, "second": {**DOMAIN, "domain": "MARS"}},
    }
    settings = settings_from_mapping({"desktop.pod": {}, "authmanagers": {"explicit": explicit}}, {})
    managers = Managers(settings.auth.managers, ProviderContext())
    [public] = [manager for manager in managers.public()["managers"] if manager["name"] == "explicit"]
    assert public["default_domain"] == "second"


def test_a_login_keeps_its_own_domain_only() -> None:
    provider = made(DOMAIN)
    assert isinstance(provider, ActiveDirectoryProvider)
    assert provider.account_name("Planet\\fry") == "fry"
    assert provider.account_name("fry") == "fry"
    with pytest.raises(InvalidCredentialsError, match="Invalid domain"):
        provider.account_name("mars\\fry")


# --- binds in several steps -------------------------------------------------------------------------------------------


class Scripted(Session):
    """A connection whose server answers by a script: result code and data."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.address = parse_server("ldaps://dc.example.test")
        self.connection = SimpleNamespace(sasl_in_progress=False, request=None, bound=False)
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def _bind_step(self, mechanism: str, token: bytes) -> dict[str, Any]:
        self.sent.append(token)
        code, data = self.answers.pop(0)
        return {"result": code, "description": "x", "message": "m", "saslCreds": data}


def two_steps() -> Generator[bytes, bytes, None]:
    answer = yield b"hello"
    yield b"proof of " + answer


def test_a_bind_in_steps_ends_when_both_sides_have_said_all() -> None:
    session = Scripted((14, b"nonce"), (0, b""))
    session.bind_dialogue("GSS-SPNEGO", two_steps())
    assert session.sent == [b"hello", b"proof of nonce"]
    assert session.connection.bound is True
    assert session.connection.sasl_in_progress is False


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([(0, b"")], ServerFailedError),
        ([(14, b"nonce"), (14, b"more")], ServerFailedError),
        ([(14, b"nonce"), (49, b"")], RefusedError),
        ([(49, b"")], RefusedError),
        ([(7, b"")], NotPermittedError),
        ([(14, b"nonce"), (8, b"")], NotPermittedError),
        ([(52, b"")], ServerFailedError),
    ],
    ids=["success too early", "no end", "refused", "refused at once", "unknown mechanism", "needs signing", "busy"],
)
def test_any_other_end_is_no_login(answers: list[tuple[int, bytes]], error: type[Exception]) -> None:
    session = Scripted(*answers)
    with pytest.raises(error):
        session.bind_dialogue("GSS-SPNEGO", two_steps())
    assert session.connection.bound is False
    assert session.connection.sasl_in_progress is False
