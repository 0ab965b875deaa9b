"""The POSIX account at launch, and the one home path."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.model.identity import PosixAccount, PosixGroup
from oc.od.orchestrator.manifests import posix
from oc.od.orchestrator.manifests.types import ManifestError
from oc.od.settings import Settings, settings_from_mapping

from .people import FRY_ACCOUNT
from .support import PATIENT

SETTINGS = settings_from_mapping({"desktop.pod": {}, "desktop.homerootdirectory": "/users"})


def stored(**changes: Any) -> dict[str, bytes]:
    values = {**posix.account_dict(FRY_ACCOUNT), **changes}
    return {
        key: (json.dumps(value) if isinstance(value, list) else str(value)).encode()
        for key, value in values.items()
        if value is not None
    }


def test_the_posix_secret_comes_first_then_the_account_files_then_the_generic_account() -> None:
    files = stored(uid="zoidberg", gid="doctors")
    assert posix.resolve_account(SETTINGS, stored(), files) == FRY_ACCOUNT
    assert posix.resolve_account(SETTINGS, None, files).uid == "zoidberg"
    assert posix.resolve_account(SETTINGS, {}, {"passwd": b"x"}).uid == "balloon"
    assert posix.resolve_account(SETTINGS) == PosixAccount(
        "balloon", "balloon", "balloon", 4096, 4096, "/users/balloon", "/bin/bash"
    )


def test_names_are_lower_case_and_missing_fields_filled() -> None:
    made = posix.resolve_account(SETTINGS, {"uid": b"FRY", "uidNumber": b"7", "gidNumber": b"8"})
    assert made == PosixAccount("fry", "fry", "fry", 7, 8, "", "/bin/bash")


def test_one_member_of_a_group_may_be_a_text() -> None:
    groups = [{"cn": "crew", "gidNumber": "13000", "memberUid": "fry"}, {"cn": "empty", "gidNumber": 1}]
    made = posix.resolve_account(SETTINGS, stored(groups=groups))
    assert made.groups == (PosixGroup("crew", 13000, ("fry",)), PosixGroup("empty", 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"uidNumber": "many"},
        {"gidNumber": None},
        {"groups": [1]},
        {"groups": [{"cn": "x"}]},
        {"uid": "../../etc"},
        {"uid": "a b"},
        {"uid": ""},
        {"uidNumber": -1},
        {"uidNumber": 2**31},
        {"groups": [{"cn": "x", "gidNumber": 2**40}]},
    ],
)
def test_a_broken_stored_account_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        posix.resolve_account(SETTINGS, stored(**changes))


def test_the_error_of_a_broken_account_shows_no_value() -> None:
    with pytest.raises(ManifestError) as caught:
        posix.resolve_account(SETTINGS, stored(uidNumber="hidden"))
    assert "hidden" not in f"{caught.value} {caught.value.doing}"


@pytest.mark.parametrize(
    ("given_home", "home"),
    [
        ("/home/fry", "/home/fry"),
        ("/home/fry/", "/home/fry"),
        ("//home/fry", "/home/fry"),
        ("/home/../srv/fry", "/srv/fry"),
        ("", "/users/fry"),
        ("/", "/users/fry"),
        ("/..", "/users/fry"),
        ("relative", "/users/fry"),
        ("\\\\server\\share", "/users/fry"),
        ("/home/a:b", "/users/fry"),
        ("/home/a\nb", "/users/fry"),
    ],
)
def test_the_home_is_the_accounts_or_below_the_root_of_homes(given_home: str, home: str) -> None:
    assert posix.home_directory(SETTINGS, dataclasses.replace(FRY_ACCOUNT, homeDirectory=given_home)) == home


@PATIENT
@given(st.text())
def test_any_home_gives_an_absolute_normal_path_below_the_root(given_home: str) -> None:
    made = posix.home_directory(SETTINGS, dataclasses.replace(FRY_ACCOUNT, homeDirectory=given_home))
    assert made.startswith("/")
    assert len(made) > 1
    assert not {"..", "."} & set(made.split("/"))
    assert ":" not in made


def test_settings_of_the_generic_account_are_used() -> None:
    values = {
        "desktop.pod": {},
        "desktop.username": "Guest",
        "desktop.groupname": "Guests",
        "desktop.userid": 900,
        "desktop.groupid": 901,
        "desktop.userhomedirectory": "/srv/guest",
    }
    settings: Settings = settings_from_mapping(values)
    made = posix.generic_account(settings)
    assert (made.uid, made.gid, made.uidNumber, made.gidNumber) == ("guest", "guests", 900, 901)
    assert made.homeDirectory == "/srv/guest"
