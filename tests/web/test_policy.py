"""The controller policy of http-api.md 2.10, over HTTP and on its own."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.errors import AccessDeniedError
from oc.od.settings import ControllerPolicy
from oc.web.policy import KeyThrottle, check_policy, is_one_of

from .harness import Answer, serving
from .sample import SampleController

LOCAL = (ipaddress.ip_network("127.0.0.0/8"),)
ELSEWHERE = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
KEYS = ("first-key", "second-key")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(policy: ControllerPolicy, path: str = "/echo", headers: dict[str, str] | None = None) -> Answer:
    with serving(SampleController(policy)) as client:
        return client.post(f"/API/sample{path}", {}, headers)


def test_a_disabled_controller_is_403_10():
    policy = ControllerPolicy(enable=False, permitip=ELSEWHERE, apikey=KEYS)
    answer = ask(policy)
    assert answer.status == 403
    assert answer.json == {"status": 403, "message": "403.10 - Invalid configuration"}


def test_an_address_outside_permitip_is_403_7_before_the_key_is_looked_at():
    policy = ControllerPolicy(permitip=ELSEWHERE, apikey=KEYS)
    assert ask(policy, headers={"X-API-Key": KEYS[0]}).message == "403.7 - IP address access denied"


def test_an_address_inside_permitip_passes():
    assert ask(ControllerPolicy(permitip=LOCAL)).status == 200


def test_an_empty_permitip_denies_everybody():
    assert ask(ControllerPolicy(permitip=())).message.startswith("403.7 - ")


def test_no_filter_is_open():
    assert ask(ControllerPolicy()).status == 200


def test_a_claimed_address_does_not_pass_the_filter():
    policy = ControllerPolicy(permitip=ELSEWHERE)
    answer = ask(policy, headers={"X-Forwarded-For": "10.0.0.1, 203.0.113.9"})
    assert answer.message.startswith("403.7 - ")


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "null"}, {"X-API-Key": ""}, {"X-API-Key": "wrong"}])
def test_a_missing_or_wrong_key_is_403_1(headers):
    answer = ask(ControllerPolicy(permitip=LOCAL, apikey=KEYS), headers=headers)
    assert answer.json == {"status": 403, "message": "403.1 - Execute access forbidden"}


@pytest.mark.parametrize("name", ["X-API-Key", "X-API-KEY", "x-api-key", "X-Api-Key"])
@pytest.mark.parametrize("key", KEYS)
def test_each_key_passes_whatever_the_case_of_the_header(name, key):
    assert ask(ControllerPolicy(apikey=KEYS), headers={name: key}).status == 200


def test_a_path_that_names_no_method_is_403_12():
    assert ask(ControllerPolicy(), path="").message == "403.12 - Mapper denied access. Invalid request"
    assert ask(ControllerPolicy(), path="/").message == "403.12 - Mapper denied access. Invalid request"


def test_only_the_value_false_denies_a_method():
    policy = ControllerPolicy(requestsallowed={"echo": False, "options": True, "anything": None})
    assert ask(policy).message == "403.8 - Site access denied"
    assert ask(policy, path="/options").status == 200
    assert ask(policy, path="/anything").status == 200
    assert ask(policy, path="/nothing").status == 200


def test_a_denied_method_is_denied_below_its_path_too():
    policy = ControllerPolicy(requestsallowed={"thing": False})
    with serving(SampleController(policy)) as client:
        assert client.get("/API/sample/thing/x").message == "403.8 - Site access denied"


def test_the_policy_comes_before_route_method_token_and_body():
    policy = ControllerPolicy(apikey=KEYS)
    with serving(SampleController(policy)) as client:
        for method, path in (("POST", "unknown"), ("GET", "echo"), ("POST", "mine"), ("POST", "run")):
            answer = client.request(method, f"/API/sample/{path}", b"{", {"Content-Type": "text/plain"})
            assert answer.message == "403.1 - Execute access forbidden", path


def test_a_controller_without_policy_is_unaffected():
    assert ask(None).status == 200


def test_wrong_keys_are_throttled_by_address_and_the_answer_does_not_change():
    clock = Clock()
    throttle = KeyThrottle(limit=3, window=60, clock=clock)
    policy = ControllerPolicy(apikey=KEYS)
    with serving(SampleController(policy), throttle=throttle) as client:

        def send(key: str) -> Answer:
            return client.post("/API/sample/echo", {}, {"X-API-Key": key})

        for _ in range(3):
            assert send("guess").message == "403.1 - Execute access forbidden"
        assert send(KEYS[0]).message == "403.1 - Execute access forbidden"
        clock.now += 61
        assert send(KEYS[0]).status == 200


def test_a_console_without_key_is_not_throttled():
    throttle = KeyThrottle(limit=2, clock=Clock())
    policy = ControllerPolicy(apikey=KEYS)
    with serving(SampleController(policy), throttle=throttle) as client:
        for _ in range(5):
            client.post("/API/sample/echo", {}, {"X-API-Key": "null"})
            client.post("/API/sample/echo", {})
        assert client.post("/API/sample/echo", {}, {"X-API-Key": KEYS[1]}).status == 200


def test_throttling_one_address_leaves_others_alone():
    throttle = KeyThrottle(limit=1, clock=Clock())
    throttle.failed("203.0.113.9")
    assert throttle.is_blocked("203.0.113.9")
    assert not throttle.is_blocked("203.0.113.10")


def test_the_throttle_remembers_a_bounded_number_of_addresses():
    throttle = KeyThrottle(limit=1, clock=Clock(), most=10)
    for number in range(50):
        throttle.failed(f"198.51.100.{number}")
    assert not throttle.is_blocked("198.51.100.0")
    assert throttle.is_blocked("198.51.100.49")


def test_an_address_that_is_none_is_denied_where_a_filter_is_set():
    with pytest.raises(AccessDeniedError):
        check_policy(ControllerPolicy(permitip=LOCAL), ("x",), "unix", None, KeyThrottle())


def test_a_key_never_shows_in_the_representation_of_a_refusal():
    with pytest.raises(AccessDeniedError) as caught:
        check_policy(ControllerPolicy(apikey=KEYS), ("x",), "127.0.0.1", "guess-1234", KeyThrottle())
    assert "guess-1234" not in f"{caught.value!r} {caught.value} {caught.value.doing}"


@given(given_key=st.text(), keys=st.lists(st.text(min_size=1), max_size=5))
def test_exactly_the_configured_keys_match(given_key, keys):
    assert is_one_of(given_key, keys) is (given_key in keys)


def test_a_permitted_ipv6_address_passes():
    policy = replace(ControllerPolicy(), permitip=ELSEWHERE)
    check_policy(policy, ("x",), "fd00::1", None, KeyThrottle())


def test_a_key_in_a_file_passes_and_counts_at_once_when_it_is_exchanged(tmp_path: Path) -> None:
    file = tmp_path / "api key"
    file.write_text("old-key\nsecond line\n")
    policy = ControllerPolicy(apikey=(file.as_uri(), "literal-key"))
    with serving(SampleController(policy)) as client:

        def status(key: str) -> int:
            return client.post("/API/sample/echo", {}, {"X-API-Key": key}).status

        assert [status(key) for key in ("old-key", "literal-key", "second line", file.as_uri())] == [200, 200, 403, 403]
        # as a kubelet exchanges a mounted Secret: another file takes the name
        (tmp_path / "new").write_text("new-key")
        (tmp_path / "new").rename(file)
        assert [status(key) for key in ("old-key", "new-key", "literal-key")] == [403, 200, 200]


@pytest.mark.parametrize("content", [None, b"", b"\nkey\n", b"\xff\xfe\n"], ids=["none", "empty", "blank", "binary"])
def test_a_file_without_a_key_admits_nobody_and_is_told_of(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    policy = ControllerPolicy(apikey=(file.as_uri(),))
    for key in (None, "", "key", file.as_uri()):
        with pytest.raises(AccessDeniedError):
            check_policy(policy, ("x",), "127.0.0.1", key, KeyThrottle())
    assert f"the key in {file} cannot be read" in caplog.text


def test_the_manager_controller_has_the_private_networks_and_no_key_by_default():
    from .harness import make_services

    policy = make_services().settings.controllers["ManagerController"]
    assert policy.permitip is not None
    assert policy.apikey is None
