"""``/API/auth`` over HTTP: real controller, login, tokens and bans; the desktop side is recorded."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import jwt
import pytest

import oc.auth.keys
from controllers.auth_controller import AuthController
from oc.auth import AuthService, DesktopTokens, UserTokens
from oc.auth.providers import PROVIDER_MAKERS, Account, Attempt, Provider
from oc.datastore import DataStore
from oc.errors import AuthenticationFailureError, InvalidCredentialsError, UnavailableError
from oc.model.identity import ClientInfo, Identity, Login
from oc.od.accounting import Accounting
from oc.od.fail2ban import Fail2Ban
from oc.od.services import ODServices
from oc.od.settings import settings_from_mapping
from oc.sharecache import LocalCache
from tests.web.harness import Answer, Client, serving

from .support import DesktopTokenConfig, KeyFiles, UserTokenConfig, write_templates

NOT_CACHED = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff"}


class FakeDirectory(Provider):
    """Takes one password, fails on a word."""

    manager: ClassVar[str] = "explicit"
    takes_credentials: ClassVar[bool] = True
    default_type: ClassVar[str | None] = "ldap"

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        if attempt.userid == "unreachable":
            raise AuthenticationFailureError("Can not contact LDAP servers, all servers are unavailable")
        if attempt.password != "slurm":
            raise InvalidCredentialsError
        yield Account(str(attempt.userid), "Philip J. Fry", {"mail": "fry@planetexpress.com"})


@dataclass
class DesktopSide:
    """What logging in and out asks of composer and history."""

    prepared: list[Login] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    history: list[tuple[str, str, Any]] = field(default_factory=list)
    has_desktop: bool = True
    away: bool = False

    def prepare_resources(self, login: Login) -> None:
        if self.away:
            raise UnavailableError("the cluster does not answer")
        self.prepared.append(login)

    def remove_desktop(self, identity: Identity, client: ClientInfo) -> bool:
        if self.away:
            raise UnavailableError("the cluster does not answer")
        self.removed.append(identity.userid)
        return self.has_desktop

    def login(self, identity: Identity, client: ClientInfo, attributes: Any) -> None:
        self.history.append((identity.userid, client.ipaddr, attributes.get("mail")))


@dataclass
class Site:
    client: Client
    desktop: DesktopSide
    services: ODServices

    def post(self, route: str, document: object = None, token: str | None = None, **headers: str) -> Answer:
        if token is not None:
            headers["ABCAuthorization"] = f"Bearer {token}"
        return self.client.post(f"/API/auth/{route}", {} if document is None else document, headers)

    def login(self, **body: Any) -> str:
        answer = self.post("auth", {"provider": "anonymous", **body})
        assert answer.status == 200, answer.body
        return str(answer.json["result"]["jwt_user_token"])

    def count(self, name: str) -> int:
        return self.services.accounting.snapshot()["login"].get(name, 0)


OpenSite = Callable[..., AbstractContextManager[Site]]

PROVIDERS = {
    "explicit": {"providers": {"planet": {"displayname": "Planet"}}},
    "implicit": {"providers": {"anonymous": {"username": "Anonymous"}}},
}


@pytest.fixture
def open_site(tmp_path: Path, signing: KeyFiles, datastore: DataStore) -> OpenSite:
    write_templates(tmp_path)

    @contextmanager
    def make(**config: Any) -> Iterator[Site]:
        desktop = DesktopSide()
        sessions = LocalCache()
        services = ODServices()
        services.settings = settings_from_mapping({"desktop.pod": {}, "authmanagers": PROVIDERS, **config}, {})
        bans = Fail2Ban(datastore, services.settings.fail2ban)
        parts: dict[str, Any] = {
            "accounting": Accounting(),
            "fail2ban": bans,
            "usertokens": UserTokens(UserTokenConfig(signing.private, signing.public)),
            "auth": AuthService(
                services.settings,
                bans=bans,
                sessions=lambda: sessions,
                base=tmp_path,
                makers={**PROVIDER_MAKERS, "explicit": FakeDirectory},
            ),
            "composer": desktop,
            "history": desktop,
            "sharecache": sessions,
        }
        for name, part in parts.items():
            setattr(services, name, part)
        with serving(AuthController(), services=services) as client:
            yield Site(client, desktop, services)

    return make


def noting(done: list[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, which adds ``name`` to ``done`` at each call."""

    def noted(*arguments: Any, **options: Any) -> Any:
        done.append(name)
        return function(*arguments, **options)

    return noted


@pytest.fixture
def site(open_site: OpenSite) -> Iterator[Site]:
    with open_site() as opened:
        yield opened


# --- login ------------------------------------------------------------------------------------------------------------


