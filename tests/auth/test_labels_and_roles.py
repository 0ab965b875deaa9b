"""Label syntax and reserved names, address labels, group comparison and the short form of roles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.auth.labels import address_label, is_label_key, is_reserved, is_user_label
from oc.auth.roles import reduce_roles, role_matches
from oc.model.names import is_label_value


@pytest.mark.parametrize("key", ["a", "shipcrew", "A.b_c-9", "example.com/team", "x" * 63, "a-b.example/x"])
def test_kubernetes_label_names_are_taken(key: str) -> None:
    assert is_label_key(key)


@pytest.mark.parametrize(
    "key",
    ["", "-a", "a-", "a b", "é", "x" * 64, "/a", "a/", "Example.com/a", "a/b/c", "a\n", f"{'x' * 254}/a", "a..b/c"],
)
def test_other_label_names_are_not(key: str) -> None:
    assert not is_label_key(key)


@pytest.mark.parametrize(
    "key",
    [
        *("access_userid", "access_provider", "abcdesktop/role", "netpol/x", "type", "domain"),
        *("pulseaudio_cookie", "xauthkey", "service_x", "ACCESS_USERID", "Type"),
    ],
)
def test_names_of_the_product_are_reserved(key: str) -> None:
    assert is_reserved(key)
    assert not is_user_label(key, "x")


@pytest.mark.parametrize("key", ["accessory", "types", "cookie", "services", "domains", "shipcrew"])
def test_similar_names_are_free(key: str) -> None:
    assert is_user_label(key, "x")


@pytest.mark.parametrize("value", ["a b", "-a", "x" * 64, "é", None, 5, True])
def test_values_kubernetes_refuses_make_no_label(value: object) -> None:
    assert not is_user_label("a", value)


@pytest.mark.parametrize(
    ("address", "label"),
    [
        ("10.0.2.216", "10.0.2.216"),
        ("2001:db8::1", "2001-db8--1"),
        ("2001:DB8:0:0::1", "2001-db8--1"),
        ("::1", "0--1"),
        ("fe80::", "fe80--0"),
        ("fe80::1%eth0", "fe80--1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("", None),
        ("unknown", None),
    ],
)
def test_every_address_has_a_label_value(address: str, label: str | None) -> None:
    assert address_label(address) == label


@given(st.ip_addresses(), st.ip_addresses())
def test_address_labels_are_valid_and_distinct(one: object, other: object) -> None:
    first, second = address_label(str(one)), address_label(str(other))
    assert first is not None
    assert second is not None
    assert is_label_value(first)
    mapped = "::ffff:" in f"{one} {other}"
    assert (first == second) == (one == other) or mapped


DN = "CN=ship_crew,OU=people,DC=planetexpress,DC=com"


@pytest.mark.parametrize(
    "value",
    [
        "cn=ship_crew,ou=people,dc=planetexpress,dc=com",
        "cn=ship_crew, ou=people , dc=planetexpress,dc=com",
        "cn=ship_crew,ou=people",
        "CN = Ship_Crew",
    ],
)
def test_a_group_is_found_by_whole_rdns_in_any_case(value: str) -> None:
    assert role_matches(DN, value)


@pytest.mark.parametrize(
    "value",
    ["cn=ship", "cn=ship_crew,ou=peo", "ship_crew", "ou=people", f"{DN},o=x", "", " ", "cn=ship_crew,", "*", "cn=*"],
)
def test_a_part_of_an_rdn_finds_nothing(value: str) -> None:
    assert not role_matches(DN, value)


def test_an_escaped_comma_does_not_end_an_rdn() -> None:
    role = r"cn=admins\, all,ou=x"
    assert not role_matches(role, "cn=admins\\")
    assert not role_matches(role, "cn=admins")
    assert role_matches(role, r"cn=admins\, all")


def test_plain_group_names_compare_whole() -> None:
    assert role_matches("Admins", "admins")
    assert not role_matches("admins-eu", "admins")


@pytest.mark.parametrize(
    ("how", "directory", "roles"),
    [
        ("raw", True, (DN, "plain")),
        ("RAW", False, (DN, "plain")),
        ("cn", True, ("ship_crew", "plain")),
        ("CN", True, ("ship_crew", "plain")),
        ("cn", False, ()),
        (None, True, ()),
        ("none", True, ()),
        ("other", True, ()),
    ],
)
def test_roles_are_reduced_for_the_token(how: str | None, directory: bool, roles: tuple[str, ...]) -> None:
    assert reduce_roles([DN, "plain", DN], how, directory=directory) == roles


def test_escapes_are_undone_in_a_short_role() -> None:
    assert reduce_roles([r"cn=a\, b,ou=x"], "cn", directory=True) == ("a, b",)
