"""Many users, several replicas and an API that loses answers, is late and overloaded, all at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.orchestrator import Desktop, Orchestrator
from tests.waiting import eventually

from .conftest import login_of
from .support import CLIENT, ClusterAdmin, Progress

USERS, LAUNCHES = 6, 5


def test_every_user_ends_with_one_desktop_after_a_storm(
    orchestrator: Orchestrator,
    make_orchestrator: Callable[..., Orchestrator],
    make_identity: Callable[..., Identity],
    admin: ClusterAdmin,
) -> None:
    dice = random.Random(4)
    replicas = [orchestrator, make_orchestrator(), make_orchestrator()]
    users = [make_identity() for _ in range(USERS)]
    for identity in users:
        orchestrator.write_login_secrets(login_of(identity))
    for resource, verb in (("pods", "create"), ("secrets", "create"), ("secrets", "patch"), ("pods", "list")):
        admin.fault(verb=verb, resource=resource, drop=True, after=True, count=3)
        admin.fault(verb=verb, resource=resource, status=503, count=2)
        admin.fault(verb=verb, resource=resource, status=429, retry_after_s=1, count=2)
        admin.fault(verb=verb, resource=resource, latency_s=0.3, count=3)
    admin.devstack("DELETE", "watches?resource=pods")

    def launch(identity: Identity) -> Desktop | None:
        try:
            return dice.choice(replicas).create_desktop(identity, CLIENT, Progress(), Deadline(30))
        except ODError:
            return None

    with ThreadPoolExecutor(USERS * LAUNCHES) as pool:
        given = list(pool.map(launch, users * LAUNCHES))
    admin.no_faults()
    for identity in users:
        desktop = orchestrator.create_desktop(identity, CLIENT, Progress(), Deadline(30))
        assert [pod["metadata"]["uid"] for pod in admin.pods(identity.userid)] == [desktop.uid]
        mine = [one for one in given if one is not None and one.user == desktop.user]
        assert all((one.uid, one.vnc_password) == (desktop.uid, desktop.vnc_password) for one in mine)
        assert eventually(lambda identity=identity, desktop=desktop: found_by_all(replicas, identity, desktop))
    assert any(given)


def found_by_all(replicas: list[Orchestrator], identity: Identity, desktop: Desktop) -> bool:
    found = [replica.find_desktop(identity) for replica in replicas]
    return all(one is not None and one.uid == desktop.uid for one in found)
