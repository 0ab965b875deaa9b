"""The user token: what it says, how long it counts, and what is never taken for one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oc.auth.keys import KeyFileError
from oc.auth.tokens import MAX_TOKEN, DesktopTokens, TokenExpiredError, TokenInvalidError, UserTokens
from oc.errors import ODError
from oc.model.identity import Identity

from .support import START, DesktopTokenConfig, FakeClock, KeyFiles, UserTokenConfig, make_keys

FRY = Identity(
    provider="planet",
    providertype="ldap",
    userid="fry",
    name="Philip J. Fry",
    labels={"shipcrew": "true", "ipsource": "10.0.2.216"},
    roles=("ship_crew", "staff"),
    domain="AD",
)


@pytest.fixture
def tokens(signing: KeyFiles, clock: FakeClock) -> UserTokens:
    return UserTokens(UserTokenConfig(signing.private, signing.public), clock)


@pytest.fixture
def forge(signing: KeyFiles) -> Callable[[dict[str, Any]], str]:
    """Sign any claims with the right key."""
    return lambda claims: jwt.encode(claims, signing.private.read_bytes(), algorithm="RS256")


def claims(**changes: Any) -> dict[str, Any]:
    document = {
        "exp": int(START) + 360,
        "nbf": int(START),
        "auth": {"provider": "planet", "providertype": "ldap", "data": {"labels": {}}},
        "user": {"name": "Fry", "userid": "fry"},
        "roles": {},
    }
    document.update(changes)
    return {key: value for key, value in document.items() if value is not ...}


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_token_holds_exactly_the_documented_claims(tokens: UserTokens, signing: KeyFiles) -> None:
    token = tokens.issue(FRY)
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT"}
    options: Any = {"verify_exp": False, "verify_nbf": False}
    assert jwt.decode(token, signing.public.read_bytes(), algorithms=["RS256"], options=options) == {
        "exp": int(START) + 360,
        "nbf": int(START),
        "auth": {
            "provider": "planet",
            "providertype": "ldap",
            "data": {"domain": "AD", "labels": {"shipcrew": "true", "ipsource": "10.0.2.216"}},
        },
        "user": {"name": "Philip J. Fry", "userid": "fry"},
        "roles": {"ship_crew": None, "staff": None},
    }


def test_without_a_domain_the_claim_is_absent_and_labels_are_still_a_dict(tokens: UserTokens) -> None:
    token = tokens.issue(Identity("anonymous", "anonymous", "u", "n"))
    payload = token.split(".")[1]
    body = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert body["auth"]["data"] == {"labels": {}}
    assert body["roles"] == {}


def test_a_decoded_token_is_the_identity_that_was_issued(tokens: UserTokens) -> None:
    assert tokens.decode(tokens.issue(FRY)) == FRY


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=80)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(provider=names, name=names, userid=names, roles=st.lists(names, max_size=5, unique=True))
def test_any_text_survives_the_journey(
    tokens: UserTokens, provider: str, name: str, userid: str, roles: list[str]
) -> None:
    identity = Identity(provider, "ldap", userid, name, {}, tuple(roles))
    assert tokens.decode(tokens.issue(identity)) == identity


def test_labels_that_are_no_user_labels_stay_out_of_the_token(tokens: UserTokens) -> None:
    labels = {"good": "yes", "access_userid": "leela", "bad key": "x", "ok": "bad value!", "netpol/x": "true"}
    identity = Identity("p", "t", "u", "n", labels)
    assert tokens.decode(tokens.issue(identity)).labels == {"good": "yes"}


def test_reserved_labels_of_a_signed_token_are_ignored(
    tokens: UserTokens, forge: Callable[[dict[str, Any]], str]
) -> None:
    auth = {"provider": "p", "providertype": "t", "data": {"labels": {"access_userid": "leela", "a": "b"}}}
    assert tokens.decode(forge(claims(auth=auth))).labels == {"a": "b"}


@pytest.mark.parametrize("seconds", [0, 359, 379])
def test_a_token_counts_until_its_end_plus_the_leeway(tokens: UserTokens, clock: FakeClock, seconds: int) -> None:
    token = tokens.issue(FRY)
    clock.advance(seconds)
    assert tokens.decode(token).userid == "fry"


@pytest.mark.parametrize("seconds", [380, 381, 10**6])
def test_a_token_older_than_that_has_expired(tokens: UserTokens, clock: FakeClock, seconds: int) -> None:
    token = tokens.issue(FRY)
    clock.advance(seconds)
    with pytest.raises(TokenExpiredError) as caught:
        tokens.decode(token)
    assert caught.value.status == 401


def test_a_token_of_a_replica_whose_clock_is_ahead_counts_within_the_leeway(
    tokens: UserTokens, clock: FakeClock
) -> None:
    token = tokens.issue(FRY)
    clock.advance(-20)
    assert tokens.decode(token) == FRY
    clock.advance(-1)
    with pytest.raises(TokenExpiredError):
        tokens.decode(token)


@pytest.mark.parametrize("claim", ["exp", "nbf", "auth", "user", "roles"])
def test_a_token_without_one_of_the_five_claims_is_refused(
    tokens: UserTokens, forge: Callable[[dict[str, Any]], str], claim: str
) -> None:
    assert tokens.decode(forge(claims())).userid == "fry"
    with pytest.raises(TokenInvalidError):
        tokens.decode(forge(claims(**{claim: ...})))


@pytest.mark.parametrize(
    "changes",
    [
        {"auth": {"provider": "", "providertype": "ldap"}},
        {"auth": {"provider": "planet"}},
        {"auth": {"provider": 5, "providertype": "ldap"}},
        {"auth": {"provider": "planet", "providertype": "ldap", "data": {"labels": ["a"]}}},
        {"auth": None},
        {"user": "fry"},
        {"user": {"userid": 5}},
        {"roles": ["a"]},
        {"roles": None},
    ],
)
def test_claims_of_a_wrong_shape_are_refused(
    tokens: UserTokens, forge: Callable[[dict[str, Any]], str], changes: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalidError):
        tokens.decode(forge(claims(**changes)))


def test_times_that_are_no_numbers_are_refused(tokens: UserTokens, signing: KeyFiles) -> None:
    for document in (claims(exp="soon"), claims(nbf=None), claims(exp=True)):
        signed = jwt.PyJWS().encode(json.dumps(document).encode(), signing.private.read_bytes(), algorithm="RS256")
        with pytest.raises(TokenInvalidError):
            tokens.decode(signed)


def test_a_token_without_userid_is_authenticated_but_not_identified(
    tokens: UserTokens, forge: Callable[[dict[str, Any]], str]
) -> None:
    assert tokens.decode(forge(claims(user={"name": "nobody"}))).userid == ""
    assert tokens.decode(forge(claims(user={"name": None, "userid": None}))).userid == ""


def test_a_token_of_the_3_x_line_without_labels_is_read(
    tokens: UserTokens, forge: Callable[[dict[str, Any]], str]
) -> None:
    auth = {"provider": "planet", "providertype": "ldap", "data": {}}
    assert tokens.decode(forge(claims(auth=auth))).labels == {}
    assert tokens.decode(forge(claims(auth={**auth, "data": None}))).labels == {}


def test_alg_none_is_refused(tokens: UserTokens) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        header = b64url(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
        body = b64url(json.dumps(claims()).encode())
        for signature in ("", "AAAA"):
            with pytest.raises(TokenInvalidError):
                tokens.decode(f"{header}.{body}.{signature}")


def test_hs256_with_the_public_key_as_secret_is_refused(tokens: UserTokens, signing: KeyFiles) -> None:
    header = b64url(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = b64url(json.dumps(claims()).encode())
    mac = hmac.new(signing.public.read_bytes(), f"{header}.{body}".encode(), hashlib.sha256).digest()
    with pytest.raises(TokenInvalidError):
        tokens.decode(f"{header}.{body}.{b64url(mac)}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_other_algorithms_with_the_right_key_are_refused(tokens: UserTokens, signing: KeyFiles, algorithm: str) -> None:
    token = jwt.encode(claims(), signing.private.read_bytes(), algorithm=algorithm)
    with pytest.raises(TokenInvalidError):
        tokens.decode(token)


def test_a_foreign_signature_is_refused(tokens: UserTokens, foreign: KeyFiles) -> None:
    with pytest.raises(TokenInvalidError):
        tokens.decode(jwt.encode(claims(), foreign.private.read_bytes(), algorithm="RS256"))


def test_an_expired_token_with_a_foreign_signature_is_invalid_not_expired(
    tokens: UserTokens, foreign: KeyFiles
) -> None:
    with pytest.raises(TokenInvalidError):
        tokens.decode(jwt.encode(claims(exp=1, nbf=0), foreign.private.read_bytes(), algorithm="RS256"))


def test_changed_claims_are_refused(tokens: UserTokens) -> None:
    header, _, signature = tokens.issue(FRY).split(".")
    body = b64url(json.dumps(claims(user={"name": "x", "userid": "leela"})).encode())
    with pytest.raises(TokenInvalidError):
        tokens.decode(f"{header}.{body}.{signature}")


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "é.é.é", "x" * 100_000, "eyJhbGciOiJSUzI1NiJ9..", "\0", "[" * 5000, "null"]
)
def test_garbage_is_refused(tokens: UserTokens, text: str) -> None:
    with pytest.raises(TokenInvalidError):
        tokens.decode(text)


@given(text=st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_no_text_makes_anything_but_a_401(tokens: UserTokens, text: str) -> None:
    with pytest.raises(TokenInvalidError):
        tokens.decode(text)


def test_an_oversize_token_is_refused_though_its_signature_is_right(
    tokens: UserTokens, forge: Callable[[dict[str, Any]], str]
) -> None:
    token = forge(claims(user={"name": "x" * MAX_TOKEN, "userid": "fry"}))
    assert len(token) > MAX_TOKEN
    with pytest.raises(TokenInvalidError):
        tokens.decode(token)


def test_thousands_of_roles_do_not_make_a_token_too_large_to_use(tokens: UserTokens) -> None:
    roles = tuple(f"group number {n:05}" for n in range(5000))
    token = tokens.issue(Identity("planet", "ldap", "fry", "n" * 100_000, {"a": "b"}, roles))
    assert len(token) <= MAX_TOKEN
    kept = tokens.decode(token).roles
    assert kept == roles[: len(kept)]
    assert len(kept) > 50


def test_labels_too_large_for_a_token_are_a_clear_error(tokens: UserTokens) -> None:
    labels = {f"label{n}": "v" * 60 for n in range(500)}
    with pytest.raises(ODError, match="too large"):
        tokens.issue(Identity("p", "t", "u", "n", labels))


def test_a_desktop_token_is_no_user_token(
    tokens: UserTokens, signing: KeyFiles, payload_keys: dict[int, KeyFiles], clock: FakeClock
) -> None:
    """Even where an installation uses one signing key for both."""
    desktop = DesktopTokens(DesktopTokenConfig(signing.private, signing.public, payload_keys[2048].pkcs1), clock)
    with pytest.raises(TokenInvalidError):
        tokens.decode(desktop.issue("10.0.0.1"))


def test_after_a_key_change_tokens_of_the_previous_key_still_count(
    signing: KeyFiles, foreign: KeyFiles, clock: FakeClock
) -> None:
    old = UserTokens(UserTokenConfig(foreign.private, foreign.public), clock)
    new = UserTokens(UserTokenConfig(signing.private, signing.public, public_key_file_previous=foreign.public), clock)
    assert new.decode(old.issue(FRY)) == FRY
    assert new.decode(new.issue(FRY)) == FRY
    with pytest.raises(TokenInvalidError):
        old.decode(new.issue(FRY))


def test_no_key_is_parsed_for_a_token(tokens: UserTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*arguments: object, **more: object) -> None:
        raise AssertionError("a key is parsed")

    for module in ("oc.auth.keys", "jwt.algorithms"):
        for name in ("load_pem_private_key", "load_pem_public_key"):
            monkeypatch.setattr(f"{module}.{name}", parse)
    assert tokens.decode(tokens.issue(FRY)) == FRY


def test_public_keys_are_read_in_both_forms(signing: KeyFiles, clock: FakeClock) -> None:
    tokens = UserTokens(UserTokenConfig(signing.private, signing.pkcs1), clock)
    assert tokens.decode(tokens.issue(FRY)) == FRY


def test_a_missing_key_file_is_named(signing: KeyFiles, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"jwt_token_user.*nowhere\.pem.*No such file"):
        UserTokens(UserTokenConfig(tmp_path / "nowhere.pem", signing.public))


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", b"\xff" * 100_000])
def test_a_key_file_that_holds_no_key_is_named_and_never_quoted(
    signing: KeyFiles, tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(content)
    for config in (UserTokenConfig(broken, signing.public), UserTokenConfig(signing.private, broken)):
        with pytest.raises(KeyFileError, match=r"broken\.pem") as caught:
            UserTokens(config)
        assert "AAAA" not in str(caught.value)


def test_a_private_key_in_the_place_of_the_public_one_is_refused(signing: KeyFiles) -> None:
    with pytest.raises(KeyFileError, match="public key"):
        UserTokens(UserTokenConfig(signing.private, signing.private))


def test_two_files_that_are_no_pair_stop_the_boot(signing: KeyFiles, foreign: KeyFiles) -> None:
    with pytest.raises(KeyFileError, match="not one key pair"):
        UserTokens(UserTokenConfig(signing.private, foreign.public))


def test_a_short_signing_key_works_with_one_warning(
    key_directory: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    keys = make_keys(key_directory, "short", 1024)
    tokens = UserTokens(UserTokenConfig(keys.private, keys.public), clock)
    assert sum("1024 bits" in record.getMessage() for record in caplog.records) == 2  # one a file
    caplog.clear()
    assert tokens.decode(tokens.issue(FRY)) == FRY
    assert not caplog.records
