"""Logins through HTTP while something is special: stores away, keys changed, bans, rules about networks and places."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jwt
import pytest

from devstack.service import Backends, Service, free_port
from devstack.stack import Stack
from tests.support import Api
from tests.waiting import eventually

from .support import KeyFiles, make_keys
from .test_desktop_tokens import route

ASN_DATABASE = "; IP-ASN32-DAT file\n81.2.69.0/24\t3215\n2a01:c000::/24\t12807\n"
PARIS = {"accuracy": 10, "latitude": 48.85, "longitude": 2.35}


class Wire:
    """Passes connections on to a server of the stack until it is cut, then refuses them as a dead server does."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def cut(self) -> None:
        """End everything; does nothing the second time."""
        if self._listening.fileno() >= 0:
            self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listening.close()
        with self._lock:
            for end in self._open:
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listening.accept()[0]
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(near,))
            with self._lock:
                self._threads.append(thread)
                self._open.add(near)
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._target) as far:
            ends = {near: far, far: near}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    try:
                        data = end.recv(65536)
                    except OSError:
                        data = b""
                    if not data:
                        with self._lock:
                            self._open.discard(near)
                        return
                    ends[end].sendall(data)


def session(api: Api) -> None:
    """Log in, refresh, launch, resume, log out: every step must hold."""
    api.login()
    assert api.result("composer/launchdesktop")["authorization"]
    api.token = api.result("auth/refreshtoken")["jwt_user_token"]
    assert api.result("composer/launchdesktop")["vncpassword"]
    assert api.result("composer/listcontainer") == []
    assert api.result("auth/logout") == {"url": "/"}
    api.token = None


def pod_of(stack: Stack, api: Api) -> dict[str, Any]:
    """The desktop of the user of ``api``, of whom there is no other pod."""
    path = f"/api/v1/namespaces/{stack.namespace}/pods?labelSelector=access_userid%3D{api.userid}"
    [pod] = stack.cluster_admin("GET", path)["items"]
    found: dict[str, Any] = pod
    return found


# --- stores away ------------------------------------------------------------------------------------------------------


def test_a_whole_session_needs_neither_mongodb_nor_memcached(own_service: Callable[..., Service]) -> None:
    away = {"memcacheserver": "127.0.0.1", "memcacheport": free_port(), "fail2ban": {"enable": True}}
    service = own_service(away, environment={"MONGODB_URL": f"mongodb://127.0.0.1:{free_port()}"})
    with Api(service.url, service.api_key) as api:
        session(api)


def test_sessions_go_on_when_mongodb_and_memcached_die(stack: Stack, own_service: Callable[..., Service]) -> None:
    if stack.memcached is None:
        pytest.skip("needs memcached")
    assert stack.mongodb_url is not None
    place = stack.mongodb_url.rpartition("/")[2].rpartition("@")[2]
    host, _, port = place.rpartition(":")
    parameters = [part for part in stack.mongodb_parameters.split("&") if part and not part.startswith("replicaSet=")]
    with Wire((host, int(port))) as mongodb, Wire(stack.memcached) as memcached:
        service = own_service(
            {"memcacheserver": "127.0.0.1", "memcacheport": memcached.port, "fail2ban": {"enable": True}},
            environment={
                "MONGODB_URL": stack.mongodb_url.replace(place, f"127.0.0.1:{mongodb.port}"),
                # without the name of the replica set: its members would be asked for by their own addresses
                "MONGODB_PARAM": "&".join(["directConnection=true", *parameters]),
            },
        )

        def states(api: Api) -> tuple[bool, bool]:
            found = api.manager("GET", "healthz?verbose").json()["dependencies"]
            return found["mongodb"]["ok"], found["memcached"]["ok"]

        with Api(service.url, service.api_key) as api, Api(service.url, service.api_key) as before:
            assert eventually(lambda: states(api) == (True, True)), service.log_tail(4000)
            before.login()
            before.result("composer/launchdesktop")
            for wire in (mongodb, memcached):
                wire.cut()
            session(api)
            assert before.result("composer/launchdesktop")["authorization"], "resumed"
            assert before.result("auth/logout") == {"url": "/"}
            assert eventually(lambda: states(api) == (False, False))


# --- key rotation -----------------------------------------------------------------------------------------------------


