"""Database URLs: several hosts, and no password in sight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.od.settings import MongodbSettings


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("mongodb://mongodb", (("mongodb", 27017),)),
        ("mongodb://u:p@h1,h2:27018/x?y=z", (("h1", 27017), ("h2", 27018))),
        ("mongodb://u:p@ss@h", (("h", 27017),)),
        ("mongodb://[fd00::1]:1,10.0.0.1", (("fd00::1", 1), ("10.0.0.1", 27017))),
    ],
)
def test_the_hosts_of_a_url(url: str, hosts: tuple[tuple[str, int], ...]) -> None:
    assert MongodbSettings(url=url).hosts() == hosts


@given(
    st.text(
        alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#@"), min_size=4, max_size=20
    )
)
def test_repr_does_not_show_the_account(password: str) -> None:
    settings = MongodbSettings(url=f"mongodb://zqzq:{password}@host:1/x?authSource=a")
    assert "zqzq" not in repr(settings)
    assert "mongodb://" not in repr(settings)
