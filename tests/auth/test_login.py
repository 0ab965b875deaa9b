"""A login from request to result: anonymous users, labels, ACL, gates, bans, credentials."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oc.auth import AuthService, LoginRequest, success_message
from oc.auth.accounts import account_from_mapping
from oc.auth.providers import PROVIDER_MAKERS, Account, Attempt, Provider
from oc.auth.sha512crypt import sha512_crypt
from oc.errors import (
    AuthenticationDeniedError,
    AuthenticationError,
    BanAuthUserError,
    InvalidCredentialsError,
    UnavailableError,
)
from oc.model.identity import ClientInfo, Login
from oc.od.settings import settings_from_mapping

from .support import write_templates

CLIENT = ClientInfo("10.0.2.216", useragent="test")
ANONYMOUS = {"implicit": {"providers": {"anonymous": {"username": "Anonymous"}}}}


class FakeDirectory(Provider):
    """Knows one user and one password, and remembers whether its connection was closed."""

    manager: ClassVar[str] = "explicit"
    takes_credentials: ClassVar[bool] = True
    directory: ClassVar[bool] = True
    default_type: ClassVar[str | None] = "ldap"
    default_reduction: ClassVar[str] = "cn"
    asked: ClassVar[list[str]] = []
    open_connections: ClassVar[list[int]] = [0]

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        self.asked.append(str(attempt.userid))
        self.open_connections[0] += 1
        try:
            if attempt.password != "slurm":
                raise InvalidCredentialsError
            attributes = {"uid": "fry", "mail": "fry@planetexpress.com", "title": "boy"}
            posix = {"uid": "fry", "uidNumber": 2042, "gidNumber": 12042} if self.name == "planet" else None
            yield Account(
                userid=str(attempt.userid),
                name="Philip J. Fry",
                attributes=attributes,
                roles=("cn=ship_crew,ou=people,dc=x",),
                posix=account_from_mapping(posix, self.account_defaults) if posix else None,
                password=attempt.password,
                domain="AD",
                claims={"ntlm": {"NTLM_USER": "fry"}},
                protocol={"ntlm": True},
            )
        finally:
            self.open_connections[0] -= 1


class RecordingBans:
    def __init__(self, *banned: str) -> None:
        self.banned = banned
        self.logins: list[str] = []

    def is_banned_login(self, login: str) -> bool:
        return login in self.banned

    def fail_login(self, login: str) -> None:
        self.logins.append(login)


class Sessions:
    """The shared cache as the prelogin gate sees it."""

    def __init__(self, values: dict[str, str], *, available: bool = True) -> None:
        self.values = values
        self.available = available

    def get(self, key: str) -> str | None:
        return self.values.get(key)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., AuthService]:
    write_templates(tmp_path)

    def build(tree: Any = ANONYMOUS, config: dict[str, Any] | None = None, **more: Any) -> AuthService:
        configuration = settings_from_mapping({"authmanagers": tree, **(config or {})})
        makers = {**PROVIDER_MAKERS, "explicit": FakeDirectory}
        return AuthService(configuration, base=tmp_path, makers=makers, **more)

    FakeDirectory.asked.clear()
    FakeDirectory.open_connections[0] = 0
    return build


def planet(**keys: Any) -> dict[str, Any]:
    return {"explicit": {"providers": {"planet": keys, "plain": keys}}}


def ask(service: AuthService, client: ClientInfo = CLIENT, headers: dict[str, str] | None = None, **body: Any) -> Login:
    return service.login(msgspec.convert(body, LoginRequest), client, headers or {})


def test_an_anonymous_login_is_a_new_user_each_time(make: Callable[..., AuthService]) -> None:
    service = make()
    first, second = (ask(service, provider="anonymous") for _ in range(2))
    assert first.identity.userid != second.identity.userid
    assert str(uuid.UUID(first.identity.userid, version=4)) == first.identity.userid
    assert (first.identity.name, first.identity.provider, first.identity.providertype) == (
        "Anonymous",
        "anonymous",
        "anonymous",
    )
    assert first.identity.roles == ()
    assert first.identity.domain is None
    assert first.new_user


def test_a_user_whom_a_site_in_front_named_may_have_been_here_before(make: Callable[..., AuthService]) -> None:
    assert not make().asserted_login("anonymous", "fry", CLIENT, {}).new_user


@pytest.mark.parametrize(
    "body",
    [
        {"userid": "fry"},
        {"userid": "fry", "password": "x"},
        {"userid": "fry", "manager": "implicit"},
        {"userid": "fry", "manager": "explicit"},
    ],
)
def test_the_userid_of_the_request_never_becomes_that_of_an_anonymous_user(
    make: Callable[..., AuthService], body: dict[str, Any]
) -> None:
    login = ask(make(), provider="anonymous", **body)
    assert login.identity.userid != "fry"
    assert uuid.UUID(login.identity.userid).version == 4
    assert "fry" not in str(login.attributes) + str(login.claims)


def test_the_configured_userid_is_ignored_too(make: Callable[..., AuthService]) -> None:
    service = make({"implicit": {"providers": {"anonymous": {"userid": "anonymous"}}}})
    assert ask(service, provider="anonymous").identity.userid != "anonymous"


def test_the_anonymous_account_is_the_documented_one(make: Callable[..., AuthService]) -> None:
    login = ask(make({"implicit": {"providers": {"guest": {"uid": "visitor"}}}}), provider="guest")
    assert login.attributes["posix"] == {
        "cn": "visitor",
        "uid": "visitor",
        "gid": "visitor",
        "uidNumber": 4096,
        "gidNumber": 4096,
        "homeDirectory": "/home/visitor",
        "loginShell": "/bin/bash",
        "description": "abcdesktop anonymous account",
        "groups": [],
        "gecos": "anonymous user",
    }
    claim = login.claims["localaccount"]
    assert claim["passwd"] == "visitor:x:4096:4096:anonymous user:/home/visitor:/bin/bash\n"
    assert claim["shadow"] == f"visitor:{claim['sha512']}:19080:0:99999:7:::\n"
    assert login.identity.name == "guest"


def test_generic_ids_come_from_the_configuration_and_the_provider(make: Callable[..., AuthService]) -> None:
    tree = {"implicit": {"providers": {"a": {"defaultuidNumber": 7000}}}}
    posix = ask(make(tree, {"desktop.groupid": 8000, "desktop.homerootdirectory": "/data"}), provider="a").posix
    assert posix is not None
    assert (posix.uidNumber, posix.gidNumber, posix.homeDirectory) == (7000, 8000, "/data/a")


def test_the_default_password_is_hashed_once_for_all(
    make: Callable[..., AuthService], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    monkeypatch.setattr("oc.auth.providers.base.sha512_crypt", lambda text: hashed.append(text) or f"$6$s$h{text}")
    service = make(config={"desktop.userpasswd": "everybody's"})
    claims = [ask(service, provider="anonymous").claims["localaccount"] for _ in range(3)]
    assert [claim["sha512"] for claim in claims] == ["$6$s$heverybody's"] * 3
    assert hashed == ["everybody's"]


def test_a_password_of_one_s_own_has_a_salt_of_its_own(make: Callable[..., AuthService]) -> None:
    service = make(planet())
    first, second = (
        ask(service, provider="planet", userid="fry", password="slurm").claims["localaccount"]["sha512"]
        for _ in range(2)
    )
    assert first != second
    assert [hashed == sha512_crypt("slurm", hashed.split("$")[2]) for hashed in (first, second)] == [True, True]


def test_no_password_is_anywhere_in_a_login(make: Callable[..., AuthService]) -> None:
    login = ask(make(planet(), {"desktop.userpasswd": "hunter2"}), provider="planet", userid="fry", password="slurm")
    for secret in ("slurm", "hunter2"):
        assert secret not in repr(login)
        assert secret not in str(login.attributes) + str(login.claims)


def test_the_request_s_repr_hides_the_password() -> None:
    assert "slurm" not in repr(LoginRequest(provider="planet", userid="fry", password="slurm"))


def test_a_directory_login_carries_what_the_provider_found(make: Callable[..., AuthService]) -> None:
    login = ask(make(planet(displayname="Planet")), provider="PLANET", userid="fry", password="slurm")
    identity = login.identity
    assert (identity.provider, identity.providertype, identity.userid) == ("planet", "ldap", "fry")
    assert (identity.name, identity.roles, identity.domain) == ("Philip J. Fry", ("ship_crew",), "AD")
    assert login.attributes["mail"] == "fry@planetexpress.com"
    assert login.claims["ntlm"] == {"NTLM_USER": "fry"}
    assert login.claims["localaccount"]["passwd"].startswith("fry:x:2042:12042:")
    assert login.protocol == {"ntlm": True}
    assert success_message(login, 0.123) == "a.Authentication on Planet successful in 0.12 s"
    assert FakeDirectory.open_connections == [0]


def test_a_user_without_posix_data_gets_a_local_account_but_no_posix(make: Callable[..., AuthService]) -> None:
    login = ask(make(planet()), provider="plain", userid="Fry", password="slurm")
    assert login.posix is None
    assert "posix" not in login.attributes
    assert login.claims["localaccount"]["uid"] == "fry"
    assert login.claims["localaccount"]["homeDirectory"] == "/home/fry"


def test_a_refused_password_counts_for_the_login_and_closes_the_connection(make: Callable[..., AuthService]) -> None:
    bans = RecordingBans()
    with pytest.raises(InvalidCredentialsError) as caught:
        ask(make(planet(), bans=bans), provider="planet", userid="fry", password="wrong")
    assert caught.value.message == "invalidCredentials"
    assert bans.logins == ["fry"]
    assert FakeDirectory.open_connections == [0]


def test_a_banned_login_is_refused_before_the_directory_is_asked(make: Callable[..., AuthService]) -> None:
    with pytest.raises(BanAuthUserError) as caught:
        ask(make(planet(), bans=RecordingBans("fry")), provider="planet", userid="fry", password="slurm")
    assert (caught.value.status, caught.value.message) == (401, "user is banned")
    assert FakeDirectory.asked == []


def test_a_ban_of_a_name_does_not_touch_anonymous_logins(make: Callable[..., AuthService]) -> None:
    assert ask(make(bans=RecordingBans("fry")), provider="anonymous", userid="fry")


@pytest.mark.parametrize("userid", ["", "a b", "x" * 64, "é", "a,b=c", "-a", "a\n"])
def test_a_userid_that_is_no_label_value_is_refused(make: Callable[..., AuthService], userid: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        ask(make(planet()), provider="planet", userid=userid, password="slurm")
    assert caught.value.status == 401


def test_a_provider_that_trusts_another_site_accepts_no_direct_login(make: Callable[..., AuthService]) -> None:
    service = make({"implicit": {"providers": {"sslclient": {"dialog_url": "https://x.example"}}}})
    with pytest.raises(AuthenticationError, match="no direct login"):
        ask(service, provider="sslclient", userid="fry")


# --- labels and ACL ---------------------------------------------------------------------------------------------------


def crew_rules(acl: dict[str, Any] | None = None) -> dict[str, Any]:
    conditions = [{"memberOf": "cn=ship_crew,ou=people", "expected": True}]
    rules = {"crew": {"conditions": conditions, "expected": True, "label": "shipcrew"}}
    return planet(policies={"acl": acl, "rules": rules})


def test_the_source_address_and_its_network_are_labels_even_without_rules(make: Callable[..., AuthService]) -> None:
    assert ask(make(), provider="anonymous").identity.labels == {"ipsource": "10.0.2.216"}
    service = make(asnumber=lambda address: "3215" if address == "2001:db8::1" else None)
    labels = ask(service, ClientInfo("2001:db8::1"), provider="anonymous").identity.labels
    assert labels == {"ipsource": "2001-db8--1", "asnumber": "3215"}


def test_rules_give_labels(make: Callable[..., AuthService]) -> None:
    login = ask(make(crew_rules()), provider="planet", userid="fry", password="slurm")
    assert login.identity.labels == {"ipsource": "10.0.2.216", "shipcrew": "true"}


def test_the_acl_sees_the_labels_of_the_rules(make: Callable[..., AuthService]) -> None:
    fry = {"provider": "planet", "userid": "fry", "password": "slurm"}
    assert ask(make(crew_rules({"permit": ["shipcrew"]})), **fry)
    for acl in ({"permit": ["staff"]}, {"permit": ["all"], "deny": ["shipcrew"]}, {"deny": ["all"]}, {}):
        with pytest.raises(AuthenticationDeniedError) as caught:
            ask(make(crew_rules(acl)), **fry)
        assert caught.value.message == "Access is denied by security policy"


@pytest.mark.parametrize("acl", ["all", ["all"], {"permit": "all"}, {"permit": [5]}])
def test_a_malformed_acl_denies(make: Callable[..., AuthService], acl: Any) -> None:
    tree = {"implicit": {"providers": {"anonymous": {"policies": {"acl": acl}}}}}
    with pytest.raises(AuthenticationDeniedError):
        ask(make(tree), provider="anonymous")


def test_rules_see_headers_in_any_case_and_the_position_of_the_browser(make: Callable[..., AuthService]) -> None:
    paris = {"accuracy": 1000, "latitude": 48.8566, "longitude": 2.3522}
    rules = {
        "site": {"conditions": [{"httpheader": {"X-Site": "hq"}, "expected": True}], "expected": True, "label": "hq"},
        "here": {"conditions": [{"geolocation": paris, "expected": True}], "expected": True, "label": "paris"},
    }
    service = make({"implicit": {"providers": {"anonymous": {"policies": {"rules": rules}}}}})
    login = ask(service, headers={"X-SITE": "hq"}, provider="anonymous", geolocation={**paris, "accuracy": 14.9})
    assert set(login.identity.labels) == {"ipsource", "hq", "paris"}
    assert login.attributes["geolocation"] == {**paris, "accuracy": 14.9}


@pytest.mark.parametrize("geolocation", [{}, "Paris", {"latitude": "x"}, 5, [1]])
def test_a_position_that_is_none_does_not_fail_the_login(make: Callable[..., AuthService], geolocation: Any) -> None:
    assert ask(make(), provider="anonymous", geolocation=geolocation).attributes["geolocation"] == {}


@pytest.mark.parametrize("stamp", [1729772725120, None, "x", -1, 2**80, 1.5])
def test_the_client_s_clock_is_decoration(make: Callable[..., AuthService], stamp: Any) -> None:
    kept = ask(make(), provider="anonymous", utctimestamp=stamp).attributes.get("utctimestamp")
    assert kept == (stamp if stamp == 1729772725120 else None)


# --- features ---------------------------------------------------------------------------------------------------------

SUBMIT = {"desktop.features_permissions": ["submit"], "executeclasses": {"default": {}, "silver": {}}}


def test_a_permitted_execute_class_becomes_a_label(make: Callable[..., AuthService]) -> None:
    login = ask(make(config=SUBMIT), provider="anonymous", features={"executeclassname": "silver"})
    assert login.identity.labels["executeclassname"] == "silver"


def test_the_user_s_choice_beats_a_rule_s(make: Callable[..., AuthService]) -> None:
    rule = {"conditions": [{"boolean": True, "expected": True}], "expected": True}
    policies = {"rules": {"r": {**rule, "label": "executeclassname", "load": "default"}}}
    service = make({"implicit": {"providers": {"anonymous": {"policies": policies}}}}, SUBMIT)
    assert ask(service, provider="anonymous").identity.labels["executeclassname"] == "default"
    chosen = ask(service, provider="anonymous", features={"executeclassname": "silver"})
    assert chosen.identity.labels["executeclassname"] == "silver"


@pytest.mark.parametrize("features", [[], "silver", 5, True])
def test_features_that_are_no_dict_are_refused(make: Callable[..., AuthService], features: Any) -> None:
    for config in ({}, SUBMIT):
        with pytest.raises(AuthenticationError) as caught:
            ask(make(config=config), provider="anonymous", features=features)
        assert caught.value.message == "bad parameters features, features must be a dict"


@pytest.mark.parametrize("permissions", [[], ["read"]])
def test_features_need_the_permission_to_submit(make: Callable[..., AuthService], permissions: list[str]) -> None:
    service = make(config={**SUBMIT, "desktop.features_permissions": permissions})
    with pytest.raises(AuthenticationError, match=r"desktop\.features_permissions"):
        ask(service, provider="anonymous", features={"executeclassname": "silver"})


def test_an_unknown_execute_class_is_refused(make: Callable[..., AuthService]) -> None:
    with pytest.raises(AuthenticationError, match="executeclassname"):
        ask(make(config=SUBMIT), provider="anonymous", features={"executeclassname": "platinum"})


@pytest.mark.parametrize("features", [{}, {"executeclassname": None}, {"executeclassname": 5}, {"other": "x"}])
def test_features_without_a_class_change_nothing(make: Callable[..., AuthService], features: dict[str, Any]) -> None:
    assert "executeclassname" not in ask(make(config=SUBMIT), provider="anonymous", features=features).identity.labels


# --- request limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["userid", "password", "loginsessionid"])
def test_fields_have_a_length_limit_and_a_type(field: str) -> None:
    assert msgspec.convert({field: "x" * 64}, LoginRequest)
    for value in ("x" * 10_000, 5, ["x"], {"x": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({field: value}, LoginRequest)


def test_a_provider_name_of_10_kilobytes_is_simply_unknown(make: Callable[..., AuthService]) -> None:
    with pytest.raises(AuthenticationError) as caught:
        ask(make(), provider="x" * 10_240)
    assert len(caught.value.message) < 150


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(LoginRequest.__struct_fields__)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.dictionaries(fields, documents | st.sampled_from(["anonymous", "planet", "fry", "slurm"])))
def test_no_body_does_anything_but_log_in_or_fail_cleanly(
    make: Callable[..., AuthService], body: dict[str, Any]
) -> None:
    service = make({**planet(), **ANONYMOUS}, SUBMIT)
    try:
        login = ask(service, **body)
    except (msgspec.ValidationError, AuthenticationError):
        return
    if login.identity.provider == "anonymous":
        assert uuid.UUID(login.identity.userid).version == 4
    else:
        assert (login.identity.userid, body["password"]) == (body["userid"], "slurm")


# --- prelogin ---------------------------------------------------------------------------------------------------------

SESSION = "0f8fad5b-d9cb-469f-a165-70867728950e"
PRELOGIN = {
    "auth.prelogin": {
        "enable": True,
        "url": "https://front.example/index.session.mustache.html",
        "network_list": ["10.0.0.0/8", "fd00::/8"],
        "http_attribut_to_force_auth_prelogin": "MUST_USE_PRELOGIN",
    }
}


def test_from_other_networks_no_prelogin_session_is_asked(make: Callable[..., AuthService]) -> None:
    assert ask(make(config=PRELOGIN), ClientInfo("192.0.2.1"), provider="anonymous")


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        (CLIENT, {}),
        (ClientInfo("fd00::1"), {}),
        (ClientInfo("192.0.2.1"), {"Must_Use_Prelogin": ""}),
        (ClientInfo("unknown"), {}),
    ],
)
def test_from_its_networks_a_session_is_needed(
    make: Callable[..., AuthService], client: ClientInfo, headers: dict[str, str]
) -> None:
    service = make(planet(), PRELOGIN, sessions=lambda: Sessions({SESSION: "FRY"}))
    fry = {"provider": "planet", "password": "slurm"}
    with pytest.raises(AuthenticationError) as caught:
        ask(service, client, headers, **fry)
    assert caught.value.message == "invalid auth parameters, request must use set userid"
    with pytest.raises(AuthenticationError) as caught:
        ask(service, client, headers, userid="fry", loginsessionid="", **fry)
    assert caught.value.message == "invalid auth parameters, request must use a prelogin session"
    assert ask(service, client, headers, userid="fry", loginsessionid=SESSION, **fry).identity.userid == "fry"


@pytest.mark.parametrize(
    ("announced", "userid", "session"),
    [
        ("leela", "fry", SESSION),
        ("fry", "fry", SESSION[:-1] + "0"),
        ("fry", "fry", "short"),
        ("fry", "fr", SESSION),
    ],
)
def test_a_session_of_somebody_else_is_refused(
    make: Callable[..., AuthService], announced: str, userid: str, session: str
) -> None:
    service = make(planet(), PRELOGIN, sessions=lambda: Sessions({SESSION: announced, "short": announced}))
    with pytest.raises(AuthenticationError) as caught:
        ask(service, provider="planet", userid=userid, password="slurm", loginsessionid=session)
    assert caught.value.message == "invalid auth request, verify prelogin request failed"
    assert FakeDirectory.asked == []


def test_a_session_names_the_user_with_or_without_domain(make: Callable[..., AuthService]) -> None:
    service = make(planet(), PRELOGIN, sessions=lambda: Sessions({SESSION: "PLANET\\Fry"}))
    assert ask(service, provider="planet", userid="fry", password="slurm", loginsessionid=SESSION)


@pytest.mark.parametrize("store", [None, Sessions({SESSION: "fry"}, available=False)])
def test_without_the_shared_cache_nobody_passes_the_gate(
    make: Callable[..., AuthService], store: Sessions | None
) -> None:
    service = make(planet(), PRELOGIN, sessions=lambda: store)
    with pytest.raises(UnavailableError):
        ask(service, provider="planet", userid="fry", password="slurm", loginsessionid=SESSION)
