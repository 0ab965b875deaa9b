"""The script that gives applications further variables, a free GPU for instance; the desktop runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Login
from oc.od.orchestrator import Orchestrator
from oc.od.orchestrator.applications import overwrite_variables

from .support import CLIENT, PODS, ClusterAdmin, Progress, settings_with
from .test_applications import application


def started_with(
    script: str,
    kind: str,
    make_orchestrator: Callable[..., Orchestrator],
    admin: ClusterAdmin,
    login: Login,
) -> dict[str, Any]:
    """The environment of an application, as the cluster keeps it."""
    key = "desktop.overwrite_environment_variable_for_application"
    orchestrator = make_orchestrator(settings_with(**{key: script}))
    orchestrator.write_login_secrets(login)
    desktop = orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(40))
    started = orchestrator.run_application(desktop, login.identity, application(containerengine=kind), CLIENT)
    if kind == "pod_application":
        container = admin.api("GET", f"{PODS}/{started.container_id}")["spec"]["containers"][0]
    else:
        (container,) = admin.api("GET", f"{PODS}/{desktop.name}")["spec"]["ephemeralContainers"]
    return {one["name"]: one.get("value") for one in container["env"]}


@pytest.mark.parametrize(("kind", "told"), [("ephemeral_container", "container"), ("pod_application", "pod")])
def test_what_the_script_prints_is_in_the_environment_of_the_application(
    kind: str, told: str, make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login
) -> None:
    found = started_with("/composer/gpus", kind, make_orchestrator, admin, login)
    assert (found["GPU"], found["STARTED_AS"]) == ("7", told)


@pytest.mark.parametrize("script", ["/composer/failing", "/composer/talking", "/no/such/script"])
def test_a_script_that_fails_or_is_not_there_does_not_keep_an_application_from_starting(
    script: str, make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login
) -> None:
    found = started_with(script, "ephemeral_container", make_orchestrator, admin, login)
    assert found["DISPLAY"]
    assert "GPU" not in found


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b"", {}),
        (b'{"A": "1"}', {"A": "1"}),
        (b'[{"A": "1"}, {"A": "2", "B": null}, 7]', {"A": "2", "B": None}),
        (b'"text"', {}),
        (b"\xff\xfe\x00", {}),
        (b"[" * 200_000, {}),
        (json.dumps({"A": {"nested": 1}}).encode(), {"A": {"nested": 1}}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_only_objects_of_json_count(output: bytes, expected: dict[str, Any]) -> None:
    assert overwrite_variables(output) == expected
