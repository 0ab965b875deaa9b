"""Filters and names made of text from outside, checked against the library's own parsers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oc.auth.directory.escaping import TemplateError, check_template, escape_dn, escape_filter, fill, is_dn
from oc.auth.directory.library import ldap3, parse_filter

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


def shape(text: str) -> list[Any]:
    """The operators of a filter, nested as in it, without attributes and values."""

    def of(node: Any) -> list[Any]:
        return [node.tag, *(of(element) for element in node.elements)]

    return of(parse_filter(text, None, False, False, None, False))


def unescaped_dn(value: str) -> str:
    """RFC 4514 section 2.4 read backwards, independent of the code under test."""
    raw = bytearray()
    index = 0
    while index < len(value):
        if value[index] == "\\":
            raw.append(int(value[index + 1 : index + 3], 16))
            index += 3
        else:
            raw += value[index].encode()
            index += 1
    return raw.decode()


def unescaped_filter(value: str) -> str:
    return unescaped_dn(value)


@given(TEXT)
@example("*)(uid=*))(|(uid=*")
@example("a\\2a")
@example("\0")
def test_a_value_in_a_filter_means_itself(text: str) -> None:
    escaped = escape_filter(text)
    assert unescaped_filter(escaped) == text
    assert not set("*()\0") & set(escaped)


@given(TEXT.filter(bool))
def test_no_value_changes_the_shape_of_a_filter(text: str) -> None:
    template = "(&(objectClass=person)(!(uid=%s)))"
    assert shape(fill(template, text)) == shape(fill(template, "x"))


@given(TEXT.filter(bool))
@example("fry,ou=admins")
@example(' #+\\"<>;= ')
@example("#")
@example(" ")
def test_a_value_in_a_dn_is_one_rdn_and_means_itself(text: str) -> None:
    escaped = escape_dn(text)
    assert unescaped_dn(escaped) == text
    parsed = ldap3.utils.dn.parse_dn(f"cn={escaped},ou=people")
    assert [(name, separator) for name, _, separator in parsed] == [("cn", ","), ("ou", "")]


def test_values_are_not_replaced_again() -> None:
    assert fill("(|(a=%s)(b=%s))", "%s", "x") == "(|(a=%s)(b=x))"


@pytest.mark.parametrize(
    ("template", "places"),
    [
        ("(cn=%s)", 2),
        ("(cn=fry)", 1),
        ("(&(cn=%s)(uid=%s))", 1),
        ("cn=%s", 1),
        ("(cn=%s", 1),
        ("(&(cn=%s)", 1),
        ("", 1),
        ("(cn=%s)" * 1000, 1000),
    ],
)
def test_a_filter_that_cannot_be_used_is_refused(template: str, places: int) -> None:
    with pytest.raises(TemplateError):
        check_template(template, places)


@pytest.mark.parametrize("template", ["(cn=%s)", "(&(objectClass=Person)(|(cn=%s)(!(uid=x))))", "(cn=a*%s*)"])
def test_a_filter_of_rfc_4515_is_accepted(template: str) -> None:
    assert check_template(template, 1) == template


@pytest.mark.parametrize(("text", "expected"), [("cn=a,dc=b", True), ("2.5.4.3 = a", True), ("ship_crew", False)])
def test_a_dn_is_told_from_a_plain_name(text: str, expected: bool) -> None:
    assert is_dn(text) is expected
