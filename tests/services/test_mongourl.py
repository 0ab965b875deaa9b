"""The connection string of a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.uri_parser import parse_uri

from oc.mongourl import database_url


@pytest.mark.parametrize(
    ("url", "param", "expected"),
    [
        ("mongodb://mongodb", "", "mongodb://mongodb/profiles"),
        ("mongodb://mongodb", "replicaSet=rs0", "mongodb://mongodb/profiles?replicaSet=rs0"),
        (
            "mongodb://pyos:secret@mongodb",
            "replicaSet=rs0",
            "mongodb://pyos:secret@mongodb/profiles?replicaSet=rs0&authSource=profiles",
        ),
        (
            "mongodb://pyos:s%40%2F%3F@a:1,[::1]:2/admin?tls=true",
            "replicaSet=rs0",
            "mongodb://pyos:s%40%2F%3F@a:1,[::1]:2/profiles?tls=true&replicaSet=rs0&authSource=profiles",
        ),
        ("mongodb://a:b@m/?authsource=admin", "", "mongodb://a:b@m/profiles?authsource=admin"),
        ("mongodb://a:b@m", "authSource=admin", "mongodb://a:b@m/profiles?authSource=admin"),
        ("mongodb://m/?replicaset=mine", "replicaSet=rs0", "mongodb://m/profiles?replicaset=mine"),
        ("mongodb+srv://a:b@c.example.org", "", "mongodb+srv://a:b@c.example.org/profiles?authSource=profiles"),
        ("mongodb://cn@m/?authMechanism=MONGODB-X509", "", "mongodb://cn@m/profiles?authMechanism=MONGODB-X509"),
        ("mongodb://m?w=1", "?j=true&", "mongodb://m/profiles?w=1&j=true"),
    ],
)
def test_the_url_of_a_database_has_its_path_its_options_and_its_auth_source(
    url: str, param: str, expected: str
) -> None:
    assert database_url(url, param, "profiles") == expected


def test_repeated_options_of_the_url_are_all_kept() -> None:
    url = "mongodb://m/?readPreferenceTags=dc:a&readPreferenceTags=dc:b"
    assert database_url(url, "", "image").count("readPreferenceTags") == 2


@pytest.mark.parametrize("url", ["", "http://m", "mongodb://", "mongodb://user:secret@", "mongodb:/m"])
def test_what_is_no_mongodb_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="not a MongoDB URL") as refusal:
        database_url(url, "", "image")
    assert "secret" not in str(refusal.value)


@given(
    st.sampled_from(["", "user:pass@", "u%40x:p%2Fw@"]),
    st.lists(st.sampled_from(["m", "m:27018", "10.0.0.1:1", "[::1]:27017"]), min_size=1, max_size=3),
    st.sampled_from(["", "/", "/admin", "/?tls=true", "?retryWrites=false"]),
    st.sampled_from(["", "replicaSet=rs0", "replicaSet=rs0&w=1"]),
)
def test_the_driver_reads_hosts_account_and_database_as_they_were_given(
    account: str, hosts: list[str], tail: str, param: str
) -> None:
    base = parse_uri(f"mongodb://{account}{','.join(hosts)}")
    parsed = parse_uri(database_url(f"mongodb://{account}{','.join(hosts)}{tail}", param, "desktop"))
    assert parsed["nodelist"] == base["nodelist"]
    assert (parsed["username"], parsed["password"]) == (base["username"], base["password"])
    assert parsed["database"] == "desktop"
    assert parsed["options"].get("authSource") == ("desktop" if account else None)
    assert parsed["options"].get("replicaSet") == ("rs0" if "rs0" in param else None)
