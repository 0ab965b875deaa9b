"""Names and labels: always valid, and distinct for distinct users; nobody can forge the reserved ones."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.model import names
from oc.model.identity import Identity
from oc.od.orchestrator.manifests import labels, naming
from oc.od.orchestrator.manifests.secrets import AUTH_KINDS

from .people import ANONYMOUS, ANONYMOUS_ID, FRY, HOSTILE
from .support import PATIENT

KINDS = ("ldif", "localaccount", "posixaccount", "vnc", *AUTH_KINDS)
# Texts that look like the names made from other texts find collisions faster than random ones.
ids = st.one_of(
    st.text(min_size=1, max_size=80),
    st.from_regex(r"\A[A-Za-z0-9]([-A-Za-z0-9_.]{0,70}[A-Za-z0-9])?\Z"),
    st.from_regex(r"\A[a-c]{1,2}(-[a-c]){0,2}(-[0-9a-f]{6}|-[0-9a-f]{16})?\Z"),
)


def somebody(provider: str, userid: str) -> Identity:
    return Identity(provider, "ldap", userid, userid)


@PATIENT
@given(ids, ids, st.sampled_from(KINDS))
def test_every_name_and_label_of_a_user_is_valid(provider: str, userid: str, kind: str) -> None:
    identity = somebody(provider, userid)
    for name in (
        naming.secret_name(kind, identity),
        naming.own_secret_name(naming.secret_name(kind, identity), identity),
        naming.claim_name(identity),
        naming.pod_name(userid, "0a1b2"),
        naming.application_pod_name(userid, provider, "0a1b2"),
        naming.application_container_name(userid, provider, "0a1b2"),
    ):
        assert names.is_dns_label(name), name
    for made in (labels.identity_labels(identity), labels.secret_labels(identity, "auth")):
        assert all(names.is_label_value(value) for value in made.values())


@PATIENT
@given(st.tuples(ids, ids), st.tuples(ids, ids), st.sampled_from(KINDS))
def test_distinct_users_never_share_an_object(one: tuple[str, str], other: tuple[str, str], kind: str) -> None:
    hypothesis.assume(one != other)
    first, second = somebody(*one), somebody(*other)
    own = [naming.own_secret_name(naming.secret_name(kind, one), one) for one in (first, second)]
    assert own[0] != own[1]
    assert own[0] != naming.secret_name(kind, second)
    assert naming.claim_name(first) != naming.claim_name(second)
    assert labels.claim_labels(first) != labels.claim_labels(second)
    assert labels.secret_labels(first, kind) != labels.secret_labels(second, kind)
    if first.userid != second.userid:
        assert naming.secret_name(kind, first) != naming.secret_name(kind, second)


@pytest.mark.parametrize(("one", "other"), [("Fry", "fry"), ("fry", "fry-3ca854"), ("a.b", "a-b"), ("é", "e")])
def test_users_whose_names_look_alike_have_their_own_secrets(one: str, other: str) -> None:
    assert naming.secret_name("vnc", somebody("p", one)) != naming.secret_name("vnc", somebody("p", other))


def test_the_names_are_those_of_the_specification() -> None:
    assert naming.secret_name("vnc", FRY) == "auth-vnc-fry"
    assert naming.secret_name("localaccount", ANONYMOUS) == f"auth-localaccount-{ANONYMOUS_ID}"
    assert naming.claim_name(FRY) == "planet-fry"
    assert naming.pod_name("fry", "f7c42") == "fry-f7c42"
    assert naming.application_pod_name("fry", "konsolepod", "1c9e2") == "fry-app-konsolepod-1c9e2"
    assert naming.application_container_name("Philip J. Fry", "xeyes", "7a308") == "philip-j--fry-xeyes-7a308"
    assert naming.container_name("x", "graphical") == "x-graphical"


def test_a_long_name_loses_its_front_never_its_suffix() -> None:
    assert naming.pod_name("u" * 200, "0a1b2").endswith("-0a1b2")
    assert naming.application_pod_name("u" * 200, "a" * 200, "0a1b2").endswith("-0a1b2")
    assert "-app-" in naming.application_pod_name("u" * 200, "a" * 200, "0a1b2")
    assert naming.application_container_name("u" * 200, "a" * 200, "0a1b2").endswith("-0a1b2")


def test_a_user_without_any_usable_letter_still_has_names() -> None:
    assert naming.pod_name("***", "0a1b2") == "user-0a1b2"
    assert names.is_dns_label(naming.secret_name("vnc", somebody("***", "***")))


@PATIENT
@given(st.dictionaries(st.text(max_size=90), st.text(max_size=90)), st.lists(st.text(max_size=90)))
def test_labels_of_rules_and_roles_are_valid_and_never_reserved(given_labels: dict[str, str], roles: list[str]) -> None:
    made, _ = labels.user_labels(given_labels, roles)
    for key, value in made.items():
        assert names.label_key(key) == key
        assert names.is_label_value(value)
        assert not labels.is_reserved(key)


@pytest.mark.parametrize(
    "key",
    [
        "access_userid",
        "ACCESS_USERID",
        "access_anything",
        "type",
        "domain",
        "xauthkey",
        "XauthKey",
        "pulseaudio_cookie",
        "broadcast_cookie",
        "service_graphical",
        "abcdesktop/role",
        "netpol/ocuser",
        "netpol/ocapplication",
        "websocketroute",
        "uniquerunkey",
        "áccess_userid",
    ],
)
def test_a_rule_cannot_set_a_reserved_label(key: str) -> None:
    made, warnings = labels.user_labels({key: "fry"})
    assert made == {}
    assert len(warnings) == 1


def test_labels_are_normalised_as_specified() -> None:
    dn = "cn=ship_crew,ou=people,dc=planetexpress,dc=com"
    made, warnings = labels.user_labels({"shipcrew": "true", "ipsource": "fe80::1", "name": "Philip J. Fry"}, [dn])
    assert made == {
        "shipcrew": "true",
        "ipsource": "fe80--1",
        "name": "philip-j.-fry",
        "cn-ship_crew-ou-people-dc-planetexpress-dc-com": "true",
    }
    assert warnings == []


def test_of_two_labels_with_one_key_the_first_stays() -> None:
    made, warnings = labels.user_labels({"A b": "1", "a-b": "2", "a b": "1"})
    assert made == {"a-b": "1"}
    assert len(warnings) == 1


def test_uniq_labels_are_compared_in_the_form_a_pod_carries() -> None:
    wanted = ["TenNetwork", "absent"]
    assert labels.uniq_labels({"tennetwork": "True"}, wanted) == {"TenNetwork": "true", "absent": None}


def test_an_identity_cannot_choose_its_labels_by_rule() -> None:
    made, _ = labels.user_labels(HOSTILE.labels, HOSTILE.roles)
    assert not {"access_userid", "type", "xauthkey", "netpol/ocuser", "service_graphical", "abcdesktop/role"} & set(
        made
    )
