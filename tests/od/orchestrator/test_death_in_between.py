"""A replica killed between any two of its calls: the next launch ends in one desktop all the same."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import Configuration

from oc.model.deadline import Deadline
from oc.model.identity import Identity, Login
from oc.od.orchestrator import KubernetesClient, Orchestrator
from oc.od.settings import Settings
from tests.waiting import eventually

from .support import CLIENT, ClusterAdmin, Progress

CALLS_OF_A_LAUNCH = 5


class KilledError(BaseException):
    """The process is dead: no handler of the product may catch this."""


class DyingClient(KubernetesClient):
    """Works for ``calls`` calls; the process dies before (or after) the next one takes effect, and makes none more."""

    def __init__(self, configuration: Configuration, calls: int, *, after: bool) -> None:
        super().__init__(configuration, "abcdesktop")
        self._left = calls
        self._after = after
        self.dead = False

    def call(self, *arguments: Any, **options: Any) -> bytes:
        if self.dead:
            raise KilledError
        if self._left == 0:
            self.dead = True
            if self._after:
                super().call(*arguments, **options)
            raise KilledError
        self._left -= 1
        return super().call(*arguments, **options)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("calls", range(CALLS_OF_A_LAUNCH))
def test_a_launch_after_the_death_of_another_gives_one_desktop(
    orchestrator: Orchestrator,
    configuration: Configuration,
    settings: Settings,
    logged_in: Identity,
    admin: ClusterAdmin,
    calls: int,
    after: bool,
) -> None:
    dying = Orchestrator(settings, client=DyingClient(configuration, calls, after=after))
    with pytest.raises(KilledError):
        dying.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))
    dying.stop()
    desktop = orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))
    assert desktop.is_reachable
    assert [pod["metadata"]["uid"] for pod in admin.pods(logged_in.userid)] == [desktop.uid]
    (secret,) = [one for one in admin.secrets(logged_in.userid) if one["metadata"]["labels"]["access_type"] == "vnc"]
    assert base64.b64decode(secret["data"]["password"]).decode() == desktop.vnc_password


def test_a_launch_has_as_many_calls_as_the_deaths_above(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    with admin.counted() as calls:
        orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))
    assert sum(calls.values()) == CALLS_OF_A_LAUNCH


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("calls", range(5))
def test_a_removal_that_died_is_completed_by_the_next(
    orchestrator: Orchestrator,
    configuration: Configuration,
    settings: Settings,
    logged_in: Identity,
    admin: ClusterAdmin,
    calls: int,
    after: bool,
) -> None:
    orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))
    dying = Orchestrator(settings, client=DyingClient(configuration, calls, after=after))
    with pytest.raises(KilledError):
        dying.remove_desktop(logged_in)
    dying.stop()
    orchestrator.remove_desktop(logged_in)
    assert admin.secrets(logged_in.userid) == []
    assert eventually(lambda: not admin.pods(logged_in.userid))


@pytest.mark.parametrize("calls", range(4))
def test_a_login_that_died_is_completed_by_the_next(
    orchestrator: Orchestrator,
    configuration: Configuration,
    settings: Settings,
    login: Login,
    admin: ClusterAdmin,
    calls: int,
) -> None:
    dying = Orchestrator(settings, client=DyingClient(configuration, calls, after=True))
    with pytest.raises(KilledError):
        dying.write_login_secrets(login)
    dying.stop()
    orchestrator.write_login_secrets(login)
    assert len(admin.secrets(login.identity.userid)) == 3


def test_a_replica_that_died_while_its_pod_started_leaves_it_to_the_next(
    orchestrator: Orchestrator,
    configuration: Configuration,
    settings: Settings,
    make_orchestrator: Callable[..., Orchestrator],
    logged_in: Identity,
    admin: ClusterAdmin,
) -> None:
    """The next launch joins the Pending pod and hands it out."""
    admin.behave(labels={"access_userid": logged_in.userid}, failure="ImagePullBackOff")
    dying = Orchestrator(settings, client=DyingClient(configuration, CALLS_OF_A_LAUNCH - 1, after=True))
    with pytest.raises(KilledError):
        dying.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))
    dying.stop()
    (pod,) = admin.pods(logged_in.userid)
    found = make_orchestrator().find_desktop(logged_in)
    assert found is not None
    assert found.status == "Pending"
    admin.no_faults()
    desktop = orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))
    assert desktop.uid == pod["metadata"]["uid"]
