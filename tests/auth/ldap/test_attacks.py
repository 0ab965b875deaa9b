"""What attackers type into a login form, against a real directory with users whose names are just as awkward."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devstack.peers.planetexpress import PEOPLE, ROOT_PASSWORD, person
from devstack.peers.slapd import Slapd
from oc.errors import InvalidCredentialsError
from oc.model.names import user_label, user_object_name
from tests.waiting import eventually

from .support import BY_UID, Directory, login

WAYS: dict[str, dict[str, Any]] = {"simple": {}, "anonymous": {"auth_type": "ANONYMOUS"}, "service account": BY_UID}

INJECTIONS = [
    "*",
    "f*",
    "fry*",
    "*)(uid=*",
    "*)(|(uid=*))",
    "fry)(&",
    "fry)(userPassword=*",
    "fry)(|(objectClass=*",
    "*))(|(cn=*",
    "*)(uid=*))(|(uid=*",
    "fry\\",
    "fry\\2a",
    "\\66\\72\\79",
    "(uid=fry)",
    "fry,ou=people",
    f"Philip J. Fry,{PEOPLE}",
    f"cn=Philip J. Fry,{PEOPLE}",
    "Philip J. Fry\\,ou=people",
    "Philip J. Fry+sn=Fry",
    "Philip J. Fry#",
    'Philip J. Fry"',
    "Philip J. Fry;cn=x",
    "<GUID=0>",
    "=fry",
    "cn=",
    "fry@planetexpress.com",
    "PLANET\\fry",
    "admin",
    "cn=admin,dc=planetexpress,dc=com",
]


@pytest.mark.parametrize("way", WAYS)
def test_no_injection_logs_anybody_in(directory: Directory, way: str) -> None:
    provider = directory.provider(**WAYS[way])
    for userid in INJECTIONS:
        for password in ("fry", ROOT_PASSWORD):
            with pytest.raises(InvalidCredentialsError) as refused:
                login(provider, userid, password)
            assert refused.value.message == "invalidCredentials", userid


CONTROLS = ["fry\0", "\0fry", "fry\n", "fry\r\nuid: leela", "fry\x1b[31m", "\u202efry", "fry\u2028"]
NOTHING = ["\ud800", " ", "\t"]


@pytest.mark.parametrize("userid", [None, "", *CONTROLS, *NOTHING, "x" * 257], ids=ascii)
def test_a_login_no_directory_holds_is_not_asked_for(directory: Directory, userid: str | None) -> None:
    start = directory.slapd.log_size()
    with pytest.raises(InvalidCredentialsError):
        login(directory.provider(), userid, "fry")
    assert directory.slapd.connections(start) == (0, 0)


@pytest.mark.parametrize("password", [None, "", "\0", "\0fry", "fry\0", "x" * 129, "\udc80"], ids=ascii)
def test_a_password_no_user_has_is_not_asked_for(directory: Directory, password: str | None) -> None:
    """A bind with a name and without a password succeeds, as nobody (RFC 4513 5.1.2): it must never be sent."""
    start = directory.slapd.log_size()
    with pytest.raises(InvalidCredentialsError):
        login(directory.provider(), "Philip J. Fry", password)
    assert directory.slapd.connections(start) == (0, 0)


@pytest.mark.parametrize(
    "password", [" ", "   ", "\xad", "\u200b", "\u0007", "\u2028", "x" * 128, "ﬀ\u0327", "א1"], ids=ascii
)
def test_an_odd_password_is_a_wrong_one(directory: Directory, password: str) -> None:
    """Among them those that SASLprep turns into nothing, or refuses."""
    with pytest.raises(InvalidCredentialsError):
        login(directory.provider(), "Philip J. Fry", password)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(userid=st.text(max_size=40), password=st.text(max_size=40))
def test_whatever_is_typed_is_refused_cleanly(directory: Directory, userid: str, password: str) -> None:
    provider = directory.provider(auth_type="ANONYMOUS")
    with pytest.raises(InvalidCredentialsError):
        login(provider, userid, password + "#")


@pytest.mark.parametrize(
    "typed", ["PHILIP J. FRY", "philip j. fry", "Philip  J.  Fry", "Philip J. Fry ", "Philip J\u2024 Fry"]
)
def test_spellings_of_one_name_are_one_user(directory: Directory, typed: str) -> None:
    """The directory compares names without case and repeated blanks, in one form of Unicode."""
    assert login(directory.provider(), typed, "fry").userid == "fry"


@pytest.mark.parametrize("typed", ["Рhilip J. Fry", "Philip J. Frу", "Philip-J.-Fry", "philip_j__fry"])
def test_look_alikes_of_a_name_are_other_users(directory: Directory, typed: str) -> None:
    """Cyrillic letters, normalised forms."""
    with pytest.raises(InvalidCredentialsError):
        login(directory.provider(), typed, "fry")


def test_users_whose_ids_look_alike_share_neither_label_nor_objects(own_slapd: Slapd, tmp_path: Path) -> None:
    names = ["a.b", "a-b", "a_b", "A.B.", "ab"]
    own_slapd.add("\n".join(person(f"cn=user {n},{PEOPLE}", f"user {n}", "x", uid) for n, uid in enumerate(names)))
    provider = Directory(own_slapd, tmp_path).provider()
    found = [login(provider, f"user {n}", uid).userid for n, uid in enumerate(names)]
    assert found == names
    assert len({user_label(userid) for userid in found}) == len(names)
    assert len({user_object_name(userid) for userid in found}) == len(names)


@pytest.mark.parametrize("way", WAYS)
def test_neither_logs_nor_errors_hold_a_password(
    directory: Directory, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = directory.provider(**WAYS[way])
    secret = "correct-horse-battery"
    with pytest.raises(InvalidCredentialsError) as refused:
        login(provider, "fry", secret)
    frames = [str(refused.value), repr(refused.value), repr(provider), repr(provider.service_account)]
    assert secret not in "".join([caplog.text, *frames])
    assert ROOT_PASSWORD not in "".join([caplog.text, *frames])
    assert "login refused" in caplog.text


def test_an_account_shows_no_password_when_printed(directory: Directory) -> None:
    account = login(directory.provider(), "Hermes Conrad", "hermes")
    assert "password" not in repr(account)
    assert "office" in repr(account)


def test_a_log_line_of_a_directory_s_text_is_one_line(directory: Directory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(InvalidCredentialsError):
        login(directory.provider(), "Lrrr", "x")
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_wrong_logins_leave_no_connection(directory: Directory) -> None:
    start = directory.slapd.log_size()
    provider = directory.provider()
    for userid in ("*", "Lrrr", "Philip J. Fry"):
        with pytest.raises(InvalidCredentialsError):
            login(provider, userid, "wrong")
    assert eventually(lambda: directory.slapd.connections(start) == (3, 3))
