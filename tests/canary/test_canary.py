"""Whole sessions with marked secrets; then every log line, answer, cluster object, document and process is searched."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest

from devstack.peers import slapd as peer
from devstack.peers.planetexpress import PEOPLE, ROOT_DN, ROOT_PASSWORD, SUFFIX, person
from devstack.peers.slapd import Slapd
from devstack.service import Backends, Service
from devstack.stack import Stack

from .marked import Marked, Recorder

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
#: Tokens of the same second are equal.
USER_TOKENS = {"user token", "refreshed token", "autologin token"}
#: The only routes that may answer a secret, and which.
ALLOWED: dict[str, set[str]] = {
    "auth/auth": USER_TOKENS,
    "auth/refreshtoken": USER_TOKENS,
    "auth/autologin": USER_TOKENS,
    "composer/launchdesktop": {"vnc password", "desktop token"},
    "composer/refreshdesktoptoken": {"second desktop token"},
    "store/get": {"stored password"},
    "manager/datastore/profiles/canary": {"stored password"},
}
#: Kinds of objects that may hold a secret, and which.
ALLOWED_OBJECTS: dict[str, set[str]] = {"abcdesktop/vnc": {"vnc password"}}
NAMESPACED = ("pods", "secrets", "configmaps", "events", "services", "persistentvolumeclaims", "serviceaccounts")


@dataclass
class Evidence:
    """What the sessions left behind."""

    marked: Marked
    recorder: Recorder
    service: Service
    log: str
    objects: list[dict[str, Any]]
    documents: list[tuple[str, str]]
    processes: str


def configuration(slapd: Slapd, marked: Marked) -> dict[str, Any]:
    planet = {
        "default": True,
        "servers": slapd.ldap,
        "ldap_basedn": PEOPLE,
        "groups_ou": SUFFIX,
        "user_filter": "(&(objectClass=person)(uid=%s))",
        "serviceaccount": {"login": ROOT_DN, "password": ROOT_PASSWORD},
    }
    oauth = {
        "displayname": "Elsewhere",
        "enabled": True,
        "client_id": "pyos",
        "client_secret": marked.make("client secret"),
        "scope": "openid",
        "authorization_base_url": "http://127.0.0.1:9/authorize",
        "token_url": "http://127.0.0.1:9/token",
        "userinfo_url": "http://127.0.0.1:9/userinfo",
    }
    everything = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"all": {"format": "%(asctime)s %(name)s %(funcName)s %(userid)s %(ipaddr)s %(message)s"}},
        "filters": {"odcontext": {"()": "oc.logging.OdContextFilter"}},
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "filters": ["odcontext"],
                "formatter": "all",
                "stream": "ext://sys.stdout",
            }
        },
        # what the shipped file has: everything of everybody
        "root": {"level": "DEBUG", "handlers": ["out"]},
    }
    return {
        "ldapconfig": {"planet": planet},
        "authmanagers": {
            "explicit": {"providers": {"planet": {"config_ref": "ldapconfig", "enabled": True}}},
            "external": {"providers": {"elsewhere": oauth}},
            "implicit": {"providers": {"anonymous": {"username": "Anonymous"}}},
        },
        "services_http_request_denied": {"autologin": False},
        "webrtc.coturn": {
            "coturn_static_auth_secret": marked.make("turn secret"),
            "url": "turn.example.org:3478",
            "protocol": "turn",
        },
        "fail2ban": {"enable": True, "failsbeforeban": 1000, "banexpireafterseconds": 600, "protectednetworks": []},
        "max_log_body_size": 1_000_000,
        "logging": everything,
    }


def play(recorder: Recorder, marked: Marked, api_key: str) -> None:
    """A user's session, an operator's, and the mistakes both make."""
    login = {"provider": "planet", "userid": "canary", "password": marked.values["password"]}
    cookie = {"Cookie": f"session={marked.make('cookie')}", "Authorization": f"Basic {marked.make('basic')}"}
    answer = recorder.send("POST", "auth/auth", cookie, json=login).json()
    token = answer["result"]["jwt_user_token"]
    marked.know("user token", token)
    user = {"ABCAuthorization": f"Bearer {token}", **cookie}
    launched = recorder.send("POST", "composer/launchdesktop", user, json={}).json()["result"]
    marked.know("vnc password", launched["vncpassword"])
    marked.know("desktop token", launched["authorization"])
    again = recorder.send("POST", "composer/refreshdesktoptoken", user, json={}).json()["result"]
    marked.know("second desktop token", again["authorization"])
    for route in (
        "user/whoami", "user/getlocation", "composer/getuserapplist", "composer/listcontainer", "composer/getlogs",
        "composer/listsecrets", "core/getmessageinfo", "auth/labels", "auth/isauthenticated", "manager/dry_run_desktop",
        "webrtc/coturn_rtcconfiguration",
    ):  # fmt: skip
        recorder.send("POST", route, {**user, "X-API-Key": api_key}, json={})
    stored = {"key": "note", "value": {"password": marked.make("stored password")}}
    assert recorder.send("POST", "store/set", user, json=stored).status_code == 200
    assert recorder.send("POST", "store/get", user, json={"key": "note"}).status_code == 200
    recorder.send("POST", "composer/ocrun", user, json={"image": marked.make("stray"), "args": "--x"})
    marked.values.pop("stray")  # no secret: it may be named in the trace
    fresh = recorder.send("POST", "auth/refreshtoken", user, json={}).json()["result"]["jwt_user_token"]
    marked.know("refreshed token", fresh)
    mistakes(recorder, marked, user)
    operate(recorder, marked, api_key)
    assert recorder.send(
        "POST", "auth/buildsecret", user, json={"password": marked.make("second password")}
    ).status_code
    form = f"login=canary&provider=planet&password={marked.values['password']}"
    page = recorder.send("POST", "auth/autologin", {**FORM, **cookie}, data=form)
    assert page.status_code == 200, page.text
    (handed_over,) = set(re.findall(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", page.text))
    marked.know("autologin token", handed_over)


def mistakes(recorder: Recorder, marked: Marked, user: dict[str, str]) -> None:
    for body in (
        {"provider": "planet", "userid": "canary", "password": marked.make("wrong password")},
        {"provider": "planet", "userid": marked.make("password as name"), "password": ""},
        {"provider": ["planet"], "userid": "canary", "password": marked.values["wrong password"]},
        {"provider": "planet", "userid": "canary", "password": {"nested": marked.values["wrong password"]}},
    ):
        recorder.send("POST", "auth/auth", json=body)
    marked.values.pop("password as name")  # a name that was typed wrongly is shown as what it is: a name
    recorder.send(
        "POST", "auth/auth", {"Content-Type": "application/json"}, data=f'{{"password": "{marked.make("broken")}"'
    )
    recorder.send("POST", "composer/listcontainer", {"ABCAuthorization": f"Bearer {marked.make('bad token')}"}, json={})
    recorder.send("POST", "composer/listcontainer", {"ABCAuthorization": marked.make("bare token")}, json={})
    recorder.send("GET", f"auth/oauth?code={marked.make('code')}&state={marked.make('state')}&manager=external")
    recorder.send("GET", f"healthz?apikey={marked.make('query key')}")
    recorder.send("GET", f"nowhere?token={marked.make('query token')}", user)
    recorder.send("POST", "auth/autologin", FORM, data=f"login=canary&password={marked.make('form password')}")
    recorder.send("PUT", "auth/auth", user, json={"password": marked.make("put password")})


def operate(recorder: Recorder, marked: Marked, api_key: str) -> None:
    operator = {"X-API-Key": api_key}
    recorder.send("GET", "manager/healtz", {"X-API-Key": marked.make("wrong key")})
    desktops = recorder.send("GET", "manager/desktop", operator).json()
    assert desktops
    for route in (
        "manager/healthz?verbose", "manager/echohttp", "manager/images", "manager/ban/ipaddr", "manager/datastore",
        "manager/datastore/profiles", "manager/datastore/profiles/canary", "manager/datastore/loginHistory/canary",
        "accounting/metrics", "accounting/metrics?format=prometheus", "openapi.json", "key/key",
        f"manager/desktop/{desktops[0]['name']}", f"manager/desktop/{desktops[0]['name']}/container",
        "manager/garbagecollector?expirein=86400&dryrun=true",
    ):  # fmt: skip
        answer = recorder.send("GET", route, operator)
        assert answer.status_code == 200, f"{route}: {answer.text}"


@pytest.fixture(scope="module")
def evidence(stack: Stack, backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    reason = peer.missing()
    if reason:
        pytest.skip(f"no OpenLDAP server: {reason}")
    marked = Marked()
    entry = person(f"cn=Canary,{PEOPLE}", "Canary", "Bird", "canary").replace(
        "userPassword: canary", f"userPassword: {marked.make('password')}"
    )
    marked.know("directory password", ROOT_PASSWORD)
    marked.know("database password", str(urlsplit(backends.mongodb_url).password))
    api_key = marked.make("api key")
    with Slapd(tmp_path_factory.mktemp("slapd")) as slapd:
        slapd.add(entry)
        overrides = configuration(slapd, marked)
        directory = tmp_path_factory.mktemp("canary")
        with Service(directory, backends, overrides=overrides, api_key=api_key) as service:
            recorder = Recorder(service.url)
            play(recorder, marked, api_key)
            assert service.process is not None
            processes = Path(f"/proc/{service.process.pid}/cmdline").read_text()
            processes += subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
            objects = list(cluster_objects(stack))
            documents = list(database_documents(stack))
            token = {"ABCAuthorization": f"Bearer {marked.values['refreshed token']}"}
            recorder.send("POST", "auth/logout", token, json={})
            for collection in ("ipaddr", "login"):  # other tests use the same database
                recorder.send("DELETE", f"manager/ban/{collection}", {"X-API-Key": api_key})
        yield Evidence(marked, recorder, service, service.log_path.read_text(), objects, documents, processes)


def cluster_objects(stack: Stack) -> Iterator[dict[str, Any]]:
    for kind in NAMESPACED:
        yield from stack.cluster_admin("GET", f"/api/v1/namespaces/{stack.namespace}/{kind}")["items"]


def database_documents(stack: Stack) -> Iterator[tuple[str, str]]:
    url = stack.mongodb_url or ""
    for database in ("loginHistory", "desktop", "fail2ban", "applications", "profiles"):
        with pymongo.MongoClient[dict[str, Any]](
            f"{url}/{database}?{stack.mongodb_parameters}&authSource={database}"
        ) as client:
            for collection in client[database].list_collection_names():
                for document in client[database][collection].find():
                    yield f"{database}.{collection}", json.dumps(document, default=str)


def test_the_sessions_happened(evidence: Evidence):
    routes = {route for route, _ in evidence.recorder.answers}
    assert {"auth/auth", "composer/launchdesktop", "store/get", "key/key", "auth/autologin"} <= routes
    assert len(evidence.marked.values) > 20
    assert "/composer/launchdesktop" in evidence.log
    assert any(one["metadata"]["name"].startswith("canary") for one in evidence.objects)


def test_the_search_finds_what_is_there(evidence: Evidence):
    """Otherwise the tests below could not fail."""
    found = {name for _, text in evidence.recorder.answers for name in evidence.marked.found_in(text)}
    assert {"user token", "vnc password", "desktop token", "stored password", "refreshed token"} <= found
    in_secrets = [evidence.marked.found_in(json.dumps(one)) for one in evidence.objects]
    assert {"vnc password"} in in_secrets


def test_no_log_line_holds_a_secret(evidence: Evidence):
    leaks = [(line, found) for line in evidence.log.splitlines() if (found := evidence.marked.found_in(line))]
    assert leaks == []


def test_no_private_key_is_in_the_log(evidence: Evidence):
    assert "PRIVATE KEY" not in evidence.log


def test_an_answer_holds_only_the_secret_it_is_for(evidence: Evidence):
    for route, text in evidence.recorder.answers:
        assert evidence.marked.found_in(text) <= ALLOWED.get(route, set()), route


def test_the_objects_of_the_cluster_hold_no_secret_but_their_own(evidence: Evidence):
    for one in evidence.objects:
        allowed = ALLOWED_OBJECTS.get(str(one.get("type")), set())
        name = f"{one.get('kind')} {one['metadata']['name']}"
        assert evidence.marked.found_in(json.dumps(one)) <= allowed, name


def test_the_documents_of_the_database_hold_nothing_but_what_the_user_stored(evidence: Evidence):
    for name, text in evidence.documents:
        allowed = {"stored password"} if name == "profiles.canary" else set()
        assert evidence.marked.found_in(text) <= allowed, name


def test_no_command_line_holds_a_secret(evidence: Evidence):
    assert evidence.marked.found_in(evidence.processes) == set()