def test_the_key_of_user_tokens_is_changed_without_a_login_lost(
    own_service: Callable[..., Service], backends: Backends, tmp_path: Path
) -> None:
    old, new = backends.keys.user_signing, make_keys(tmp_path, "new", 2048)

    def keys(private: Path, public: Path, previous: Path) -> dict[str, Any]:
        files = {"jwtuserprivatekeyfile": private, "jwtuserpublickeyfile": public}
        named = {**files, "jwtuserpublickeyfile_previous": previous}
        return {"jwt_token_user": {"exp": 360, **{key: str(path) for key, path in named.items()}}}

    # first every replica learns the coming key, then they change over one by one
    waiting = own_service(keys(old.private, old.public, new.public))
    changed = own_service(keys(new.private, new.public, old.public))
    alone = own_service({"jwt_token_user": keys(new.private, new.public, old.public)["jwt_token_user"] | {
        "jwtuserpublickeyfile_previous": None}})  # fmt: skip
    with Api(waiting.url) as one, Api(changed.url) as two, Api(alone.url) as three:
        one.login()
        with_old = str(one.token)
        assert two.post("user/whoami", token=with_old).json()["userid"] == one.userid
        renewed = two.result("auth/refreshtoken", token=with_old)["jwt_user_token"]
        jwt.decode(renewed, new.public.read_bytes(), algorithms=["RS256"])
        for client in (one, two, three):
            assert client.post("user/whoami", token=renewed).json()["userid"] == one.userid
        assert three.post("auth/refreshtoken", token=with_old).status_code == 401, "the change is over"
        one.result("auth/logout", token=renewed)


def test_key_files_are_read_at_the_start_only(own_service: Callable[..., Service], tmp_path: Path) -> None:
    user, desktop, payload = (make_keys(tmp_path, name, 2048) for name in ("user", "desktop", "payload"))
    service = own_service(
        {
            "jwt_token_user": {
                "exp": 360,
                "jwtuserprivatekeyfile": str(user.private),
                "jwtuserpublickeyfile": str(user.public),
            },
            "jwt_token_desktop": desktop_keys(desktop, payload),
        }
    )
    for keys in (user, desktop, payload):
        for file in (keys.private, keys.public, keys.pkcs1):
            file.unlink()
    with Api(service.url) as api:
        session(api)


@pytest.mark.parametrize("bits", [512, 2048])
def test_the_router_reads_the_desktop_token_of_a_launch_also_with_an_old_short_payload_key(
    own_service: Callable[..., Service], stack: Stack, tmp_path: Path, bits: int
) -> None:
    signing, payload = make_keys(tmp_path, "desktop", 2048), make_keys(tmp_path, "payload", bits)
    service = own_service({"jwt_token_desktop": desktop_keys(signing, payload)})
    with Api(service.url) as api:
        api.login()
        desktop = api.result("composer/launchdesktop")
        assert route(desktop["authorization"], signing, payload) == pod_of(stack, api)["status"]["podIP"]
        api.result("auth/logout")
    assert ("512 bits" in service.log_path.read_text()) is (bits == 512)


def desktop_keys(signing: KeyFiles, payload: KeyFiles) -> dict[str, Any]:
    return {
        "exp": 420,
        "jwtdesktopprivatekeyfile": str(signing.private),
        "jwtdesktoppublickeyfile": str(signing.public),
        "payloaddesktoppublickeyfile": str(payload.pkcs1),
    }


# --- bans -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    bans = {
        "enable": True,
        "failsbeforeban": 3,
        "banexpireafterseconds": 600,
        "protectednetworks": ["198.51.100.0/24", "2001:db8:aaaa::/48"],
    }
    with Service(tmp_path_factory.mktemp("guarded"), backends, overrides={"fail2ban": bans}) as service:
        yield service


@pytest.fixture
def visitor(guarded: Service) -> Iterator[Api]:
    with Api(guarded.url, guarded.api_key) as client:
        yield client
        client.manager("DELETE", "ban/ipaddr")


def fail(client: Api, address: str | None) -> None:
    headers = {} if address is None else {"X-Forwarded-For": address, "X-Real-IP": address}
    assert client.post("auth/refreshtoken", token="a.b.c", headers=headers).status_code == 401


def is_banned(client: Api, address: str | None) -> bool:
    headers = {} if address is None else {"X-Forwarded-For": address, "X-Real-IP": address}
    answer = client.post("auth/auth", {"provider": "anonymous"}, headers=headers)
    if answer.status_code == 200:
        client.post("auth/logout", token=answer.json()["result"]["jwt_user_token"], headers=headers)
        return False
    assert (answer.status_code, answer.json()["message"]) == (401, "ip address is banned")
    return True


