"""``If-None-Match``: who has an answer already does not get it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.web.conditional import matches, not_modified

TAG = '"0123abcd"'


@pytest.mark.parametrize("header", [TAG, f"W/{TAG}", f' "x" , {TAG}', "*", f"{TAG},{TAG}"])
def test_a_header_that_names_the_tag_matches(header: str) -> None:
    assert matches(header, TAG)


@pytest.mark.parametrize("header", [None, "", '"0123abc"', "0123abcd", '"0123ABCD"', '*, "x"', "W/*", 'w/"0123abcd"'])
def test_any_other_header_does_not(header: str | None) -> None:
    assert not matches(header, TAG)


@given(st.text(alphabet='W/",* abc', max_size=200))
def test_what_is_no_tag_of_ours_never_matches(header: str) -> None:
    assert not matches(header, TAG) or header.strip() == "*"


def test_tags_beyond_the_limit_are_not_read() -> None:
    assert matches(",".join(['"x"'] * 63 + [TAG]), TAG)
    assert not matches(",".join(['"x"'] * 64 + [TAG]), TAG)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_reading_request_is_answered_304(method: str) -> None:
    reply = not_modified(method, TAG, {"ETag": TAG})
    assert reply is not None
    assert (reply.status, reply.body) == (304, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_request_that_may_change_something_is_answered_in_full(method: str) -> None:
    assert not_modified(method, TAG, {"ETag": TAG}) is None


def test_an_answer_without_a_tag_is_sent() -> None:
    assert not_modified("GET", "*", {}) is None
