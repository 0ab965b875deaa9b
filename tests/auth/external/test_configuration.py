"""What the configuration of an external provider may say, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from oc.auth.accounts import AccountDefaults
from oc.auth.external import ExternalLogins, LoginPage
from oc.auth.managers import Managers
from oc.auth.oidc.flow import LoginFlow
from oc.auth.oidc.transport import HttpTransport
from oc.auth.providers import ProviderContext, ProviderError
from oc.auth.providers.external import ExternalProvider
from oc.errors import ExternalAuthLoginError
from oc.od.settings import settings_from_mapping

from .support import parameter

CONTEXT = ProviderContext(AccountDefaults(password="x"))
INSECURE = ProviderContext(AccountDefaults(password="x"), insecure_transport=True)
GOOGLE = {
    "icon": "img/auth/google_icon.svg",
    "displayname": "Google",
    "enabled": True,
    "basic_auth": True,
    "userinfo_auth": True,
    "scope": ["https://www.googleapis.com/auth/userinfo.email", "openid"],
    "client_id": "YYYYYY.apps.googleusercontent.com",
    "client_secret": "XXXXX",
    "redirect_uri_prefix": "https://desktop.example.com/API/auth/oauth",
    "redirect_uri_querystring": "manager=external&provider=google",
    "authorization_base_url": "https://accounts.google.com/o/oauth2/v2/auth",
    "token_url": "https://oauth2.googleapis.com/token",
    "userinfo_url": "https://www.googleapis.com/oauth2/v1/userinfo",
}
"""As in the reference configuration."""


def provider(context: ProviderContext = CONTEXT, **changes: Any) -> ExternalProvider:
    given = {name: value for name, value in {**GOOGLE, **changes}.items() if value is not ...}
    return ExternalProvider("google", given, context)


def link_of(made: ExternalProvider) -> str:
    flow = LoginFlow(b"key")
    link = made.login_link(flow.start(made.name, flow.browser([])))
    assert link is not None
    return link


def test_the_reference_configuration_gives_the_documented_link() -> None:
    link = link_of(provider())
    assert link.startswith("https://accounts.google.com/o/oauth2/v2/auth?response_type=code&client_id=YYYYYY.apps")
    assert parameter(link, "scope") == "https://www.googleapis.com/auth/userinfo.email openid"
    assert parameter(link, "redirect_uri") == (
        "https://desktop.example.com/API/auth/oauth?manager=external&provider=google"
    )
    for name in ("state", "nonce", "code_challenge"):
        assert len(parameter(link, name)) >= 43


def test_the_query_of_the_authorization_endpoint_is_kept() -> None:
    link = link_of(provider(authorization_base_url="https://p.example/auth?prompt=select_account"))
    assert link.count("?") == 1
    assert parameter(link, "prompt") == "select_account"


def test_pkce_can_be_switched_off_for_services_that_refuse_it_and_a_nonce_needs_openid() -> None:
    link = link_of(provider(pkce=False, scope="read:user"))
    assert "code_challenge" not in link
    assert "nonce" not in link
    assert parameter(link, "scope") == "read:user"


def test_without_a_scope_none_is_asked_for() -> None:
    assert "scope=" not in link_of(provider(scope=...))


def test_a_fixed_state_of_the_configuration_is_never_used(caplog: pytest.LogCaptureFixture) -> None:
    link = link_of(provider(state="always-the-same"))
    assert "always-the-same" not in link
    assert "always-the-same" not in caplog.text
    assert "state" in caplog.text


def test_the_redirect_query_has_the_provider_s_name_by_default() -> None:
    made = provider(redirect_uri_querystring=...)
    assert made.client.redirect_uri.endswith("/API/auth/oauth?manager=external&provider=google")


@pytest.mark.parametrize(
    "key", ["client_id", "client_secret", "redirect_uri_prefix", "authorization_base_url", "token_url"]
)
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(ProviderError, match=f"{key}: missing"):
        provider(**{key: ...})


def test_a_provider_s_name_is_encoded_in_its_redirect_address() -> None:
    made = ExternalProvider("a&b c", {**GOOGLE, "redirect_uri_querystring": ""}, CONTEXT)
    assert parameter(made.client.redirect_uri, "provider") == "a&b c"


def login_page_of(*providers: dict[str, Any], context: ProviderContext = CONTEXT) -> LoginPage:
    tree = {"external": {"providers": {f"p{number}": given for number, given in enumerate(providers)}}}
    managers = Managers(settings_from_mapping({"authmanagers": tree}).auth.managers, context)
    return ExternalLogins(managers, LoginFlow(b"key"), replaceable=False).login_page(managers.public(), [])


def test_the_cookie_is_secure_where_users_come_back_by_https() -> None:
    local = {**GOOGLE, "redirect_uri_prefix": "http://127.0.0.1/API/auth/oauth"}
    assert str(login_page_of(GOOGLE).set_cookie).endswith("; HttpOnly; SameSite=Lax; Secure")
    assert str(login_page_of(local, context=INSECURE).set_cookie).endswith("; HttpOnly; SameSite=Lax")


def test_without_external_providers_there_is_no_cookie() -> None:
    assert login_page_of().set_cookie is None


def test_a_hidden_provider_gets_no_link() -> None:
    [manager] = login_page_of(GOOGLE, {**GOOGLE, "showclientdata": False}).config["managers"]
    assert [entry["name"] for entry in manager["providers"]] == ["p0"]


def test_an_issuer_stands_for_the_endpoints() -> None:
    made = provider(issuer="https://p.example", authorization_base_url=..., token_url=..., userinfo_url=...)
    assert made.checks_id_token


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"token_url": "http://p.example/token"}, "token_url"),
        ({"redirect_uri_prefix": "http://desktop.example.com/API/auth/oauth"}, "redirect_uri_prefix"),
        ({"userinfo_url": "file:///etc/passwd"}, "userinfo_url"),
        ({"jwks_url": "https://u:p@p.example/"}, "jwks_url"),
        ({"issuer": "p.example"}, "issuer"),
        ({"discovery_url": "https://p.example/elsewhere"}, "discovery_url"),
        ({"userinfo_url": ..., "userinfo_auth": True}, "userinfo_url"),
        ({"encoding": "klingon"}, "encoding"),
        ({"client_id": 7}, "client_id"),
        ({"userinfomap": {"userid": 7}}, "userinfomap"),
        ({"scope": {"a": 1}}, "scope"),
    ],
)
def test_an_unusable_key_is_named_without_its_value(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ProviderError, match=key) as caught:
        provider(**changes)
    assert "u:p" not in str(caught.value)


def test_http_needs_the_insecure_transport_key() -> None:
    assert provider(INSECURE, token_url="http://127.0.0.1/token") is not None


def test_one_faulty_provider_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    tree = {
        "external": {
            "providers": {"google": GOOGLE, "broken": {**GOOGLE, "client_id": None}, "off": {"enabled": False}}
        }
    }
    settings = settings_from_mapping({"authmanagers": tree})
    found = Managers(settings.auth.managers, CONTEXT).manager("external")
    assert found is not None
    assert list(found.providers) == ["google"]
    assert "broken" in caplog.text
    assert "XXXXX" not in caplog.text


def test_the_issuer_of_an_answer_counts_where_ours_is_known() -> None:
    known = provider(issuer="https://p.example", jwks_url="https://p.example/jwks")
    known.check_issuer("https://p.example")
    known.check_issuer(None)
    for other in ("https://evil.example", "", "https://p.example/"):
        with pytest.raises(ExternalAuthLoginError):
            known.check_issuer(other)
    provider().check_issuer("https://anything.example")


def test_the_login_page_learns_no_secret() -> None:
    text = str(provider(explicitproviderapproval="ad").public())
    assert "XXXXX" not in text
    assert "'explicitproviderapproval': 'ad'" in text
    assert "XXXXX" not in repr(provider().client)


def test_a_private_authority_is_read_from_its_file() -> None:
    with pytest.raises(Exception, match="does not answer"):
        HttpTransport(ca_file="/nonexistent.pem").get("https://127.0.0.1:9/")
