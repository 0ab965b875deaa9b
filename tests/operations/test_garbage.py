"""The garbage collector: which desktops it takes, which it leaves, and what it does about trouble."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oc.errors import BadRequestError, ConflictError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo, Identity, Login
from oc.od.composer.garbage import Collection, GarbageCollector, Verdict
from oc.od.orchestrator import Desktop, Orchestrator
from oc.od.settings import Settings
from oc.sharecache import LocalCache
from tests.od.orchestrator.conftest import login_of
from tests.od.orchestrator.support import (
    CLAIMS,
    CLIENT,
    PODS,
    ClusterAdmin,
    Progress,
    settings_with,
)
from tests.od.orchestrator.test_applications import application
from tests.waiting import eventually

from .conftest import HOME_CLAIM, Records

Make = Callable[..., Any]


class Bed:
    """An orchestrator with a collector, and users on it. ``collect`` shows the verdicts by desktop."""

    def __init__(self, orchestrator: Orchestrator, collector: GarbageCollector, admin: ClusterAdmin) -> None:
        self.orchestrator = orchestrator
        self.collector = collector
        self.admin = admin

    def user(self, login: Login) -> Desktop:
        self.orchestrator.write_login_secrets(login)
        return self.orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))

    def last_used(self, desktop: Desktop, ago: timedelta | str) -> None:
        text = ago if isinstance(ago, str) else (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%S")
        body = {"metadata": {"annotations": {"lastlogin_datetime": text}}}
        self.admin.api("PATCH", f"{PODS}/{desktop.name}", body, "application/merge-patch+json")

    def collect(self, expirein: int = 900, **more: Any) -> dict[str, Verdict]:
        return {verdict.name: verdict for verdict in self.collector.collect(Collection(expirein, **more), CLIENT)}

    def gone(self, desktop: Desktop) -> bool:
        return eventually(lambda: not self.admin.exists(f"{PODS}/{desktop.name}"))


HOUR = timedelta(hours=1)


@pytest.fixture
def bed(orchestrator: Orchestrator, make_collector: Make, admin: ClusterAdmin) -> Bed:
    return Bed(orchestrator, make_collector(orchestrator), admin)


@pytest.fixture
def bed_of(make_orchestrator: Make, make_collector: Make, admin: ClusterAdmin) -> Callable[[str], Bed]:
    def make(image: str) -> Bed:
        orchestrator = make_orchestrator(settings_with(image=image))
        return Bed(orchestrator, make_collector(orchestrator), admin)

    return make


@pytest.fixture
def somebody(make_identity: Callable[..., Identity]) -> Callable[..., Login]:
    return lambda **changes: login_of(make_identity(**changes))


def test_an_idle_desktop_goes_with_all_that_belongs_to_it(bed: Bed, login: Login, records: Records) -> None:
    desktop = bed.user(login)
    app = application(containerengine="pod_application")
    bed.orchestrator.run_application(desktop, login.identity, app, CLIENT)
    bed.last_used(desktop, HOUR)
    assert bed.collect()[desktop.name].removed
    assert bed.gone(desktop)
    assert eventually(lambda: not bed.admin.pods(login.identity.userid))
    assert bed.admin.secrets(login.identity.userid) == []
    assert records.of(desktop.name) == [("stop", True)]


def test_a_desktop_used_lately_stays(bed: Bed, login: Login) -> None:
    desktop = bed.user(login)
    verdict = bed.collect()[desktop.name]
    assert not verdict.removed
    assert verdict.reason == "was used lately"
    assert bed.admin.exists(f"{PODS}/{desktop.name}")
    assert bed.admin.secrets(login.identity.userid)


@pytest.mark.parametrize(
    ("image", "force", "removed"),
    [
        ("example/busy:1", False, False),
        ("example/busy:1", True, True),
        ("example/broken:1", False, False),
        ("example/broken:1", True, True),
        ("example/idle:1", False, True),
    ],
)
def test_a_connected_user_or_an_unreadable_count_keeps_an_idle_desktop_unless_forced(
    bed_of: Callable[[str], Bed], login: Login, image: str, force: bool, removed: bool
) -> None:
    bed = bed_of(image)
    desktop = bed.user(login)
    bed.last_used(desktop, HOUR)
    assert bed.collect(force=force)[desktop.name].removed == removed
    if removed:
        assert bed.gone(desktop)
    else:
        assert bed.admin.exists(f"{PODS}/{desktop.name}")


def test_force_does_not_take_what_is_not_idle(bed: Bed, login: Login) -> None:
    desktop = bed.user(login)
    assert not bed.collect(force=True)[desktop.name].removed


def test_a_desktop_without_a_readable_date_is_judged_by_its_age(bed: Bed, login: Login, somebody: Make) -> None:
    desktop = bed.user(login)
    bed.last_used(desktop, "yesterday")
    assert not bed.collect(60)[desktop.name].removed
    bed.collector._now = lambda: datetime.now(UTC) + timedelta(seconds=120)
    assert bed.collect(60)[desktop.name].removed


def test_the_idle_time_is_told_in_utc_whatever_the_clock_of_the_machine_shows(
    bed: Bed, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    desktop = bed.user(login)
    bed.last_used(desktop, timedelta(seconds=600))
    assert 595 <= bed.collect(dryrun=True)[desktop.name].idle <= 660


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_desktop_that_has_ended_is_always_taken(bed: Bed, login: Login, phase: str, records: Records) -> None:
    desktop = bed.user(login)
    bed.admin.api(
        "PATCH", f"{PODS}/{desktop.name}/status", {"status": {"phase": phase}}, "application/merge-patch+json"
    )
    verdict = bed.collect(10_000)[desktop.name]
    assert verdict.removed, verdict
    assert bed.gone(desktop)


def test_the_failed_desktop_of_a_user_who_has_a_new_one_goes_alone(bed: Bed, login: Login) -> None:
    old = bed.user(login)
    bed.admin.api("PATCH", f"{PODS}/{old.name}/status", {"status": {"phase": "Failed"}}, "application/merge-patch+json")
    new = bed.orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))
    assert new.name != old.name
    found = bed.collect(900)
    assert found[old.name].removed
    assert not found[new.name].removed
    assert bed.gone(old)
    assert [pod["metadata"]["name"] for pod in bed.admin.pods(login.identity.userid)] == [new.name]
    assert len(bed.admin.secrets(login.identity.userid)) >= 3


def test_a_desktop_being_deleted_is_not_touched(bed: Bed, login: Login) -> None:
    desktop = bed.user(login)
    body = {"metadata": {"finalizers": ["example.org/hold"]}}
    bed.admin.api("PATCH", f"{PODS}/{desktop.name}", body, "application/merge-patch+json")
    try:
        bed.admin.api("DELETE", f"{PODS}/{desktop.name}")
        assert bed.collect(0, force=True)[desktop.name].reason == "is being deleted"
    finally:
        body = {"metadata": {"finalizers": None}}
        bed.admin.api("PATCH", f"{PODS}/{desktop.name}", body, "application/merge-patch+json")


def test_only_the_desktops_of_the_node_asked_for_are_looked_at(bed: Bed, somebody: Make) -> None:
    desktop = bed.user(somebody())
    bed.last_used(desktop, HOUR)
    node = desktop.node
    other = "node2" if node == "node1" else "node1"
    assert desktop.name not in bed.collect(nodename=other)
    assert bed.collect(nodename=node or "")[desktop.name].removed


def test_a_dry_run_says_what_would_go_and_removes_nothing(bed: Bed, login: Login, records: Records) -> None:
    desktop = bed.user(login)
    bed.last_used(desktop, HOUR)
    with bed.admin.counted() as calls:
        verdict = bed.collect(dryrun=True)[desktop.name]
    assert verdict.removed
    assert verdict.reason == "idle"
    assert not [call for call in calls if call.startswith(("delete", "patch", "update")) or call == "create pods"]
    assert bed.admin.exists(f"{PODS}/{desktop.name}")
    assert records.kept == []


def test_a_user_who_comes_back_in_this_moment_keeps_the_desktop(
    bed: Bed, login: Login, monkeypatch: pytest.MonkeyPatch, records: Records
) -> None:
    desktop = bed.user(login)
    bed.last_used(desktop, HOUR)
    count = bed.orchestrator.count_connections

    def count_then_resume(pod: Any) -> int | None:
        found = count(pod)
        if pod.name == desktop.name:
            bed.orchestrator.resume_desktop(desktop, login.identity)
        return found

    monkeypatch.setattr(bed.orchestrator, "count_connections", count_then_resume)
    verdict = bed.collect()[desktop.name]
    assert not verdict.removed
    assert verdict.reason == "gone, or used again meanwhile"
    assert bed.admin.exists(f"{PODS}/{desktop.name}")
    assert len(bed.admin.secrets(login.identity.userid)) >= 3
    assert records.of(desktop.name) == []


def test_trouble_with_one_desktop_does_not_save_the_others(bed: Bed, somebody: Make) -> None:
    first, second = bed.user(somebody()), bed.user(somebody())
    for desktop in (first, second):
        bed.last_used(desktop, HOUR)
    bed.admin.fault(verb="delete", resource="pods", name=first.name, status=500)
    found = bed.collect()
    assert not found[first.name].removed
    assert found[second.name].removed
    bed.admin.no_faults()
    assert bed.collect()[first.name].removed


def test_a_pending_desktop_is_left_to_its_launch_and_taken_when_that_must_be_over(
    bed: Bed, login: Login, settings: Settings
) -> None:
    bed.admin.behave(name="*", unschedulable=True)
    bed.orchestrator.write_login_secrets(login)
    launch = ThreadPoolExecutor(1)
    launching = launch.submit(bed.orchestrator.create_desktop, login.identity, CLIENT, Progress(), Deadline(20))
    assert eventually(lambda: bed.admin.pods(login.identity.userid))
    name = bed.admin.pods(login.identity.userid)[0]["metadata"]["name"]
    assert not bed.collect(0)[name].removed
    bed.collector._now = lambda: datetime.now(UTC) + timedelta(seconds=settings.kubernetes.create_pod_timeout + 60)
    assert bed.collect(0)[name].removed
    assert launching.exception(30) is not None
    launch.shutdown()


def test_two_collectors_never_run_together(
    make_orchestrator: Make, make_collector: Make, cache: LocalCache, admin: ClusterAdmin
) -> None:
    inside, go = threading.Event(), threading.Event()
    first, second = make_orchestrator(), make_orchestrator()
    slow = make_collector(first)
    live = first.live_desktops

    def wait(node: str = "") -> Any:
        inside.set()
        assert go.wait(20)
        return live(node)

    first.live_desktops = wait
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow.collect, Collection(900), CLIENT)
        assert inside.wait(20)
        with pytest.raises(ConflictError):
            make_collector(second, wait_seconds=0.3).collect(Collection(900), CLIENT)
        assert make_collector(second, wait_seconds=0.3).collect(Collection(900, dryrun=True), CLIENT) is not None
        go.set()
        running.result(20)
    assert make_collector(second, wait_seconds=0.3).collect(Collection(900), CLIENT) is not None


class NoCache(LocalCache):
    """A cache that is away."""

    def add(self, key: str, value: str, ttl: int) -> bool | None:
        return None

    def get(self, key: str) -> str | None:
        return None


def test_without_a_cache_collectors_that_meet_remove_each_desktop_once(
    make_orchestrator: Make, make_collector: Make, admin: ClusterAdmin, somebody: Make, records: Records
) -> None:
    first, second = make_orchestrator(), make_orchestrator()
    bed = Bed(first, make_collector(first, NoCache()), admin)
    other = Bed(second, make_collector(second, NoCache()), admin)
    desktops = [bed.user(somebody()) for _ in range(3)]
    for desktop in desktops:
        bed.last_used(desktop, HOUR)
    with ThreadPoolExecutor(2) as pool:
        found = [run.result() for run in [pool.submit(one.collect) for one in (bed, other)]]
    for desktop in desktops:
        assert sum(verdicts[desktop.name].removed for verdicts in found if desktop.name in verdicts) == 1
        assert records.of(desktop.name) == [("stop", True)]


@pytest.mark.parametrize(("expirein", "node"), [(-1, ""), (10**10, ""), (1, "a,b=c"), (1, "x" * 300), (1, "A b")])
def test_bad_parameters_are_refused(expirein: int, node: str) -> None:
    with pytest.raises(BadRequestError):
        Collection(expirein, nodename=node)


def test_a_claim_goes_with_a_collected_desktop_where_configured(
    make_orchestrator: Make, make_collector: Make, admin: ClusterAdmin, somebody: Make
) -> None:
    configured = settings_with(
        image="example/idle:1",
        desktop__homedirectorytype="persistentVolumeClaim",
        desktop__persistentvolumeclaim=HOME_CLAIM,
        desktop__removepersistentvolumeclaim=True,
    )
    orchestrator = make_orchestrator(configured)
    bed = Bed(orchestrator, make_collector(orchestrator), admin)
    login = somebody()
    desktop = bed.user(login)
    claim = f"{CLAIMS}/home-{login.identity.userid}"
    assert admin.exists(claim)
    bed.last_used(desktop, HOUR)
    assert bed.collect()[desktop.name].removed
    assert eventually(lambda: not admin.exists(claim))


def test_the_caller_is_in_the_history_of_a_removal(
    orchestrator: Orchestrator, make_collector: Make, admin: ClusterAdmin, login: Login, records: Records
) -> None:
    seen: list[Any] = []
    keep = records.desktop

    def remember(identity: Identity, client: ClientInfo | None, *rest: Any) -> None:
        seen.append((identity.userid, client))
        keep(identity, client, *rest)

    records.desktop = remember  # type: ignore[method-assign]
    bed = Bed(orchestrator, make_collector(orchestrator), admin)
    desktop = bed.user(login)
    bed.last_used(desktop, HOUR)
    bed.collect()
    assert (login.identity.userid, CLIENT) in seen
