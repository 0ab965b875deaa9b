"""From user information to a user: mapping, ids that never meet, names, groups."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.auth.oidc.userinfo import display_name, local_userid, map_userinfo, provider_userid, read_path, role_names
from oc.errors import ExternalAuthUserError
from oc.model.names import is_dns_label, user_label

DOCUMENT = {"sub": "7", "picture": {"data": [{"url": "https://p/1"}, {"url": "https://p/2"}]}, "name": "Fry", "n": 0}


@pytest.mark.parametrize(
    ("mapping", "fields"),
    [
        (None, DOCUMENT),
        ({}, DOCUMENT),
        ({"*": "*"}, DOCUMENT),
        ({"*": "*", "picture": "picture.data.0.url"}, {**DOCUMENT, "picture": "https://p/1"}),
        ({"*": "raw"}, {"raw": DOCUMENT}),
        ({"userid": "sub", "absent": "a.b.c"}, {"userid": "7", "absent": None}),
        ({"photo": "picture.data.1.url"}, {"photo": "https://p/2"}),
    ],
)
def test_the_document_is_remapped(mapping: dict[str, str] | None, fields: dict[str, Any]) -> None:
    assert map_userinfo(DOCUMENT, mapping) == fields


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "Fry"),
        ("n", 0),
        ("name.x", None),
        ("picture.data.2.url", None),
        ("picture.data.-1.url", None),
        ("picture.data.x", None),
        ("picture.data.٣", None),
        ("", None),
        (".", None),
    ],
)
def test_a_path_that_leads_nowhere_gives_none(path: str, value: Any) -> None:
    assert read_path(DOCUMENT, path) == value


@pytest.mark.parametrize(
    ("document", "mapping", "userid"),
    [
        ({"id": 42, "sub": "s"}, None, "42"),
        ({"sub": "s"}, None, "s"),
        ({"userid": "u", "id": 1}, None, "u"),
        ({"userid": "u", "id": 1}, {"*": "*"}, "u"),
        ({"userid": "u", "id": 1}, {"name": "x"}, "1"),
        ({"a": {"b": "deep"}, "id": 1}, {"userid": "a.b"}, "deep"),
        ({"id": 1}, {"userid": "a.b"}, "1"),
        ({"email": "f@x", "email_verified": True}, {"userid": "email"}, "f@x"),
        ({"email": "f@x", "email_verified": "true"}, {"userid": "email"}, "f@x"),
        ({"email": "f@x", "verified_email": True}, {"userid": "email"}, "f@x"),
        ({"u": {"email": "f@x", "email_verified": True}}, {"userid": "u.email"}, "f@x"),
    ],
)
def test_which_field_is_the_user_id(document: dict[str, Any], mapping: dict[str, str] | None, userid: str) -> None:
    assert provider_userid(document, mapping) == userid


@pytest.mark.parametrize(
    ("document", "mapping"),
    [
        ({}, None),
        ({"id": False}, None),
        ({"id": 1.5}, None),
        ({"id": ["x"]}, None),
        ({"email": "f@x"}, {"userid": "email"}),
        ({"email": "f@x", "email_verified": 1}, {"userid": "email"}),
        ({"u": {"Email": "f@x", "email_verified": False}}, {"userid": "u.Email"}),
    ],
)
def test_a_document_without_a_trustworthy_id_is_refused(
    document: dict[str, Any], mapping: dict[str, str] | None
) -> None:
    with pytest.raises(ExternalAuthUserError):
        provider_userid(document, mapping)


def test_a_clean_id_stays_as_it_is() -> None:
    for userid in ("fry", "42", "a-b", "115043543534535345345", "6fa459ea-ee8a-3ca4-894e-db77e160355e"):
        assert local_userid(userid) == userid


COLLIDING = ["a.b", "a-b", "A.B", "A-B", "a_b", "a b", "ａ-b", "a‐b", "á-b", "а-b", "-a-b", "a-b-", "a/b", "a\u0301-b"]


def test_ids_that_collide_after_cleaning_stay_apart() -> None:
    made = {userid: local_userid(userid) for userid in COLLIDING}
    assert len(set(made.values())) == len(COLLIDING)
    assert len({user_label(userid) for userid in made.values()}) == len(COLLIDING)
    assert all(is_dns_label(userid) for userid in made.values())


def test_nobody_can_choose_the_id_made_for_another() -> None:
    assert local_userid(local_userid("a.b")) != local_userid("a.b")


@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=2, unique=True))
def test_two_ids_are_two_users(pair: list[str]) -> None:
    one, other = (local_userid(text) for text in pair)
    assert one != other
    assert is_dns_label(one)
    assert is_dns_label(other)


def test_older_releases_ids_are_kept_where_the_configuration_asks_for_them() -> None:
    assert local_userid("Fry@planetexpress.com", hashed=False) == "fry-planetexpress-com"
    with pytest.raises(ExternalAuthUserError):
        local_userid("...", hashed=False)


def test_the_name_to_show() -> None:
    assert display_name({"name": "Fry", "lastname": "F"}, "7") == "Fry"
    assert display_name({"name": None, "lastname": "Fry"}, "7") == "Fry"
    assert display_name({"name": 7}, "7") == "7"
    assert display_name({"name": "F\x00r\ny\u202e"}, "7") == "Fry"
    assert len(display_name({"name": "x" * 9999}, "7")) == 256


def test_groups_are_texts() -> None:
    assert role_names(["a", 1, None, "b", "a", "", "x" * 600, {"cn": "c"}]) == ("a", "b")
    assert role_names("one") == ("one",)
    assert role_names(None) == role_names({"a": 1}) == ()
    with pytest.raises(ExternalAuthUserError):
        role_names(["x"] * 2001)
