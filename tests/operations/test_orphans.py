"""Orphans: what a crash left behind goes, what somebody may still need stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devstack.service import Service
from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import Identity, Login
from oc.od.composer.sweeping import OrphanSweeps
from oc.od.orchestrator import Desktop, Orchestrator
from oc.od.orchestrator.orphans import written
from oc.sharecache import LocalCache
from tests.od.orchestrator.conftest import login_of
from tests.od.orchestrator.support import (
    CLAIMS,
    CLIENT,
    PODS,
    SECRETS,
    ClusterAdmin,
    Progress,
    settings_with,
)
from tests.od.orchestrator.test_applications import application
from tests.support import Api
from tests.waiting import eventually

from .conftest import HOME_CLAIM

Make = Callable[..., Any]
HOUR = timedelta(hours=1)
CONFIGMAPS = "/api/v1/namespaces/abcdesktop/configmaps"


def sweep(orchestrator: Orchestrator, later: timedelta = timedelta(), age: timedelta = HOUR) -> Counter[str]:
    return orchestrator.sweep_orphans(age, datetime.now(UTC) + later)


def launch(orchestrator: Orchestrator, login: Login) -> Desktop:
    orchestrator.write_login_secrets(login)
    return orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))


def kill(admin: ClusterAdmin, desktop: Desktop) -> None:
    admin.api("DELETE", f"{PODS}/{desktop.name}?gracePeriodSeconds=0")
    assert eventually(lambda: not admin.exists(f"{PODS}/{desktop.name}"))


def test_secrets_and_application_pods_without_a_desktop_go_when_they_are_old(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    desktop = launch(orchestrator, login)
    app = application(containerengine="pod_application")
    orchestrator.run_application(desktop, login.identity, app, CLIENT)
    user = login.identity.userid
    admin.api(
        "POST",
        CONFIGMAPS,
        {
            "metadata": {
                "name": f"auth-localaccount-{user}",
                "labels": {"access_userid": user, "access_type": "localaccount", "access_provider": "planet"},
            }
        },
    )
    kill(admin, desktop)
    sweep(orchestrator)
    assert len(admin.pods(user)) == 1
    assert len(admin.secrets(user)) == 4
    sweep(orchestrator, 2 * HOUR)
    assert eventually(lambda: not admin.pods(user))
    assert admin.secrets(user) == []
    assert not admin.exists(f"{CONFIGMAPS}/auth-localaccount-{user}")


def test_what_belongs_to_a_desktop_stays_however_old(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    desktop = launch(orchestrator, login)
    orchestrator.run_application(desktop, login.identity, application(containerengine="pod_application"), CLIENT)
    sweep(orchestrator, timedelta(days=400))
    assert len(admin.pods(login.identity.userid)) == 2
    assert len(admin.secrets(login.identity.userid)) == 4


def test_a_desktop_of_another_provider_keeps_the_secrets_of_the_same_user_id(
    orchestrator: Orchestrator, make_identity: Callable[..., Identity], admin: ClusterAdmin
) -> None:
    first = make_identity()
    orchestrator.write_login_secrets(login_of(first))
    launch(orchestrator, login_of(make_identity(userid=first.userid, provider="mars")))
    count = len(admin.secrets(first.userid))
    sweep(orchestrator, timedelta(days=2))
    assert len(admin.secrets(first.userid)) == count


def test_a_user_who_has_logged_in_lately_keeps_old_secrets(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    """The secrets of an earlier login are written again, not made anew: their creation says nothing."""
    orchestrator.write_login_secrets(login)
    for secret in admin.secrets(login.identity.userid):
        old = {"metadata": {"annotations": {"abcdesktop/written": "2001-01-01T00:00:00+00:00"}}}
        admin.api("PATCH", f"{SECRETS}/{secret['metadata']['name']}", old, "application/merge-patch+json")
    orchestrator.write_login_secrets(login)
    for secret in admin.secrets(login.identity.userid):
        metadata = {**secret["metadata"], "creationTimestamp": "2001-01-01T00:00:00Z"}
        assert datetime.now(UTC) - written(metadata) < timedelta(minutes=1)
    sweep(orchestrator, timedelta(minutes=30))
    assert len(admin.secrets(login.identity.userid)) == 3


def test_one_young_secret_keeps_them_all(orchestrator: Orchestrator, login: Login, admin: ClusterAdmin) -> None:
    orchestrator.write_login_secrets(login)
    names = [secret["metadata"]["name"] for secret in admin.secrets(login.identity.userid)]
    later = (datetime.now(UTC) + 2 * HOUR).isoformat()
    body = {"metadata": {"annotations": {"abcdesktop/written": later}}}
    admin.api("PATCH", f"{SECRETS}/{names[0]}", body, "application/merge-patch+json")
    sweep(orchestrator, 2 * HOUR)
    assert len(admin.secrets(login.identity.userid)) == len(names)


def test_a_login_between_reading_and_deleting_keeps_its_secrets(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrator.write_login_secrets(login)
    sweeper = orchestrator._orphans
    pods = sweeper._pods

    def pods_then_login(deadline: Deadline) -> Any:
        found = pods(deadline)
        orchestrator.write_login_secrets(
            Login(login.identity, {"mail": "new@example.org"}, login.posix, {**login.claims})
        )
        return found

    before = {
        one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in admin.secrets(login.identity.userid)
    }
    old = {"metadata": {"annotations": {"abcdesktop/written": None}}}
    for name in before:
        admin.api("PATCH", f"{SECRETS}/{name}", old, "application/merge-patch+json")
    monkeypatch.setattr(sweeper, "_pods", pods_then_login)
    sweep(orchestrator, 2 * HOUR)
    assert len(admin.secrets(login.identity.userid)) == 3


def test_the_minimum_age_is_never_less_than_a_login_and_a_launch_take(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    sweep(orchestrator, timedelta(seconds=60), age=timedelta())
    assert len(admin.secrets(login.identity.userid)) == 3


def test_secrets_that_are_not_ours_are_left_alone(orchestrator: Orchestrator, admin: ClusterAdmin) -> None:
    labels = {"access_userid": "stranger", "access_type": "auth"}
    admin.api("POST", SECRETS, {"metadata": {"name": "strange", "labels": labels}, "type": "other/kind"})
    admin.api("POST", SECRETS, {"metadata": {"name": "unlabelled"}, "type": "abcdesktop/ldif"})
    sweep(orchestrator, timedelta(days=400))
    assert admin.exists(f"{SECRETS}/strange")
    assert admin.exists(f"{SECRETS}/unlabelled")


@pytest.mark.parametrize("removed", [True, False])
def test_a_claim_without_a_desktop_goes_only_where_claims_go_with_desktops(
    make_orchestrator: Make, login: Login, admin: ClusterAdmin, removed: bool
) -> None:
    orchestrator = make_orchestrator(
        settings_with(
            desktop__homedirectorytype="persistentVolumeClaim",
            desktop__persistentvolumeclaim=HOME_CLAIM,
            desktop__removepersistentvolumeclaim=removed,
        )
    )
    desktop = launch(orchestrator, login)
    claim = f"{CLAIMS}/home-{login.identity.userid}"
    kill(admin, desktop)
    sweep(orchestrator, timedelta(minutes=1))
    assert admin.exists(claim)
    sweep(orchestrator, 2 * HOUR)
    assert eventually(lambda: not admin.exists(claim)) if removed else admin.exists(claim)


def test_the_sweep_lists_by_label_and_pages(
    orchestrator: Orchestrator,
    make_identity: Callable[..., Identity],
    admin: ClusterAdmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oc.od.orchestrator.orphans.PAGE", 2)
    people = [make_identity() for _ in range(3)]
    for identity in people:
        orchestrator.write_login_secrets(login_of(identity))
    with admin.counted() as calls:
        sweep(orchestrator, 2 * HOUR)
    assert calls["unlabelled lists"] == 0
    assert calls["list secrets"] > 3
    assert not [secret for identity in people for secret in admin.secrets(identity.userid)]


def test_what_cannot_be_deleted_is_left_to_the_next_sweep(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    admin.fault(verb="delete", resource="secrets", name="auth-ldif-*", status=500)
    sweep(orchestrator, 2 * HOUR)
    assert [one["metadata"]["labels"]["access_type"] for one in admin.secrets(login.identity.userid)] == ["ldif"]
    admin.no_faults()
    sweep(orchestrator, 2 * HOUR)
    assert admin.secrets(login.identity.userid) == []


def test_nothing_is_deleted_when_the_desktops_cannot_be_listed(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    admin.fault(verb="list", resource="pods", user="*pyos*", status=403)
    with pytest.raises(ODError):
        sweep(orchestrator, 2 * HOUR)
    assert len(admin.secrets(login.identity.userid)) == 3


class Counting:
    """Stands for the orchestrator: counts the sweeps."""

    def __init__(self) -> None:
        self.sweeps = 0

    def sweep_orphans(self, age: timedelta, now: datetime) -> Counter[str]:
        self.sweeps += 1
        return Counter()


def test_of_several_replicas_one_sweeps_in_an_interval(cache: LocalCache) -> None:
    one, other = Counting(), Counting()
    settings = settings_with(K8S_ORPHAN_SWEEP_INTERVAL_SECONDS=600)
    replicas = [OrphanSweeps(settings, counting, cache) for counting in (one, other)]  # type: ignore[arg-type]
    assert [replica.once() for replica in replicas] == [True, False]
    assert (one.sweeps, other.sweeps) == (1, 0)


def test_sweeps_can_be_switched_off_and_stop_at_once(cache: LocalCache) -> None:
    counting = Counting()
    off = OrphanSweeps(settings_with(K8S_ORPHAN_SWEEP_INTERVAL_SECONDS=0), counting, cache)  # type: ignore[arg-type]
    off.start()
    assert off._thread is None
    running = OrphanSweeps(settings_with(K8S_ORPHAN_SWEEP_INTERVAL_SECONDS=600), counting, cache)  # type: ignore[arg-type]
    running.start()
    thread = running._thread
    assert thread is not None
    running.stop()
    assert not thread.is_alive()


def test_a_service_sweeps_by_itself(own_service: Callable[..., Service], admin: ClusterAdmin) -> None:
    old = {"abcdesktop/written": "2001-01-01T00:00:00+00:00"}
    labels = {"access_userid": "forgotten", "access_type": "auth", "access_provider": "planet"}
    service = own_service({"K8S_ORPHAN_SWEEP_INTERVAL_SECONDS": 1, "K8S_ORPHAN_MIN_AGE_SECONDS": 0})
    with Api(service.url, service.api_key) as api:
        api.login()
        admin.api(
            "POST",
            SECRETS,
            {"metadata": {"name": "forgotten", "labels": labels, "annotations": old}, "type": "abcdesktop/ntlm"},
        )
        assert admin.exists(f"{SECRETS}/forgotten")
        assert len(admin.secrets(str(api.userid))) >= 2
        api.result("composer/launchdesktop")
        api.post("auth/logout")
