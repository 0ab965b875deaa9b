"""Database URLs: composition for each database, several hosts, and no password in sight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.od.settings import MongodbSettings


def url_for(url: str, param: str = "replicaSet=rs0", database: str = "image") -> str:
    return MongodbSettings(url=url, param=param).url_for(database)


@pytest.mark.parametrize(
    ("url", "param", "expected"),
    [
        ("mongodb://mongodb", "replicaSet=rs0", "mongodb://mongodb/image?authSource=image&replicaSet=rs0"),
        ("mongodb://u:p@mongodb", "", "mongodb://u:p@mongodb/image?authSource=image"),
        ("mongodb://u:p@h1,h2:27018", "a=1&b=2", "mongodb://u:p@h1,h2:27018/image?authSource=image&a=1&b=2"),
        ("mongodb://h/", "a=1", "mongodb://h/image?authSource=image&a=1"),
        ("mongodb://h/admin?w=1", "a=1", "mongodb://h/image?authSource=image&a=1&w=1"),
        ("mongodb://h/admin?a=2", "a=1", "mongodb://h/image?authSource=image&a=2"),
        ("mongodb://h?authSource=admin", "", "mongodb://h/image?authSource=admin"),
        ("mongodb+srv://u:p@cluster.example.org", "", "mongodb+srv://u:p@cluster.example.org/image?authSource=image"),
        ("mongodb://u:p%40x@h", "", "mongodb://u:p%40x@h/image?authSource=image"),
        ("mongodb://[::1]:27019", "", "mongodb://[::1]:27019/image?authSource=image"),
    ],
)
def test_the_url_of_a_database(url: str, param: str, expected: str) -> None:
    assert url_for(url, param) == expected


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


def test_pymongo_understands_the_composed_url() -> None:
    from pymongo.uri_parser import parse_uri

    parsed = parse_uri(url_for("mongodb://pyos:p%40ss@h1,h2:27018", "replicaSet=rs0&readPreference=primary"))
    assert parsed["nodelist"] == [("h1", 27017), ("h2", 27018)]
    assert (parsed["username"], parsed["password"], parsed["database"]) == ("pyos", "p@ss", "image")
    assert parsed["options"]["authSource"] == "image"
    assert parsed["options"]["replicaSet"] == "rs0"


@given(
    st.text(
        alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#@"), min_size=4, max_size=20
    )
)
def test_neither_repr_nor_the_public_url_shows_the_account(password: str) -> None:
    settings = MongodbSettings(url=f"mongodb://zqzq:{password}@host:1/x?authSource=a")
    assert settings.public_url() == "mongodb://host:1/x"
    assert "zqzq" not in repr(settings)
    assert "mongodb://" not in repr(settings)