@pytest.mark.parametrize(
    ("spellings", "neighbour"),
    [
        (["203.0.113.21", "::ffff:203.0.113.21", "::FFFF:cb00:7115"], "203.0.113.22"),
        (["2001:db8::21", "2001:DB8:0:0::21", "2001:0db8:0000:0000:0000:0000:0000:0021"], "2001:db8::22"),
    ],
)
def test_spellings_of_one_address_are_banned_together_after_exactly_three_failures(
    visitor: Api, spellings: list[str], neighbour: str
) -> None:
    for spelling in spellings[:2]:
        fail(visitor, spelling)
    assert not is_banned(visitor, spellings[0])
    fail(visitor, spellings[2])
    assert [is_banned(visitor, spelling) for spelling in spellings] == [True, True, True]
    assert not is_banned(visitor, neighbour)


@pytest.mark.parametrize("address", ["198.51.100.9", "::ffff:198.51.100.9", "2001:db8:aaaa::9"])
def test_protected_networks_are_never_banned(visitor: Api, address: str) -> None:
    for _ in range(5):
        fail(visitor, address)
    assert not is_banned(visitor, address)


@pytest.mark.parametrize("forwarded", ["unknown", "", "203.0.113.300", "203.0.113.7;x", "evil\u00e9"])
def test_the_router_is_never_banned_for_what_it_passes_on(visitor: Api, forwarded: str) -> None:
    for _ in range(5):
        fail(visitor, forwarded)
    assert not is_banned(visitor, forwarded)
    assert not is_banned(visitor, "203.0.113.77")
    assert visitor.manager("GET", "ban/ipaddr").json() == []


# --- rules about where a user is --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def placed(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("placed")
    database = directory / "ipasn_db.dat"
    database.write_text(ASN_DATABASE)
    tests: dict[str, dict[str, Any]] = {
        "carrier": {"asnumber": ["AS3215", 12807]},
        "office": {"network": ["81.2.69.0/24", "2a01:c000::/24"]},
        "paris": {"geolocation": {"accuracy": 20000, "latitude": 48.8582, "longitude": 2.3387}},
        "frontdoor": {"httpheader": {"X-Door": "front"}},
        "anydoor": {"existhttpheader": ["X-Door"]},
        "forwarded": {"network-x-forwarded-for": "81.2.69.0/24"},
        "real": {"network-x-real-ip": "81.2.69.0/24"},
    }
    rules = {
        name: {"conditions": [{**test, "expected": True}], "expected": True, "label": name}
        for name, test in tests.items()
    }
    managers = {"implicit": {"providers": {"anonymous": {"policies": {"rules": rules}}}}}
    overrides = {"authmanagers": managers, "asn.database": str(database)}
    with Service(directory / "pyos", backends, overrides=overrides) as service:
        yield service


@pytest.mark.parametrize(
    ("headers", "place", "labels"),
    [
        ({}, None, {"ipsource": "127.0.0.1"}),
        (
            {"X-Forwarded-For": "81.2.69.160"},
            None,
            {"ipsource": "81.2.69.160", "asnumber": "3215", "carrier": "true", "office": "true", "forwarded": "true"},
        ),
        (
            {"X-Forwarded-For": "::ffff:81.2.69.160", "X-Real-IP": "81.2.69.160"},
            None,
            {"ipsource": "81.2.69.160", "asnumber": "3215", "carrier": "true", "office": "true", "forwarded": "true",
             "real": "true"},
        ),
        (
            {"X-Forwarded-For": "2a01:c000::1"},
            None,
            {"ipsource": "2a01-c000--1", "asnumber": "12807", "carrier": "true", "office": "true"},
        ),
        ({}, PARIS, {"ipsource": "127.0.0.1", "paris": "true"}),
        ({}, {**PARIS, "latitude": 50}, {"ipsource": "127.0.0.1"}),
        ({"X-Door": "front"}, None, {"ipsource": "127.0.0.1", "frontdoor": "true", "anydoor": "true"}),
        ({"X-Door": "back"}, "nowhere", {"ipsource": "127.0.0.1", "anydoor": "true"}),
    ],
)  # fmt: skip
def test_rules_see_network_place_system_and_headers_of_a_login(
    placed: Service, stack: Stack, headers: dict[str, str], place: object, labels: dict[str, str]
) -> None:
    with Api(placed.url, placed.api_key) as api:
        body = {"provider": "anonymous", "geolocation": place}
        answer = api.post("auth/auth", body, headers=headers)
        assert answer.status_code == 200, answer.text
        api.token, api.userid = (answer.json()["result"][key] for key in ("jwt_user_token", "userid"))
        assert api.result("auth/labels") == labels
        if "X-Real-IP" in headers:
            api.result("composer/launchdesktop")
            assert labels.items() <= pod_of(stack, api)["metadata"]["labels"].items()
        api.post("auth/logout")
