"""Groups of the crew: listed, nested and in a circle, asked for one by one, and what rules make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.peers.planetexpress import ADMIN_STAFF, GROUPS_BASE, PEOPLE, SHIP_CREW
from devstack.peers.slapd import Slapd
from oc.auth.directory import groups
from oc.auth.providers import Attempt
from oc.auth.rules import RuleContext, rule_labels

from .support import BY_UID, CLIENT, Directory, login

CHAIN = tuple(f"cn={name},{GROUPS_BASE}" for name in ("deliveries", "operations", "company"))
NO_LIST = {"memberof_attribut_name": "seeAlso"}
"""A directory whose entries list no groups."""


def test_groups_of_groups_are_roles_when_asked_for(directory: Directory) -> None:
    assert login(directory.provider(), "Philip J. Fry", "fry").roles == (SHIP_CREW,)
    assert login(directory.provider(recursive_search=True), "Philip J. Fry", "fry").roles == (SHIP_CREW, *CHAIN)


def test_a_circle_of_groups_ends_and_each_group_comes_once(directory: Directory) -> None:
    """operations is in company and company in operations."""
    roles = login(directory.provider(recursive_search=True), "Hermes Conrad", "hermes").roles
    assert sorted(roles) == sorted((ADMIN_STAFF, CHAIN[2], CHAIN[1]))


def test_the_walk_finds_what_the_entry_does_not_list(directory: Directory) -> None:
    roles = login(directory.provider(recursive_search=True, **NO_LIST), "Philip J. Fry", "fry").roles
    assert roles == (SHIP_CREW, *CHAIN)


@pytest.mark.parametrize(("limit", "value", "expected"), [("MAX_DEPTH", 2, 3), ("MAX_GROUPS", 2, 2)])
def test_the_walk_is_bounded(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, expected: int
) -> None:
    monkeypatch.setattr(groups, limit, value)
    roles = login(directory.provider(recursive_search=True), "Philip J. Fry", "fry").roles
    assert len(roles) == expected


def test_many_groups_are_asked_for_in_batches(own_slapd: Slapd, tmp_path: Path) -> None:
    """One circle of 120 groups below ship_crew, each in two others."""
    names = [f"team{n:03}" for n in range(120)]
    dns = [f"cn={name},{GROUPS_BASE}" for name in names]
    entries = [
        f"dn: {dn}\nobjectClass: groupOfNames\ncn: {name}\nmember: {SHIP_CREW}\nmember: {dns[n - 1]}\n"
        for n, (name, dn) in enumerate(zip(names, dns, strict=True))
    ]
    own_slapd.add("\n".join(entries))
    directory = Directory(own_slapd, tmp_path)
    roles = login(directory.provider(recursive_search=True), "Philip J. Fry", "fry").roles
    assert set(roles) >= {SHIP_CREW, *dns}
    assert len(roles) == len(set(roles))


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (SHIP_CREW, True),
        (SHIP_CREW.upper(), True),
        ("CN = ship_crew, ou=People, dc=planetexpress, dc=com", True),
        ("ship_crew", True),
        ("pilots", True),
        (f"cn=pilots,{GROUPS_BASE}", True),
        (ADMIN_STAFF, False),
        ("admin_staff", False),
        (f"cn=ship,{PEOPLE}", False),
        ("ship", False),
        (f"cn=ship_crew,{GROUPS_BASE}", False),
        ("cn=ship_crew,dc=nowhere", False),
        ("*", False),
        ("x)(cn=*", False),
        ("cn=", False),
    ],
)
def test_the_directory_says_whether_a_user_is_in_a_group(directory: Directory, group: str, expected: bool) -> None:
    with directory.provider(**NO_LIST).open(Attempt(CLIENT, "Philip J. Fry", "fry")) as account:
        assert account.roles == ()
        assert account.member_of is not None
        assert account.member_of(group) is expected


def test_a_posix_group_counts_by_the_uid(directory: Directory) -> None:
    provider = directory.provider(**BY_UID, **NO_LIST)
    with provider.open(Attempt(CLIENT, "zoidberg", "zoidberg")) as account:
        assert account.member_of is not None
        assert (account.member_of("doctors"), account.member_of("drinkers")) == (True, False)


def test_an_own_filter_finds_groups_by_their_plain_name(directory: Directory) -> None:
    provider = directory.provider(**NO_LIST, group_filter="(&(objectClass=posixGroup)(cn=%s))")
    with provider.open(Attempt(CLIENT, "Philip J. Fry", "fry")) as account:
        assert account.member_of is not None
        assert (account.member_of("drinkers"), account.member_of("ship_crew")) == (True, False)


@pytest.mark.parametrize("more", [{}, NO_LIST, {"recursive_search": True}])
def test_rules_see_the_same_groups_whichever_way_they_are_known(directory: Directory, more: dict[str, str]) -> None:
    def rule(group: str, label: str) -> dict[str, object]:
        return {"conditions": [{"memberOf": group, "expected": True}], "expected": True, "label": label}

    rules = {"ship": rule(SHIP_CREW, "shipcrew"), "admin": rule(ADMIN_STAFF, "adminstaff")}
    provider = directory.provider(**more, policies={"rules": rules})
    found = {}
    for userid, password in (("Philip J. Fry", "fry"), ("Hermes Conrad", "hermes"), ("John A. Zoidberg", "zoidberg")):
        with provider.open(Attempt(CLIENT, userid, password)) as account:
            context = RuleContext("10.0.0.1", roles=account.roles, member_of=account.member_of)
            found[password] = rule_labels(provider.rules, context)
    assert found == {"fry": {"shipcrew": "true"}, "hermes": {"adminstaff": "true"}, "zoidberg": {}}
