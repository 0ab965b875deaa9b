"""One-shot keys (http-api.md 5.6) and TURN accounts (5.7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from controllers.webrtc_controller import turn_server
from devstack.keys import KeyFiles, ensure_keys
from devstack.service import Service
from oc.errors import BadRequestError, ODResourceNotFoundError, UnavailableError
from oc.od.keymanager import KeyManager
from oc.od.settings import settings_from_mapping
from oc.sharecache import LocalCache
from tests.support import Api

NOW = 1_800_000_000.0
COTURN = {"coturn_static_auth_secret": "north", "url": "turn.example.org:3478", "protocol": "turn"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> KeyFiles:
    return ensure_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def manager(keys: KeyFiles) -> KeyManager:
    return make_manager(keys, LocalCache())


def make_manager(keys: KeyFiles, cache: LocalCache) -> KeyManager:
    values = {"exp": 420, "jwtdesktopprivatekeyfile": str(keys.desktop_signing.private)}
    settings = settings_from_mapping({"desktop.pod": {}, "jwt_token_desktop": values}, {}).jwt_desktop
    return KeyManager(settings, cache, clock=lambda: NOW)


def claims_of(token: str, keys: KeyFiles) -> dict[str, object]:
    public = load_pem_public_key(keys.desktop_signing.public.read_bytes())
    return jwt.decode(token, public, algorithms=["RS256"], options={"verify_exp": False})


def test_the_public_half_leaves_signed_and_the_private_half_waits_in_the_cache(keys: KeyFiles):
    cache = LocalCache()
    claims = claims_of(make_manager(keys, cache).create(), keys)
    private = load_pem_private_key(str(cache.get(f"priv.{claims['name']}")).encode(), None)
    public = load_pem_public_key(str(claims["publickey"]).encode())
    assert private.public_key() == public
    assert claims["exp"] == NOW + 420


def test_every_key_is_another_one(manager: KeyManager, keys: KeyFiles):
    first, second = (claims_of(manager.create(), keys) for _ in range(2))
    assert first["name"] != second["name"]
    assert first["publickey"] != second["publickey"]


@pytest.mark.parametrize("length", [0, 1024, 2047, 8192, -1])
def test_other_lengths_are_refused(manager: KeyManager, length):
    with pytest.raises(BadRequestError):
        manager.create(length)


def encrypted(public: object, data: bytes) -> bytes:
    key = load_pem_public_key(str(public).encode())
    assert isinstance(key, rsa.RSAPublicKey)
    return key.encrypt(data, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))


def test_what_was_encrypted_with_a_key_is_read_once(manager: KeyManager, keys: KeyFiles):
    claims = claims_of(manager.create(), keys)
    data = encrypted(claims["publickey"], b"a secret")
    assert manager.decrypt(str(claims["name"]), data) == b"a secret"
    with pytest.raises(ODResourceNotFoundError):
        manager.decrypt(str(claims["name"]), data)


def test_a_key_is_spent_by_wrong_data_too(manager: KeyManager, keys: KeyFiles):
    first, second = (claims_of(manager.create(), keys) for _ in range(2))
    with pytest.raises(BadRequestError):
        manager.decrypt(str(first["name"]), encrypted(second["publickey"], b"x"))
    with pytest.raises(ODResourceNotFoundError):
        manager.decrypt(str(first["name"]), encrypted(first["publickey"], b"x"))


@pytest.mark.parametrize("name", ["", "x", "../priv", "00000000-0000-4000-8000-000000000000", "A" * 36])
def test_a_key_nobody_made_is_unknown(manager: KeyManager, name):
    with pytest.raises(ODResourceNotFoundError):
        manager.decrypt(name, b"data")


def test_without_a_cache_no_key_is_made(keys: KeyFiles):
    class Away(LocalCache):
        def set(self, key: str, value: str, ttl: int) -> bool:
            return False

    with pytest.raises(UnavailableError):
        make_manager(keys, Away()).create()


def test_the_key_route_answers_a_token_to_operators(api: Api):
    answer = api.get("key/key?length=2048&format=rsa")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/jwt")
    assert jwt.decode(answer.text, options={"verify_signature": False})["publickey"].startswith("-----BEGIN PUBLIC KEY")
    for length in ("1024", "abc", "", "99999999999"):
        assert api.get(f"key/key?length={length}").status_code == 400
    assert api.post("key/key").status_code == 405


def test_a_turn_account_is_what_coturn_expects():
    server = turn_server({**COTURN, "ttl": 600}, NOW)
    assert server["urls"] == "turn:turn.example.org:3478"
    assert server["username"] == str(int(NOW) + 600)
    expected = hmac.new(b"north", server["username"].encode(), hashlib.sha1).digest()
    assert base64.b64decode(server["credential"]) == expected


def test_a_turn_account_lasts_an_hour_by_default():
    assert turn_server(COTURN, NOW)["username"] == str(int(NOW) + 3600)


@pytest.mark.parametrize("missing", sorted(COTURN))
def test_an_incomplete_turn_configuration_is_400(missing):
    with pytest.raises(BadRequestError):
        turn_server({key: value for key, value in COTURN.items() if key != missing}, NOW)


def test_the_turn_route_adds_a_server_and_hides_the_account_from_the_log(own_service: Callable[..., Service]):
    ice = {"iceServers": [{"urls": "stun:stun.example.org"}]}
    service = own_service({"webrtc.coturn": COTURN, "webrtc.rtc_configuration": ice})
    with Api(service.url) as api:
        assert api.post("webrtc/coturn_rtcconfiguration").status_code == 401
        api.login()
        first = api.result("webrtc/coturn_rtcconfiguration")["iceServers"]
        assert [server["urls"] for server in first] == ["stun:stun.example.org", "turn:turn.example.org:3478"]
        assert len(api.result("webrtc/coturn_rtcconfiguration")["iceServers"]) == 2
    assert first[1]["credential"] not in service.log_path.read_text()


def test_without_a_turn_server_the_route_is_400(api: Api):
    api.login()
    assert api.post("webrtc/coturn_rtcconfiguration").status_code == 400
