"""What operators' routes answer while MongoDB is away: 503 where it is needed, else the catalogue as last known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import controllers
from oc.datastore import DataStore
from oc.od.apps import ApplicationCatalogue
from oc.od.fail2ban import Fail2Ban
from oc.od.settings.stores import MongodbSettings
from oc.sharecache import LocalCache

from .harness import JSON_HEADERS, Client, make_services, serving

IMAGE = b'{"Id": "sha256:%s", "RepoTags": ["x:1"], "Config": {"Cmd": ["/run"], "Labels": {}}}' % (b"a" * 64)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    datastore = DataStore(MongodbSettings(url="mongodb://127.0.0.1:1", param="serverSelectionTimeoutMS=50"))
    values: dict[str, Any] = {"controllers": {"ManagerController": {"permitip": ["127.0.0.0/8"]}}}
    services = make_services(values, datastore=datastore)
    services.apps = ApplicationCatalogue(datastore, services.settings, LocalCache())
    services.fail2ban = Fail2Ban(datastore, services.settings.fail2ban)
    with serving(services=services, package=controllers) as running:
        yield running
    datastore.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "buildapplist"),
        ("POST", "image"),
        ("PUT", "image"),
        ("PATCH", "image"),
        ("DELETE", "images"),
        ("DELETE", "image/*"),
        ("GET", "ban/ipaddr"),
        ("GET", "ban/login/fry"),
        ("POST", "ban/login/fry"),
        ("DELETE", "ban/login/fry"),
        ("DELETE", "ban/ipaddr"),
    ],
)
def test_what_needs_the_database_is_503(client: Client, method: str, path: str) -> None:
    body = IMAGE if method in ("POST", "PUT") and path == "image" else None
    answer = client.request(method, f"/API/manager/{path}", body, JSON_HEADERS if body else {})
    assert answer.status == 503, answer.body
    assert answer.json["status"] == 503
    assert "127.0.0.1" not in answer.message


@pytest.mark.parametrize("path", ["images", "image"])
def test_the_catalogue_is_told_as_it_was_last_known(client: Client, path: str) -> None:
    answer = client.get(f"/API/manager/{path}")
    assert (answer.status, answer.json) == (200, {})


def test_an_image_nobody_knows_is_404_all_the_same(client: Client) -> None:
    assert client.get("/API/manager/image/x:1").status == 404
