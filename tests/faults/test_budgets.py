"""How many calls to the cluster each request costs, counted by the cluster itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ..od.orchestrator.support import ClusterAdmin
from ..support import Api
from ..waiting import eventually
from .support import LAUNCH, ask

READINESS = "get pods/exec"
EPHEMERAL = {"image": "dev.local/clock.d:1.0"}
POD = {"image": "dev.local/notes.d:1.0"}


def calls(counter: Counter[str]) -> int:
    """All calls but the readiness checks; the version of the server is asked for once a process."""
    counted = counter - Counter({READINESS: counter[READINESS], "unlabelled lists": counter["unlabelled lists"]})
    return sum(counted.values()) - counted["get /version"]


@pytest.fixture
def desktop(user: Api) -> Api:
    assert ask(user, LAUNCH).good
    assert eventually(lambda: ask(user, "composer/listcontainer").good)
    return user


def test_a_cold_launch_costs_six_calls_and_no_unlabelled_list(user: Api, admin: ClusterAdmin) -> None:
    with admin.counted() as counter:
        assert ask(user, LAUNCH).good
    assert calls(counter) <= 6, counter
    assert counter["unlabelled lists"] == 0
    assert counter["create pods"] == 1


def test_a_resume_costs_two_calls(desktop: Api, admin: ClusterAdmin) -> None:
    with admin.counted() as counter:
        assert ask(desktop, LAUNCH).good
    assert calls(counter) <= 2, counter
    assert counter[READINESS] == 0
    assert counter["unlabelled lists"] == 0


@pytest.mark.parametrize("body", [EPHEMERAL, POD], ids=["ephemeral", "pod"])
def test_starting_an_application_costs_three_calls(desktop: Api, admin: ClusterAdmin, body: dict[str, Any]) -> None:
    with admin.counted() as counter:
        assert ask(desktop, "composer/ocrun", body).good
    assert calls(counter) <= 3, counter
    assert counter["unlabelled lists"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "composer/listcontainer",
        "composer/getuserapplist",
        "composer/getapplist",
        "composer/refreshdesktoptoken",
        "auth/refreshtoken",
        "core/getmessageinfo",
    ],
)
def test_what_the_front_end_asks_again_and_again_costs_no_call(desktop: Api, admin: ClusterAdmin, path: str) -> None:
    with admin.counted() as counter:
        for _ in range(3):
            assert desktop.post(path).status_code == 200
    assert counter == Counter()


def test_a_login_costs_one_call_a_secret(new_user: Callable[..., Api], admin: ClusterAdmin) -> None:
    with admin.counted() as counter:
        user = new_user()
    assert counter == Counter({"create secrets": len(admin.secrets(user.userid or ""))})


def test_a_logout_lists_with_labels_only(desktop: Api, admin: ClusterAdmin) -> None:
    with admin.counted() as counter:
        desktop.post("auth/logout").raise_for_status()
    assert counter["unlabelled lists"] == 0
    assert counter["delete pods"] == 1
    assert calls(counter) - counter["delete secrets"] - counter["delete pods"] <= 5, counter
