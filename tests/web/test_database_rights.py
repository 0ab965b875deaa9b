"""``database_acl`` and ``wrapped_key``: what operators may do with documents, and what users see who stored nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import controllers
from devstack.service import Service
from oc.datastore import DataStore
from oc.od.settings.stores import MongodbSettings
from tests.support import Api

from .harness import Client, make_services, serving

AWAY = MongodbSettings(url="mongodb://127.0.0.1:1", param="serverSelectionTimeoutMS=50")
#: Method, path, and the right it needs. The database is away: who has the right is told so.
CALLS = [
    ("GET", "profiles", "read"),
    ("GET", "profiles/fry", "read"),
    ("GET", "profiles/fry/dock", "read"),
    ("GET", "desktop/history/after/2026-01-01%2000:00:00", "read"),
    ("GET", "desktop/history/before/2026-01-01%2000:00:00", "read"),
    ("GET", "desktop/history/after/2026-01-01%2000:00:00/before/2026-02-01%2000:00:00", "read"),
    ("PUT", "profiles/fry/dock", "write"),
    ("DELETE", "profiles/fry/dock", "delete"),
    ("DELETE", "profiles/fry", "delete"),
]
RIGHTS = {"get": "read", "read": "read", "put": "write", "write": "write", "delete": "delete"}


@contextmanager
def manager(*granted: str) -> Iterator[Client]:
    policy = {"permitip": ["127.0.0.0/8"], "database_acl": list(granted)}
    datastore = DataStore(AWAY)
    services = make_services({"controllers": {"ManagerController": policy}}, datastore=datastore)
    with serving(services=services, package=controllers) as client:
        yield client
    datastore.close()


def call(client: Client, method: str, path: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"} if method == "PUT" else {}
    body = b"[1]" if method == "PUT" else None
    answer = client.request(method, f"/API/manager/datastore/{path}", body, headers)
    return answer.status, answer.message


def test_nothing_is_granted_unless_it_is_configured() -> None:
    with manager() as client:
        assert call(client, "GET", "") == (400, "database_acl does not grant read")
        for method, path, right in CALLS:
            assert call(client, method, path) == (400, f"database_acl does not grant {right}"), path


@pytest.mark.parametrize("granted", RIGHTS)
def test_each_word_grants_its_own_right_and_no_other(granted: str) -> None:
    with manager(granted) as client:
        for method, path, right in CALLS:
            status, message = call(client, method, path)
            if right == RIGHTS[granted]:
                assert status == 503, path
            else:
                assert (status, message) == (400, f"database_acl does not grant {right}"), path


def test_an_unknown_database_is_not_there_whatever_is_granted() -> None:
    with manager("get", "put", "delete") as client:
        for method, path in (("GET", "admin"), ("GET", "admin/a"), ("PUT", "admin/a/b"), ("DELETE", "admin/a/b")):
            assert call(client, method, path)[0] == 404


def test_who_stored_nothing_gets_the_configured_value_and_who_stored_something_gets_that(
    own_service: Callable[..., Service],
) -> None:
    service = own_service({"controllers": {"StoreController": {"wrapped_key": {"color": "#102030", "dock": ["a"]}}}})
    with Api(service.url, service.api_key) as api:
        api.login()
        assert api.result("store/get", {"key": "color"}) == "#102030"
        assert api.result("store/get", {"key": "dock"}) == ["a"]
        assert api.post("store/get", {"key": "backgroundType"}).status_code == 404
        api.result("store/set", {"key": "dock", "value": []})
        assert api.result("store/get", {"key": "dock"}) == []
        api.result("store/set", {"key": "color", "value": None})
        assert api.result("store/get", {"key": "color"}) == "#102030"