def test_the_login_page_gets_the_managers_without_an_envelope(site: Site) -> None:
    answer = site.post("getauthconfig")
    assert answer.status == 200
    assert list(answer.json) == ["managers"]
    assert [manager["name"] for manager in answer.json["managers"]] == ["explicit", "implicit"]


def test_an_anonymous_login_over_the_wire(site: Site, signing: KeyFiles) -> None:
    body = {"manager": None, "provider": "anonymous", "utctimestamp": 1729772725120, "geolocation": {}}
    answer = site.post("auth", body)
    assert answer.status == 200
    assert list(answer.json) == ["status", "result", "message"]
    result = answer.json["result"]
    assert sorted(result) == ["expire_in", "jwt_user_token", "name", "provider", "userid"]
    assert (result["name"], result["provider"], result["expire_in"]) == ("Anonymous", "anonymous", 360)
    assert uuid.UUID(result["userid"]).version == 4
    assert answer.json["message"].startswith("a.Authentication on anonymous successful in ")
    assert answer.json["message"].endswith(" s")
    claims = jwt.decode(result["jwt_user_token"], signing.public.read_bytes(), algorithms=["RS256"])
    assert claims["user"] == {"name": "Anonymous", "userid": result["userid"]}
    assert claims["auth"]["data"]["labels"] == {"ipsource": "127.0.0.1"}


def test_an_answer_with_a_token_is_not_cached(site: Site) -> None:
    token = site.login()
    for answer in (site.post("auth", {"provider": "anonymous"}), site.post("refreshtoken", {}, token)):
        assert {name: answer.headers[name] for name in NOT_CACHED} == NOT_CACHED


def test_secrets_are_prepared_and_the_login_is_remembered_and_counted(site: Site) -> None:
    answer = site.post("auth", {"provider": "planet", "userid": "fry", "password": "slurm"})
    assert answer.json["result"]["provider"] == "ldap"
    assert answer.json["message"].startswith("a.Authentication on Planet successful in ")
    [login] = site.desktop.prepared
    assert set(login.claims["localaccount"]) >= {"passwd", "shadow", "group", "gshadow"}
    assert site.desktop.history == [("fry", "127.0.0.1", "fry@planetexpress.com")]
    assert (site.count("success"), site.count("ldap"), site.count("failed")) == (1, 1, 0)


@pytest.mark.parametrize(
    "body", [{"provider": "anonymous"}, {"provider": "planet", "userid": "fry", "password": "slurm"}]
)
def test_a_login_costs_one_signature_and_parses_no_key(
    site: Site, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    done: list[str] = []
    for where, name in (
        (jwt.PyJWS, "encode"),
        (oc.auth.keys, "load_pem_private_key"),
        (oc.auth.keys, "load_pem_public_key"),
    ):
        monkeypatch.setattr(where, name, noting(done, name, getattr(where, name)))
    assert site.post("auth", body).status == 200
    assert done == ["encode"]


def test_only_a_user_whose_id_is_made_up_counts_as_new(site: Site) -> None:
    site.login()
    site.post("auth", {"provider": "planet", "userid": "fry", "password": "slurm"})
    assert [login.new_user for login in site.desktop.prepared] == [True, False]


def test_without_secrets_there_is_no_token(site: Site) -> None:
    site.desktop.away = True
    answer = site.post("auth", {"provider": "anonymous"})
    assert answer.status == 200
    assert answer.json == {
        "status": 401,
        "result": None,
        "error": "failed to prepare ressources the cluster does not answer",
    }
    assert site.desktop.history == []
    assert (site.count("success"), site.count("failed")) == (0, 1)


@pytest.mark.parametrize("extra", [{}, {"manager": "explicit"}, {"manager": "implicit", "password": "x"}])
def test_nobody_becomes_fry_by_asking_for_it(site: Site, extra: dict[str, Any]) -> None:
    answer = site.post("auth", {"provider": "anonymous", "userid": "fry", **extra})
    assert answer.json["result"]["userid"] != "fry"
    token = answer.json["result"]["jwt_user_token"]
    assert site.services.usertokens.decode(token).userid == answer.json["result"]["userid"]


def test_a_wrong_password_is_401_with_the_word_the_form_knows(site: Site) -> None:
    answer = site.post("auth", {"provider": "planet", "userid": "fry", "password": "wrong"})
    assert (answer.status, answer.json["status"], answer.message) == (401, 401, "invalidCredentials")
    assert site.count("failed") == 1
    assert site.desktop.prepared == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "missing provider parameter"),
        ({"provider": None}, "missing provider parameter"),
        ({"provider": 5}, "missing provider parameter"),
        ({"provider": ""}, "missing provider parameter"),
        ({"provider": "nowhere"}, "authentication provider nowhere not found"),
        ({"provider": "anonymous", "features": "silver"}, "bad parameters features, features must be a dict"),
        ({"provider": "planet", "userid": "unreachable"}, "Can not contact LDAP servers, all servers are unavailable"),
    ],
)
def test_what_cannot_be_a_login_is_401(site: Site, body: dict[str, Any], message: str) -> None:
    answer = site.post("auth", body)
    assert (answer.status, answer.message) == (401, message)


