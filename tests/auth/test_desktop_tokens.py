"""The desktop token, read as the router reads it: verify, decode base64, decrypt with the payload private key."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from oc.auth.keys import KeyFileError
from oc.auth.tokens import DesktopTokens
from oc.errors import ODError

from .support import START, DesktopTokenConfig, FakeClock, KeyFiles


def route(token: str, signing: KeyFiles, payload: KeyFiles) -> str:
    """What the router makes of a token: the target, or an exception."""
    options: Any = {"verify_exp": False, "require": ["exp", "hash"]}
    claims = jwt.decode(token, signing.public.read_bytes(), algorithms=["RS256"], options=options)
    key = load_pem_private_key(payload.private.read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return key.decrypt(base64.b64decode(claims["hash"], validate=True), PKCS1v15()).decode("ascii")


def tokens_for(signing: KeyFiles, public: Path, clock: FakeClock) -> DesktopTokens:
    return DesktopTokens(DesktopTokenConfig(signing.private, signing.public, public), clock)


@pytest.mark.parametrize("bits", [512, 1024, 2048])
@pytest.mark.parametrize("form", ["public", "pkcs1"])
def test_the_router_finds_the_target_with_keys_of_every_size(
    signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock, bits: int, form: str
) -> None:
    payload = payload_keys[bits]
    token = tokens_for(signing, getattr(payload, form), clock).issue("10.0.0.17")
    assert route(token, signing, payload) == "10.0.0.17"


@pytest.mark.parametrize("bits", [512, 1024])
def test_a_short_payload_key_is_warned_about(
    signing: KeyFiles,
    payload_keys: dict[int, KeyFiles],
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    bits: int,
) -> None:
    tokens_for(signing, payload_keys[bits].pkcs1, clock)
    assert any(f"{bits} bits" in record.getMessage() for record in caplog.records)


def test_openssl_decrypts_the_target_too(
    signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock
) -> None:
    payload = payload_keys[2048]
    token = tokens_for(signing, payload.pkcs1, clock).issue("fry.desktop.abcdesktop.svc.cluster.local")
    claims: Any = jwt.decode(token, options={"verify_signature": False})
    decrypt = ["openssl", "pkeyutl", "-decrypt", "-inkey", str(payload.private), "-pkeyopt", "rsa_padding_mode:pkcs1"]
    answer = subprocess.run(
        decrypt, input=base64.b64decode(claims["hash"]), capture_output=True, timeout=30, check=True
    )
    assert answer.stdout == b"fry.desktop.abcdesktop.svc.cluster.local"


def test_a_token_holds_exactly_the_documented_claims(
    signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock
) -> None:
    token = tokens_for(signing, payload_keys[2048].pkcs1, clock).issue("10.0.0.1")
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT"}
    claims: Any = jwt.decode(token, options={"verify_signature": False})
    assert sorted(claims) == ["exp", "hash", "key", "nfb"]
    assert (claims["key"], claims["nfb"], claims["exp"]) == (0, int(START), int(START) + 420)
    assert "\n" not in claims["hash"]
    assert len(claims["hash"]) % 4 == 0


def test_a_token_is_safe_in_a_url(signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock) -> None:
    token = tokens_for(signing, payload_keys[2048].pkcs1, clock).issue("10.0.0.1")
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize(("target", "plain"), [("fd00::17", "[fd00::17]"), ("::1", "[::1]"), ("10.1.2.3", "10.1.2.3")])
def test_an_ipv6_target_is_bracketed(
    signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock, target: str, plain: str
) -> None:
    payload = payload_keys[2048]
    assert route(tokens_for(signing, payload.pkcs1, clock).issue(target), signing, payload) == plain


@pytest.mark.parametrize(("bits", "room"), [(512, 53), (1024, 117), (2048, 245)])
def test_a_target_is_kept_whole_or_refused_never_cut(
    signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock, bits: int, room: int
) -> None:
    payload = payload_keys[bits]
    tokens = tokens_for(signing, payload.pkcs1, clock)
    longest = "d" * room
    assert route(tokens.issue(longest), signing, payload) == longest
    with pytest.raises(ODError, match=f"{room + 1} characters.* {room} at most") as caught:
        tokens.issue("d" * (room + 1))
    assert caught.value.status == 500


@pytest.mark.parametrize("target", ["", "désktop", "a b", "a\n", "host/../x", "\0"])
def test_a_target_that_is_no_host_is_refused(
    signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock, target: str
) -> None:
    with pytest.raises(ODError, match="no valid address"):
        tokens_for(signing, payload_keys[2048].pkcs1, clock).issue(target)


def test_a_user_token_routes_nowhere(signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock) -> None:
    """Even where an installation uses one signing key for both: the router requires the hash claim."""
    from oc.auth.tokens import UserTokens
    from oc.model.identity import Identity

    from .support import UserTokenConfig

    user = UserTokens(UserTokenConfig(signing.private, signing.public), clock)
    token = user.issue(Identity("planet", "ldap", "fry", "Fry"))
    with pytest.raises(jwt.MissingRequiredClaimError):
        route(token, signing, payload_keys[2048])


def test_a_missing_payload_key_is_named(signing: KeyFiles, clock: FakeClock, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"jwt_token_desktop payload.*absent\.pem"):
        tokens_for(signing, tmp_path / "absent.pem", clock)


def test_a_payload_key_of_another_kind_is_refused(signing: KeyFiles, clock: FakeClock, tmp_path: Path) -> None:
    private, public = tmp_path / "ec.pem", tmp_path / "ec_public.pem"
    for command in (
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private],
        ["openssl", "ec", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    with pytest.raises(KeyFileError, match="not RSA"):
        tokens_for(signing, public, clock)


def test_two_tokens_for_one_target_differ(
    signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock
) -> None:
    tokens = tokens_for(signing, payload_keys[2048].pkcs1, clock)
    assert tokens.issue("10.0.0.1") != tokens.issue("10.0.0.1")
