"""The catalogue through the running product: two replicas on one database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

from ...support import Api

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "apps"
JAVASCRIPT = {"Content-Type": "text/javascript"}


@pytest.fixture
def manager(api: Api) -> Iterator[Api]:
    """A client whose catalogue is empty before and after."""
    api.manager("DELETE", "images").raise_for_status()
    yield api
    api.manager("DELETE", "images").raise_for_status()


def test_an_image_put_as_the_scripts_do_is_read_changed_and_deleted(
    manager: Api, image: Callable[..., dict[str, Any]]
) -> None:
    tag, digest = "ghcr.io/test/x:1", "a" * 64
    answer = manager.manager("PUT", "image", data=json.dumps(image(tag)), headers=JAVASCRIPT)
    assert answer.status_code == 200
    assert answer.json()["id"] == tag
    assert isinstance(answer.json()["pulling"], bool)
    for path in (f"image/{tag}", f"image/{digest}", "image/ghcr.io%2Ftest%2Fx:1"):
        assert manager.manager("GET", path).json()["sha_id"] == f"sha256:{digest}"
    changed = manager.manager("PATCH", f"image/{digest}", json=image(tag, cat="games"))
    assert changed.json()["cat"] == "games"
    assert manager.manager("GET", "buildapplist").json()[tag]["cat"] == "games"
    assert manager.manager("DELETE", f"image/{digest}").json() == [digest]
    gone = manager.manager("GET", f"image/{digest}")
    assert (gone.status_code, gone.json()) == (404, {"status": 404, "message": "Not found"})


def test_the_catalogue_is_not_sent_again_to_who_has_it(manager: Api, image: Callable[..., dict[str, Any]]) -> None:
    manager.manager("POST", "image", json=image("x:1")).raise_for_status()
    tag = manager.manager("GET", "images").headers["ETag"]
    for path in ("images", "image", "buildapplist"):
        for known in (tag, f'"other", W/{tag}', "*"):
            answer = manager.manager("GET", path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    manager.manager("POST", "image", json=image("y:1", digest="b" * 64)).raise_for_status()
    answer = manager.manager("GET", "images", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert set(answer.json()) == {"x:1", "y:1"}
    assert answer.headers["ETag"] != tag
    assert manager.request("GET", "manager/images", headers={"If-None-Match": "*"}).status_code == 403


def test_a_users_list_has_another_tag_when_it_is_another_list(
    manager: Api, image: Callable[..., dict[str, Any]]
) -> None:
    manager.login()
    before = manager.post("composer/getuserapplist").headers["ETag"]
    assert manager.post("composer/getapplist").headers["ETag"] == before
    manager.manager("POST", "image", json=image("hidden:1", acl='{"permit": ["nobody"]}')).raise_for_status()
    assert manager.post("composer/getuserapplist").headers["ETag"] == before
    manager.manager("POST", "image", json=image("x:1", digest="b" * 64)).raise_for_status()
    answer = manager.post("composer/getuserapplist", headers={"If-None-Match": before})
    assert answer.headers["ETag"] != before
    # a POST is answered in full whatever the client has
    full = manager.post("composer/getuserapplist", headers={"If-None-Match": answer.headers["ETag"]})
    assert (full.status_code, full.json()) == (200, answer.json())


@pytest.mark.parametrize(("body", "message"), [("3", "Invalid parameters"), ("{}", "failed to add json image")])
def test_an_unusable_body_is_refused_with_400(manager: Api, body: str, message: str) -> None:
    for verb in ("POST", "PUT"):
        answer = manager.manager(verb, "image", data=body, headers=JAVASCRIPT)
        assert answer.status_code == 400
        assert message in answer.json()["message"]


def test_a_large_list_is_registered_in_one_request_and_seen_by_the_users_of_another_replica(
    manager: Api, replica_api: Api, image: Callable[..., dict[str, Any]]
) -> None:
    images = [image(f"ghcr.io/test/app{n}:1", digest=f"{n:064x}", icondata="QUJD" * 4000) for n in range(116)]
    body = json.dumps(images)
    assert len(body) > 1_700_000
    answer = manager.manager("POST", "image", data=body, headers=JAVASCRIPT)
    assert len(answer.json()) == 116
    until(lambda: len(replica_api.manager("GET", "images").json()) == 116)
    replica_api.login()
    shown = replica_api.result("composer/getuserapplist")
    assert [entry["id"] for entry in shown][-116:] == sorted(item["RepoTags"][0] for item in images)
    assert "acl" not in shown[-1]
    manager.manager("DELETE", "images").raise_for_status()
    until(lambda: replica_api.manager("GET", "images").json() == {})


def test_every_published_sample_is_accepted(manager: Api) -> None:
    if not SHARED.is_dir():
        pytest.skip("the published image descriptions (../shared/data/apps) are not here")
    for path in sorted(SHARED.glob("*.json")):
        answer = manager.manager("POST", "image", data=path.read_bytes(), headers=JAVASCRIPT)
        assert (answer.status_code, len(answer.json())) == (200, len(json.loads(path.read_text())))
    assert len(manager.manager("GET", "images").json()) == 19
