"""A page polls with the same token: its signature is verified once, everything else each time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from typing import Any

import pytest
from jwt import PyJWS

from oc.auth import tokens as module
from oc.auth.tokens import TokenExpiredError, TokenInvalidError, UserTokens
from oc.model.identity import Identity

from .support import FakeClock, KeyFiles, UserTokenConfig

FRY = Identity("planet", "ldap", "fry", "Philip J. Fry", {"shipcrew": "true"}, ("staff",), "AD")


@pytest.fixture
def tokens(signing: KeyFiles, clock: FakeClock) -> UserTokens:
    return UserTokens(UserTokenConfig(signing.private, signing.public), clock)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every token that is verified from now on."""
    seen: list[str] = []
    decode = PyJWS.decode

    def counting(self: PyJWS, jwt: str, *args: Any, **options: Any) -> Any:
        seen.append(jwt)
        return decode(self, jwt, *args, **options)

    monkeypatch.setattr(PyJWS, "decode", counting)
    return seen


def test_the_signature_of_a_token_is_verified_once(tokens: UserTokens, verified: list[str]) -> None:
    token = tokens.issue(FRY)
    assert [tokens.decode(token) for _ in range(5)] == [FRY] * 5
    assert verified == [token]


def test_each_token_is_verified_for_itself(tokens: UserTokens, clock: FakeClock, verified: list[str]) -> None:
    first = tokens.issue(FRY)
    clock.advance(1)
    second = tokens.issue(FRY)
    assert tokens.decode(first) == tokens.decode(second)
    assert verified == [first, second]


def test_a_known_token_expires_to_the_second(tokens: UserTokens, clock: FakeClock) -> None:
    token = tokens.issue(FRY)
    tokens.decode(token)
    clock.advance(379)
    assert tokens.decode(token) == FRY
    clock.advance(1)
    for _ in range(2):
        with pytest.raises(TokenExpiredError):
            tokens.decode(token)


def test_a_known_token_is_refused_before_its_time_too(tokens: UserTokens, clock: FakeClock) -> None:
    token = tokens.issue(FRY)
    tokens.decode(token)
    clock.advance(-100)
    with pytest.raises(TokenExpiredError):
        tokens.decode(token)
    clock.advance(100)
    assert tokens.decode(token) == FRY


def test_a_token_that_was_refused_is_verified_again(tokens: UserTokens, foreign: KeyFiles, verified: list[str]) -> None:
    token = UserTokens(UserTokenConfig(foreign.private, foreign.public)).issue(FRY)
    for _ in range(3):
        with pytest.raises(TokenInvalidError):
            tokens.decode(token)
    assert len(verified) == 3


def test_nothing_near_a_known_token_is_taken_for_it(tokens: UserTokens, signing: KeyFiles) -> None:
    token = tokens.issue(FRY)
    tokens.decode(token)
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["user"]["userid"] = "leela"
    other = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    mac = hmac.new(signing.public.read_bytes(), f"{head}.{other}".encode(), hashlib.sha256).digest()
    for forged in (
        f"{head}.{other}.{signature}",
        f"{head}.{other}.{base64.urlsafe_b64encode(mac).decode()}",
        f"{head}.{payload}.",
        f"{token[:-8]}AAAAAAAA",
        f"{token}.",
        f" {token}",
    ):
        with pytest.raises(TokenInvalidError):
            tokens.decode(forged)


def test_what_one_service_knows_another_does_not(signing: KeyFiles, foreign: KeyFiles, clock: FakeClock) -> None:
    """After a change of keys there is a new object: nothing is carried over."""
    old = UserTokens(UserTokenConfig(signing.private, signing.public), clock)
    token = old.issue(FRY)
    old.decode(token)
    with pytest.raises(TokenInvalidError):
        UserTokens(UserTokenConfig(foreign.private, foreign.public), clock).decode(token)


def test_what_requests_share_of_a_known_token_cannot_be_changed(tokens: UserTokens) -> None:
    labels: Any = tokens.decode(tokens.issue(FRY)).labels
    with pytest.raises(TypeError):
        labels["admin"] = "true"


def test_a_bounded_number_of_tokens_is_known_and_the_oldest_make_room(
    tokens: UserTokens, clock: FakeClock, verified: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    issued = []
    for _ in range(3):
        clock.advance(1)
        issued.append(tokens.issue(FRY))
        tokens.decode(issued[-1])
    verified.clear()
    for token in reversed(issued):
        tokens.decode(token)
    assert verified == [issued[0]]


def test_threads_that_read_at_once_all_get_the_right_user(tokens: UserTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 3)
    issued = {name: tokens.issue(Identity("p", "ldap", name, name)) for name in "abcdefgh"}
    wrong: list[str] = []

    def read() -> None:
        wrong.extend(name for _ in range(20) for name, token in issued.items() if tokens.decode(token).userid != name)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
