"""Two pyos processes on one stack: no state of a session is in a process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from devstack.stack import Stack
from tests.waiting import until

from ..support import Api
from .test_worked_example import desktop_pod, objects_of


def painter(tag: str, engine: str) -> dict[str, Any]:
    """An application of the test's own."""
    return {
        "Id": "sha256:" + f"{abs(hash(tag)):064x}"[-64:],
        "RepoTags": [tag],
        "Architecture": "amd64",
        "Os": "linux",
        "Config": {
            "Cmd": ["/composer/appli-docker-entrypoint.sh"],
            "Labels": {
                "oc.name": "painter",
                "oc.launch": tag,
                "oc.icon": "painter.svg",
                "oc.cat": "graphics",
                "oc.containerengine": engine,
            },
        },
    }


@pytest.fixture
def first(api: Api) -> Iterator[Api]:
    yield api
    if api.token:
        api.post("auth/logout")


def as_user(first: Api, replica_api: Api) -> Api:
    """The same user at the other replica."""
    replica_api.token = first.token
    return replica_api


def test_log_in_at_one_launch_at_the_other_and_run_what_the_first_registered(
    first: Api, replica_api: Api, stack: Stack
) -> None:
    userid = first.login()["userid"]
    second = as_user(first, replica_api)
    second.result("composer/launchdesktop")
    for engine, kind in (("ephemeral_container", "ephemeral_container"), ("pod_application", "pod_application")):
        tag = f"two.example/{engine}:1"
        first.manager("POST", "image", json=painter(tag, engine)).raise_for_status()
        until(lambda tag=tag: tag in {entry["id"] for entry in second.result("composer/getuserapplist")})  # type: ignore[misc]
        started = second.result("composer/ocrun", {"image": tag})
        assert started["type"] == kind
        until(
            lambda started=started: [  # type: ignore[misc]
                entry
                for entry in first.result("composer/listcontainer")
                if entry["id"] == started["container_id"] and entry["status"] == "Running"
            ]
        )
        first.manager("DELETE", f"image/{tag}").raise_for_status()
        until(lambda tag=tag: tag not in {entry["id"] for entry in second.result("composer/getuserapplist")})  # type: ignore[misc]
    first.post("auth/logout").raise_for_status()
    until(lambda: not objects_of(stack, "pods", userid))
    assert second.post("composer/listcontainer").status_code == 404


def test_progress_of_a_launch_at_one_replica_is_read_at_the_other(first: Api, replica_api: Api) -> None:
    first.login()
    second = as_user(first, replica_api)
    seen: set[str] = set()
    with ThreadPoolExecutor(1) as pool:
        launch = pool.submit(first.result, "composer/launchdesktop")
        while not launch.done():
            seen.add(second.post("core/getmessageinfo").json()["message"] or "")
        assert launch.result()["authorization"]
    assert any(text.startswith(("b.", "c.")) for text in seen), seen


def test_fifty_clicks_at_two_replicas_give_one_desktop(first: Api, replica_api: Api, stack: Stack) -> None:
    userid = first.login()["userid"]
    second = as_user(first, replica_api)

    def click(number: int) -> str:
        with Api((first if number % 2 else second).url, token=first.token) as page:
            return str(page.result("composer/launchdesktop")["vncpassword"])

    with ThreadPoolExecutor(50) as pool:
        passwords = set(pool.map(click, range(50)))
    assert len(passwords) == 1
    assert desktop_pod(stack, userid)["status"]["phase"] == "Running"
