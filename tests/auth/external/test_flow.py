"""State, verifier and nonce: bound to browser and provider, alive for ten minutes, good once."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.auth.oidc.flow import LIFETIME_SECONDS, LoginFlow, StateError, UsedStateError, cookie_values
from oc.sharecache import LocalCache
from tests.auth.support import FakeClock

KEY = b"k" * 32


def make(clock: FakeClock, cache: LocalCache | None = None, *, replaceable: bool = False) -> LoginFlow:
    return LoginFlow(KEY, lambda: cache, replaceable=replaceable, clock=clock)


@pytest.fixture
def flow(clock: FakeClock) -> LoginFlow:
    return make(clock)


def begin(flow: LoginFlow, provider: str = "planet") -> tuple[str, str]:
    browser = flow.browser([])
    return flow.cookie(browser), flow.start(provider, browser).state


def test_verifier_and_nonce_come_back_and_the_challenge_is_the_verifier_s_hash(flow: LoginFlow) -> None:
    browser = flow.browser([])
    start = flow.start("planet", browser)
    back = flow.finish("planet", start.state, [flow.cookie(browser)])
    assert (back.verifier, back.nonce) == (start.verifier, start.nonce)
    assert back.features is None
    digest = hashlib.sha256(start.verifier.encode()).digest()
    assert start.challenge == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert 43 <= len(start.verifier) <= 128
    assert start.verifier != start.nonce


def test_neither_verifier_nor_nonce_can_be_read_from_what_the_browser_holds(flow: LoginFlow) -> None:
    browser = flow.browser([])
    start = flow.start("planet", browser)
    seen = start.state + flow.cookie(browser) + browser + repr(start)
    decoded = base64.urlsafe_b64decode(start.state.partition(".")[0] + "==").decode()
    for secret in (start.verifier, start.nonce):
        assert secret not in seen
        assert secret not in decoded


def test_a_login_lives_ten_minutes(clock: FakeClock, flow: LoginFlow) -> None:
    cookie, state = begin(flow)
    clock.advance(LIFETIME_SECONDS - 1)
    flow.finish("planet", state, [cookie])
    clock.advance(1)
    with pytest.raises(StateError):
        flow.finish("planet", state, [cookie])


def test_an_old_state_is_refused_though_the_cookie_was_renewed(clock: FakeClock, flow: LoginFlow) -> None:
    browser = flow.browser([])
    state = flow.start("planet", browser).state
    clock.advance(LIFETIME_SECONDS)
    with pytest.raises(StateError):
        flow.finish("planet", state, [flow.cookie(browser)])


def test_a_browser_keeps_its_secret_while_its_cookie_lives(clock: FakeClock, flow: LoginFlow) -> None:
    browser = flow.browser([])
    cookie = flow.cookie(browser)
    assert flow.browser([cookie]) == browser
    assert flow.browser(["junk", cookie]) == browser
    clock.advance(LIFETIME_SECONDS)
    assert flow.browser([cookie]) != browser


def test_another_provider_browser_or_key_does_not_fit(clock: FakeClock, flow: LoginFlow) -> None:
    cookie, state = begin(flow)
    stranger, _ = begin(flow)
    elsewhere = LoginFlow(b"another key", clock=clock)
    attempts: list[Callable[[], object]] = [
        lambda: flow.finish("hub", state, [cookie]),
        lambda: flow.finish("planet", state, [stranger]),
        lambda: flow.finish("planet", state, []),
        lambda: elsewhere.finish("planet", state, [cookie]),
        lambda: flow.finish("planet", cookie, [cookie]),
        lambda: flow.finish("planet", state, [state]),
    ]
    for attempt in attempts:
        with pytest.raises(StateError):
            attempt()


@given(st.text(max_size=300))
def test_no_text_is_a_state_or_a_cookie_by_chance(text: str) -> None:
    flow = make(FakeClock())
    cookie, state = begin(flow)
    for given_state, given_cookie in ((text, cookie), (state, text)):
        with pytest.raises(StateError):
            flow.finish("planet", given_state, [given_cookie])


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_state_with_one_changed_character_is_refused(position: int, change: int) -> None:
    flow = make(FakeClock())
    cookie, state = begin(flow)
    position %= len(state)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[(alphabet.find(state[position]) + 1 + change % 62) % 64]
    changed = state[:position] + other + state[position + 1 :]
    if changed != state:
        with pytest.raises(StateError):
            flow.finish("planet", changed, [cookie])


# --- used once --------------------------------------------------------------------------------------------------------


def test_a_login_is_used_once_with_and_without_a_shared_cache(clock: FakeClock) -> None:
    for cache in (None, LocalCache(clock)):
        flow = make(clock, cache)
        flow.use("one")
        with pytest.raises(UsedStateError):
            flow.use("one")
        flow.use("two")


def test_a_login_used_at_one_replica_is_used_at_all_of_them(clock: FakeClock) -> None:
    cache = LocalCache(clock)
    make(clock, cache).use("one")
    with pytest.raises(UsedStateError):
        make(clock, cache).use("one")


class Away:
    """A shared cache that does not answer."""

    def add(self, key: str, value: str, ttl: int) -> bool | None:
        return None


def test_replay_is_refused_in_the_process_while_the_shared_cache_is_away(clock: FakeClock) -> None:
    flow = LoginFlow(KEY, Away, clock=clock)
    flow.use("one")
    with pytest.raises(UsedStateError):
        flow.use("one")


def test_used_logins_are_forgotten_only_after_their_state_is_dead(clock: FakeClock) -> None:
    flow = make(clock)
    flow.use("one")
    clock.advance(LIFETIME_SECONDS + 1)
    with pytest.raises(UsedStateError):
        flow.use("one")


# --- a front end that replaces the state ------------------------------------------------------------------------------

FEATURES = {"executeclassname": "silver"}


def encoded(value: object, alphabet: Callable[[bytes], bytes] = base64.b64encode) -> str:
    return alphabet(json.dumps(value).encode()).decode()


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
def test_features_in_place_of_the_state_are_taken_with_the_cookie_of_the_browser(
    clock: FakeClock, alphabet: Callable[[bytes], bytes]
) -> None:
    flow = make(clock, replaceable=True)
    browser = flow.browser([])
    start = flow.start("planet", browser)
    value = {**FEATURES, "more": "?>~ÿ"}
    back = flow.finish("planet", encoded(value, alphabet), [flow.cookie(browser)])
    assert back.features == value
    assert (back.verifier, back.nonce) == (start.verifier, start.nonce)
    assert back.login == flow.finish("planet", start.state, [flow.cookie(browser)]).login


def test_features_without_a_cookie_or_where_they_are_not_permitted_are_refused(clock: FakeClock) -> None:
    for flow, cookies in (
        (make(clock, replaceable=True), []),
        (make(clock, replaceable=True), ["junk"]),
        (make(clock), [make(clock).cookie("browser")]),
    ):
        with pytest.raises(StateError):
            flow.finish("planet", encoded(FEATURES), cookies)


@pytest.mark.parametrize("state", ["", "e30", encoded([1]), encoded("x"), "%%%", "W10=", encoded(FEATURES)[:-3]])
def test_only_a_json_object_replaces_the_state(clock: FakeClock, state: str) -> None:
    flow = make(clock, replaceable=True)
    cookie = flow.cookie(flow.browser([]))
    if state == "e30":  # an object, though an empty one
        assert flow.finish("planet", state, [cookie]).features == {}
        return
    with pytest.raises(StateError):
        flow.finish("planet", state, [cookie])


def test_one_cookie_is_good_for_one_such_login_with_each_provider(clock: FakeClock) -> None:
    flow = make(clock, replaceable=True)
    cookie = flow.cookie(flow.browser([]))
    flow.use(flow.finish("planet", encoded(FEATURES), [cookie]).login)
    with pytest.raises(UsedStateError):
        flow.use(flow.finish("planet", encoded({"executeclassname": "gold"}), [cookie]).login)
    flow.use(flow.finish("hub", encoded(FEATURES), [cookie]).login)


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("", []),
        ("a=b", []),
        ("abcdesktop_oauth=x", ["x"]),
        ('a=b; abcdesktop_oauth="x.y"; c=d', ["x.y"]),
        ("abcdesktop_oauth=1;abcdesktop_oauth=2", ["1", "2"]),
        ("xabcdesktop_oauth=1; abcdesktop_oauth", [""]),
        (";;=;", []),
    ],
)
def test_the_cookie_header_is_read(header: str, values: list[str]) -> None:
    assert cookie_values(header) == values
