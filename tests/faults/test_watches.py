"""The shared watch of pods dropped, silent, or asking for a past the cluster has forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..od.orchestrator.support import PODS, ClusterAdmin
from ..support import Api
from ..waiting import eventually
from .support import LAUNCH, PYOS, ask, one_desktop


@pytest.mark.parametrize("trouble", ["dropped", "dropped and the past forgotten", "dropped and refused twice"])
def test_launches_survive_a_broken_watch(user: Api, admin: ClusterAdmin, trouble: str) -> None:
    if "refused" in trouble:
        admin.fault(verb="watch", resource="pods", user=PYOS, status=500, count=2)
    if "forgotten" in trouble:
        admin.devstack("POST", "compact")
    admin.devstack("DELETE", "watches?resource=pods")
    answer = ask(user, LAUNCH)
    assert answer.good, answer
    one_desktop(admin, user.userid or "", [answer])


def test_a_list_that_is_compacted_away_is_made_again(new_user: Callable[..., Api], admin: ClusterAdmin) -> None:
    user = new_user()
    admin.fault(verb="watch", resource="pods", user=PYOS, status=410, count=2)
    admin.devstack("DELETE", "watches?resource=pods")
    assert ask(user, LAUNCH).good
    (pod,) = admin.pods(user.userid or "")
    admin.api("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
    assert eventually(lambda: ask(user, "composer/listcontainer").status == 404), "the watch does not live"


def test_a_silent_watch_does_not_hide_that_the_desktop_runs(hasty_user: Api, admin: ClusterAdmin) -> None:
    """The watch is open and says nothing: at worst the launch is refused in time, and the desktop is not lost."""
    admin.devstack("POST", "watches?resource=pods", {"silent": True, "resource": "pods"})
    try:
        first = ask(hasty_user, LAUNCH)
    finally:
        admin.devstack("POST", "watches?resource=pods", {"silent": False, "resource": "pods"})
        admin.devstack("DELETE", "watches?resource=pods")
    if not first.good:
        assert "in time" in first.message
        assert eventually(lambda: not admin.pods(hasty_user.userid or ""))
    second = ask(hasty_user, LAUNCH)
    assert second.good, second
    one_desktop(admin, hasty_user.userid or "", [first, second])
