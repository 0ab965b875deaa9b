"""Secrets of a login and of a launch."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.model.identity import Login
from oc.od.orchestrator.manifests import secrets
from oc.od.orchestrator.manifests.types import ManifestError, SecretDraft, SecretRef
from oc.od.settings import Settings, settings_from_mapping

from . import configurations as conf
from .cases import fry_login
from .people import FRY, FRY_ACCOUNT
from .support import PATIENT

PASSWORDS = ["userPassword", "unicodePwd", "sambaNTPassword", "sambaLMPassword", "krbPrincipalKey", "access_token"]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return settings_from_mapping(conf.shipped())


def by_kind(drafts: list[SecretDraft]) -> dict[str, SecretDraft]:
    return {secrets.secret_kind(draft.manifest): draft for draft in drafts}


def test_a_login_writes_every_kind_it_knows_required_ones_first(settings: Settings) -> None:
    drafts = secrets.login_secrets(settings, fry_login())
    kinds = [secrets.secret_kind(draft.manifest) for draft in drafts]
    assert kinds == ["ldif", "localaccount", "posixaccount", "kerberos", "ntlm", "citrix"]
    assert [draft.required for draft in drafts] == [True, True, False, False, False, False]


def test_a_login_without_posix_account_or_identities_writes_two_secrets(settings: Settings) -> None:
    login = dataclasses.replace(fry_login(), posix=None, claims={"localaccount": fry_login().claims["localaccount"]})
    assert set(by_kind(secrets.login_secrets(settings, login))) == {"ldif", "localaccount"}


@pytest.mark.parametrize("missing", ["passwd", "shadow", "group", "gshadow"])
def test_a_login_without_its_account_files_fails(settings: Settings, missing: str) -> None:
    files = {**fry_login().claims["localaccount"], missing: ""}
    with pytest.raises(ManifestError) as caught:
        secrets.login_secrets(settings, dataclasses.replace(fry_login(), claims={"localaccount": files}))
    assert missing in caught.value.doing


def test_an_identity_of_no_known_kind_is_skipped(settings: Settings) -> None:
    login = fry_login()
    odd = dataclasses.replace(login, claims={**login.claims, "password": {"password": "hidden"}})
    assert "password" not in by_kind(secrets.login_secrets(settings, odd))


def test_the_type_carries_the_namespace() -> None:
    elsewhere = settings_from_mapping({**conf.shipped(), "namespace": "desks"})
    made = secrets.vnc_secret(elsewhere, FRY, "p").manifest
    assert made["type"] == "desks/vnc"
    assert made["metadata"]["namespace"] == "desks"


@pytest.mark.parametrize("name", PASSWORDS)
def test_the_attributes_shown_to_the_user_hold_no_password(name: str) -> None:
    assert name not in secrets.ldif_data(fry_login(**{name: "hidden"}))


def test_the_attributes_name_the_user_of_the_login_whatever_the_directory_says() -> None:
    assert secrets.ldif_data(fry_login(userid="leela", name="Leela"))["userid"] == b"fry"


def test_photos_go_first_when_the_attributes_are_too_big() -> None:
    login = fry_login(jpegPhoto=b"x" * 800_000, note="n" * 300_000)
    data = secrets.ldif_data(login)
    assert "jpegPhoto" not in data
    assert len(data["note"]) == 300_000


def test_attributes_are_capped_even_without_photos() -> None:
    data = secrets.ldif_data(fry_login(**{f"a{n}": "x" * 200_000 for n in range(10)}))
    assert sum(len(key) + len(value) for key, value in data.items()) <= secrets.MAX_SECRET_BYTES
    assert data["userid"] == b"fry"


def test_a_secret_too_big_for_kubernetes_is_refused_without_its_content(settings: Settings) -> None:
    with pytest.raises(ManifestError) as caught:
        secrets.vnc_secret(settings, FRY, "hidden" * 200_000)
    assert "hidden" not in str(caught.value)


def test_values_are_encoded_by_their_type() -> None:
    given: dict[str, Any] = {
        "text": "é",
        "number": 7,
        "flag": True,
        "bytes": b"\xff",
        "list": ["a", b"b"],
        "one": [b"\xff"],
        "dict": {"a": [1]},
        "none": None,
        "object": object(),
        "binary list": [b"\xff"],
        "undecodable": [b"\xff", b"\xfe"],
        "../up": "x",
        "..": "x",
        "": "x",
    }
    assert secrets.encoded(given) == {
        "text": "é".encode(),
        "number": b"7",
        "flag": b"true",
        "bytes": b"\xff",
        "list": b'["a","b"]',
        "one": b"\xff",
        "dict": b'{"a":[1]}',
    }


@PATIENT
@given(st.dictionaries(st.from_regex(r"\A[-_A-Za-z0-9]{1,20}\Z"), st.binary(max_size=40)))
def test_what_is_written_is_read_back(data: dict[str, bytes]) -> None:
    settings = settings_from_mapping({"desktop.pod": {}})
    made = secrets._draft(settings, FRY, "kerberos", "auth", data)
    assert secrets.decode_secret(made.manifest) == data


def test_decoding_survives_what_is_not_base64() -> None:
    assert secrets.decode_secret({"data": {"a": "!!", "b": None, "c": "eA==", "d": 5}}) == {"b": b"", "c": b"x"}
    assert secrets.decode_secret({}) == {}


def test_text_of_a_secret_keeps_photos_as_base64() -> None:
    assert secrets.secret_text({"a": "é".encode(), "p": b"\xff"}) == {"a": "é", "p": "/w=="}


def test_a_reference_is_made_from_what_the_api_returns(settings: Settings) -> None:
    drafts = by_kind(secrets.login_secrets(settings, fry_login()))
    assert secrets.secret_ref(drafts["kerberos"].manifest) == SecretRef("auth-kerberos-fry", "kerberos", "auth")
    gone = {**drafts["ldif"].manifest, "data": {}}
    assert secrets.secret_ref(gone) is None
    deleted = drafts["vnc"] if "vnc" in drafts else secrets.vnc_secret(settings, FRY, "p")
    deleted.manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert secrets.secret_ref(deleted.manifest) is None


def test_the_posix_account_survives_the_way_through_its_secret(settings: Settings) -> None:
    from oc.od.orchestrator.manifests import posix

    stored = by_kind(secrets.login_secrets(settings, fry_login()))["posixaccount"].manifest
    assert posix.resolve_account(settings, secrets.decode_secret(stored)) == FRY_ACCOUNT
    assert json.loads(secrets.decode_secret(stored)["groups"])[0]["gidNumber"] == 13000


def test_neither_a_draft_nor_an_error_shows_the_password(settings: Settings) -> None:
    assert "c2VjcmV0cGFzc3dvcmQ" not in repr(secrets.vnc_secret(settings, FRY, "secretpassword"))
    assert isinstance(fry_login(), Login)
