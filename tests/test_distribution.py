"""How a parallel run spreads the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from .distribution import FIRST, SHARING, rank, unit_of

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", sorted({*FIRST, *SHARING}))
def test_what_is_listed_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_tests_that_share_a_costly_peer_are_one_unit() -> None:
    one, other = "tests/auth/ldap/test_login.py::test_a", "tests/auth/ldap/test_groups.py::test_b[x::y]"
    assert unit_of(one) == unit_of(other) == "tests/auth/ldap/"


def test_pure_tests_beside_a_shared_stack_are_units_of_their_own() -> None:
    assert unit_of("tests/od/orchestrator/test_storm.py::test_a") == "tests/od/orchestrator/"
    file = "tests/od/orchestrator/manifests/test_secrets.py"
    assert unit_of(f"{file}::TestThem::test_a[x::y]") == file


def test_what_takes_long_comes_first_and_the_rest_keeps_its_order() -> None:
    names = ["tests/auth/test_rules.py::a", "tests/web/test_bodies.py::b", "tests/kube_golden/test_records.py::c"]
    assert sorted(names, key=rank) == [names[2], names[0], names[1]]