@pytest.mark.parametrize(
    "body", [[], "text", 5, None, {"userid": 5}, {"password": "x" * 10_000}, {"userid": "x" * 10_000}]
)
def test_a_malformed_body_is_400(site: Site, body: object) -> None:
    answer = site.client.post("/API/auth/auth", body)
    assert answer.status == 400
    assert answer.message.startswith("invalid parameters")


def test_a_provider_name_of_10_kilobytes_gets_a_short_answer(site: Site) -> None:
    answer = site.post("auth", {"provider": "p" * 10_240})
    assert answer.status == 401
    assert len(answer.body) < 400


def test_a_password_is_in_no_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    site.post("auth", {"provider": "planet", "userid": "fry", "password": "hunter2"})
    site.post("auth", {"provider": "planet", "userid": "fry", "password": "slurm"})
    assert caplog.records
    assert not any("hunter2" in record.getMessage() or "slurm" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("route", ["getauthconfig", "auth", "refreshtoken", "logout", "disconnect", "labels"])
def test_only_post_is_allowed(site: Site, route: str) -> None:
    answer = site.client.get(f"/API/auth/{route}")
    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_is_refused(site: Site, kind: str) -> None:
    answer = site.client.request("POST", "/API/auth/auth", b'{"provider":"anonymous"}', {"Content-Type": kind})
    assert answer.status == 415


# --- with a token -----------------------------------------------------------------------------------------------------


def test_a_refreshed_token_says_the_same(site: Site) -> None:
    token = site.login()
    answer = site.post("refreshtoken", {"anything": 1}, token)
    assert answer.json["message"] == "Refresh token success"
    assert answer.json["result"]["expire_in"] == 360
    read = site.services.usertokens.decode
    assert read(answer.json["result"]["jwt_user_token"]) == read(token)


def test_labels_are_a_dict(site: Site) -> None:
    answer = site.post("labels", {}, site.login())
    assert answer.json == {"status": 200, "result": {"ipsource": "127.0.0.1"}, "message": "ok"}


def test_isauthenticated_tells(site: Site) -> None:
    assert site.post("isauthenticated", {}, site.login()).json["result"] is True
    assert site.post("isauthenticated").json == {"status": 200, "result": False, "message": "ok"}


def test_disconnect_keeps_the_desktop(site: Site) -> None:
    answer = site.post("disconnect", {}, site.login())
    assert answer.json == {"status": 200, "result": {"url": "/"}, "message": "ok"}
    assert site.desktop.removed == []


@pytest.mark.parametrize("has_desktop", [True, False])
def test_logout_removes_the_desktop_if_there_is_one(site: Site, has_desktop: bool) -> None:
    site.desktop.has_desktop = has_desktop
    token = site.login()
    answer = site.post("logout", {"redirect_uri": "https://evil.example"}, token)
    assert answer.json == {"status": 200, "result": {"url": "/"}, "message": "ok"}
    assert site.desktop.removed == [site.services.usertokens.decode(token).userid]


def test_a_desktop_that_cannot_be_removed_is_told(site: Site) -> None:
    token = site.login()
    site.desktop.away = True
    answer = site.post("logout", {}, token)
    assert answer.status == 200
    assert answer.json == {"status": 500, "result": {"url": "/"}, "error": "removedesktop failed"}


# --- without a valid one ----------------------------------------------------------------------------------------------


@pytest.fixture
def useless(
    site: Site, signing: KeyFiles, foreign: KeyFiles, payload_keys: dict[int, KeyFiles]
) -> dict[str, str | None]:
    """Tokens that are none."""
    identity = Identity("planet", "ldap", "fry", "Fry")
    right = UserTokenConfig(signing.private, signing.public)
    desktop = DesktopTokens(DesktopTokenConfig(signing.private, signing.public, payload_keys[2048].pkcs1))
    unnamed = Identity("planet", "ldap", "", "Fry")
    return {
        "absent": None,
        "empty": "",
        "garbage": "a.b.c",
        "expired": UserTokens(right, lambda: 1_000_000.0).issue(identity),
        "foreign": UserTokens(UserTokenConfig(foreign.private, foreign.public)).issue(identity),
        "desktop": desktop.issue("10.0.0.1"),
        "unidentified": UserTokens(right).issue(unnamed),
    }


NAMES = ["absent", "empty", "garbage", "expired", "foreign", "desktop", "unidentified"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_refreshed_without_a_valid_token(site: Site, useless: dict[str, str | None], name: str) -> None:
    answer = site.post("refreshtoken", {}, useless[name])
    assert answer.status == 401
    assert "jwt_user_token" not in answer.body.decode()


@pytest.mark.parametrize("route", ["logout", "disconnect"])
@pytest.mark.parametrize("name", NAMES)
def test_leaving_without_a_valid_token_still_shows_the_way(
    site: Site, useless: dict[str, str | None], name: str, route: str
) -> None:
    answer = site.post(route, {}, useless[name])
    assert answer.status == 200
    assert answer.json == {"status": 500, "result": {"url": "/"}, "error": "invalid user credentials"}
    assert site.desktop.removed == []


@pytest.mark.parametrize("name", NAMES)
def test_labels_without_a_valid_token_are_a_soft_error(site: Site, useless: dict[str, str | None], name: str) -> None:
    answer = site.post("labels", {}, useless[name])
    assert answer.status == 200
    assert answer.json == {"status": 500, "result": None, "error": "invalid user credentials"}
    assert site.post("isauthenticated", {}, useless[name]).json["result"] is False


# --- bans -------------------------------------------------------------------------------------------------------------

BANS = {"fail2ban": {"enable": True, "failsbeforeban": 3, "banexpireafterseconds": 600}}
ROUTER = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}


def test_wrong_passwords_ban_the_login_and_the_address(open_site: OpenSite) -> None:
    with open_site(**BANS) as site:
        wrong = {"provider": "planet", "userid": "Fry", "password": "wrong"}
        for _ in range(3):
            assert site.post("auth", wrong, **ROUTER).message == "invalidCredentials"
        answer = site.post("auth", {"provider": "anonymous"}, **ROUTER)
        assert (answer.status, answer.message) == (401, "ip address is banned")
        elsewhere = {**ROUTER, "X-Forwarded-For": "203.0.113.10", "X-Real-IP": "203.0.113.10"}
        right = {"provider": "planet", "userid": "fry", "password": "slurm"}
        answer = site.post("auth", right, **elsewhere)
        assert (answer.status, answer.message) == (401, "user is banned")
        assert site.post("auth", {**right, "userid": "leela"}, **elsewhere).status == 200


def test_a_directory_that_is_away_bans_nobody(open_site: OpenSite) -> None:
    with open_site(**BANS) as site:
        for _ in range(5):
            site.post("auth", {"provider": "planet", "userid": "unreachable", "password": "x"}, **ROUTER)
            site.post("auth", {"provider": "nowhere"}, **ROUTER)
        assert site.post("auth", {"provider": "anonymous"}, **ROUTER).status == 200


def test_a_banned_login_loses_its_token(open_site: OpenSite) -> None:
    with open_site(**BANS) as site:
        token = site.login(provider="planet", userid="fry", password="slurm")
        site.services.fail2ban.ban("login", "fry")
        answer = site.post("refreshtoken", {}, token)
        assert (answer.status, answer.message) == (401, "user is banned")


def test_foreign_tokens_count_and_expired_ones_do_not(open_site: OpenSite, useless: dict[str, str | None]) -> None:
    with open_site(**BANS) as site:
        for _ in range(5):
            site.post("refreshtoken", {}, useless["expired"], **ROUTER)
            site.post("refreshtoken", {}, None, **ROUTER)
        assert site.services.fail2ban.find("ipaddr", "203.0.113.9")["count"] == 0
        for _ in range(3):
            site.post("refreshtoken", {}, useless["foreign"], **ROUTER)
        assert site.post("refreshtoken", {}, useless["foreign"], **ROUTER).message == "ip address is banned"


def test_a_wrong_prelogin_session_counts_for_the_address_and_a_missing_one_does_not(open_site: OpenSite) -> None:
    prelogin = {"enable": True, "url": "https://front.example/x", "network_list": ["203.0.113.0/24"]}
    session = str(uuid.uuid4())
    with open_site(**BANS, **{"auth.prelogin": prelogin}) as site:
        fry = {"provider": "planet", "userid": "fry", "password": "slurm"}
        answer = site.post("auth", fry, **ROUTER)
        assert answer.message == "invalid auth parameters, request must use a prelogin session"
        assert site.services.fail2ban.find("ipaddr", "203.0.113.9")["count"] == 0
        answer = site.post("auth", {**fry, "loginsessionid": session}, **ROUTER)
        assert (answer.status, answer.message) == (401, "invalid auth request, verify prelogin request failed")
        assert site.services.fail2ban.find("ipaddr", "203.0.113.9")["count"] == 1
        site.services.sharecache.set(session, "FRY", 60)
        assert site.post("auth", {**fry, "loginsessionid": session}, **ROUTER).status == 200
