"""Applications of both classes on a cluster: started, listed, inspected, stopped, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oc.errors import BadRequestError, ODResourceNotFoundError
from oc.model.deadline import Deadline
from oc.model.identity import Identity, Login
from oc.od.apps.model import Application
from oc.od.orchestrator import ApplicationRefusedError, Desktop, NotOwnerError, Orchestrator
from tests.waiting import eventually

from .conftest import login_of
from .support import CLIENT, PODS, ClusterAdmin, Progress, settings_with

SLEEP = ("/bin/sh", "-c", "sleep 600 & sleep 600")
TALK = ("/bin/sh", "-c", "echo hello from $APPARGS; sleep 600")


def application(**changes: Any) -> Application:
    fields: dict[str, Any] = {
        "sha_id": "sha256:0",
        "id": "example/xeyes:1",
        "name": "xeyes",
        "launch": "xeyes.XEyes",
        "icon": "xeyes.svg",
        "icondata": "",
        "displayname": "Eyes",
        "path": "/usr/bin/xeyes",
        "cmd": ("/usr/bin/xeyes",),
    }
    return Application(**(fields | changes))


@pytest.fixture
def desktop(orchestrator: Orchestrator, logged_in: Identity) -> Desktop:
    return orchestrator.create_desktop(logged_in, CLIENT, Progress(), Deadline(30))


def run(orchestrator: Orchestrator, desktop: Desktop, identity: Identity, app: Application, args: str = "") -> Any:
    return orchestrator.run_application(desktop, identity, app, CLIENT, args, "Europe/Paris")


def status(orchestrator: Orchestrator, desktop: Desktop, identity: Identity, name: str) -> str | None:
    found = {one.id: one.status for one in orchestrator.applications(desktop, identity)}
    return found.get(name)


def test_an_application_starts_inside_the_desktop(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, admin: ClusterAdmin
) -> None:
    with admin.counted() as calls:
        started = run(orchestrator, desktop, logged_in, application())
    assert sum(calls.values()) <= 3, calls
    assert started.type == "ephemeral_container"
    assert started.container_id.startswith("philip-j--fry-xeyes-")
    pod = admin.api("GET", f"{PODS}/{desktop.name}")
    (container,) = pod["spec"]["ephemeralContainers"]
    assert container["targetContainerName"] == "x-graphical"
    assert {"name": "TZ", "value": "Europe/Paris"} in container["env"]


def test_listing_costs_no_call_and_shows_what_runs(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, admin: ClusterAdmin
) -> None:
    started = run(orchestrator, desktop, logged_in, application())
    assert eventually(lambda: status(orchestrator, desktop, logged_in, started.container_id) == "Running")
    with admin.counted() as calls:
        (found,) = orchestrator.applications(desktop, logged_in)
    assert not calls
    assert found.podname == desktop.name
    assert found.type == "ephemeralcontainer"
    assert found.image == "example/xeyes:1"
    assert found.command == ("/usr/bin/xeyes",)
    assert found.short_id.startswith("containerd://")
    assert found.node == desktop.node
    assert orchestrator.running_count(desktop, logged_in) == 1


def test_a_just_started_application_is_listed_at_once(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop
) -> None:
    started = run(orchestrator, desktop, logged_in, application())
    assert status(orchestrator, desktop, logged_in, started.container_id) in ("Waiting", "Running")
    assert orchestrator.running_count(desktop, logged_in) == 1


def test_an_application_can_be_a_pod_of_its_own(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, admin: ClusterAdmin
) -> None:
    app = application(containerengine="pod_application", name="konsole")
    with admin.counted() as calls:
        started = run(orchestrator, desktop, logged_in, app)
    assert sum(calls.values()) <= 3, calls
    assert started.type == "pod_application"
    assert started.state == "Pending"
    assert "-app-konsole-" in started.container_id
    assert eventually(lambda: status(orchestrator, desktop, logged_in, started.container_id) == "Running")
    (found,) = orchestrator.applications(desktop, logged_in)
    assert (found.podname, found.short_id, found.type) == (found.id, found.id, "pod_application")


def test_an_unknown_class_is_a_bad_request(orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop) -> None:
    with pytest.raises(BadRequestError):
        run(orchestrator, desktop, logged_in, application(containerengine="balloon"))


def test_an_ephemeral_application_really_ends_when_it_is_stopped(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop
) -> None:
    started = run(orchestrator, desktop, logged_in, application(id="example/run:1", cmd=SLEEP))
    name = started.container_id
    assert eventually(lambda: status(orchestrator, desktop, logged_in, name) == "Running")
    orchestrator.stop_application(desktop, logged_in, desktop.name, name, Deadline(15))
    assert status(orchestrator, desktop, logged_in, name) == "Terminated"
    assert orchestrator.running_count(desktop, logged_in) == 0


def test_an_application_that_ignores_the_first_signal_ends_too(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login
) -> None:
    """In a desktop with a process of its own: the application shares its process namespace, as on a real node."""
    orchestrator = make_orchestrator(settings_with(image="example/living:1"))
    identity = login.identity
    orchestrator.write_login_secrets(login)
    desktop = orchestrator.create_desktop(identity, CLIENT, Progress(), Deadline(30))
    deaf = ("/bin/sh", "-c", "trap '' TERM; while true; do sleep 600; done")
    names = [
        run(orchestrator, desktop, identity, application(id="example/run:1", cmd=cmd)).container_id
        for cmd in (deaf, SLEEP)
    ]
    for name in names:
        assert eventually(lambda name=name: status(orchestrator, desktop, identity, name) == "Running")
    orchestrator.stop_application(desktop, identity, desktop.name, names[0], Deadline(15))
    assert [status(orchestrator, desktop, identity, name) for name in names] == ["Terminated", "Running"]
    found = orchestrator.find_desktop(identity)
    assert found is not None
    assert found.container_id == desktop.container_id, "the desktop itself must not be touched"


def test_stopping_one_application_leaves_the_others_alone(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop
) -> None:
    names = [
        run(orchestrator, desktop, logged_in, application(id="example/run:1", cmd=SLEEP)).container_id for _ in range(2)
    ]
    for name in names:
        assert eventually(lambda name=name: status(orchestrator, desktop, logged_in, name) == "Running")
    orchestrator.stop_application(desktop, logged_in, desktop.name, names[0], Deadline(15))
    assert status(orchestrator, desktop, logged_in, names[0]) == "Terminated"
    assert status(orchestrator, desktop, logged_in, names[1]) == "Running"
    found = orchestrator.find_desktop(logged_in)
    assert found is not None
    assert found.status == "Running"


def test_stopping_an_ended_application_is_fine(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop
) -> None:
    started = run(orchestrator, desktop, logged_in, application(id="example/run:1", cmd=("/bin/true",)))
    name = started.container_id
    assert eventually(lambda: status(orchestrator, desktop, logged_in, name) == "Terminated")
    orchestrator.stop_application(desktop, logged_in, desktop.name, name, Deadline(15))


def test_an_image_without_a_shell_says_that_it_cannot_be_stopped(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oc.od.orchestrator import inspection

    started = run(orchestrator, desktop, logged_in, application(id="example/run:1", cmd=SLEEP))
    name = started.container_id
    assert eventually(lambda: status(orchestrator, desktop, logged_in, name) == "Running")
    monkeypatch.setattr(inspection, "STOP_COMMAND", ("/nowhere/sh", "-c"))
    with pytest.raises(BadRequestError, match="not support"):
        orchestrator.stop_application(desktop, logged_in, desktop.name, name, Deadline(15))
    assert status(orchestrator, desktop, logged_in, name) == "Running"


def test_a_stopped_application_pod_is_gone(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, admin: ClusterAdmin
) -> None:
    started = run(orchestrator, desktop, logged_in, application(containerengine="pod_application"))
    orchestrator.stop_application(desktop, logged_in, started.container_id, started.container_id, Deadline(15))
    assert status(orchestrator, desktop, logged_in, started.container_id) is None
    assert eventually(lambda: not admin.exists(f"{PODS}/{started.container_id}"))


def test_the_log_of_an_application_is_what_it_printed(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop
) -> None:
    started = run(orchestrator, desktop, logged_in, application(id="example/run:1", cmd=TALK), "notes.txt")
    name = started.container_id
    assert eventually(
        lambda: "hello from notes.txt" in orchestrator.application_log(desktop, logged_in, desktop.name, name)
    )


def test_the_environment_of_an_application_is_the_declared_one(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop
) -> None:
    started = run(orchestrator, desktop, logged_in, application(), "notes.txt")
    found = orchestrator.application_env(desktop, logged_in, desktop.name, started.container_id)
    assert found["APPARGS"] == "notes.txt"
    assert found["POD_IP"] is None
    assert found["TZ"] == "Europe/Paris"


@pytest.fixture
def stranger(orchestrator: Orchestrator, make_identity: Callable[..., Identity]) -> tuple[Identity, Desktop]:
    identity = make_identity(name="Turanga Leela")
    orchestrator.write_login_secrets(login_of(identity))
    return identity, orchestrator.create_desktop(identity, CLIENT, Progress(), Deadline(30))


def test_somebody_elses_container_is_refused(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, stranger: tuple[Identity, Desktop]
) -> None:
    leela, theirs = stranger
    victim = run(orchestrator, theirs, leela, application()).container_id
    for act in (orchestrator.application_log, orchestrator.application_env):
        with pytest.raises(NotOwnerError):
            act(desktop, logged_in, theirs.name, victim)
    with pytest.raises(NotOwnerError):
        orchestrator.stop_application(desktop, logged_in, theirs.name, victim, Deadline(5))


def test_the_id_of_somebody_elses_pod_behind_ones_own_pod_name_does_nothing(
    orchestrator: Orchestrator,
    logged_in: Identity,
    desktop: Desktop,
    stranger: tuple[Identity, Desktop],
    admin: ClusterAdmin,
) -> None:
    leela, theirs = stranger
    victim = run(orchestrator, theirs, leela, application(containerengine="pod_application")).container_id
    own = run(orchestrator, desktop, logged_in, application(containerengine="pod_application")).container_id
    for podname in (desktop.name, own):
        with pytest.raises(ODResourceNotFoundError):
            orchestrator.stop_application(desktop, logged_in, podname, victim, Deadline(5))
    assert admin.exists(f"{PODS}/{victim}")
    assert admin.exists(f"{PODS}/{own}")


def test_the_desktop_itself_is_no_application(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop
) -> None:
    for containerid in ("x-graphical", desktop.name, "nothing"):
        with pytest.raises(ODResourceNotFoundError):
            orchestrator.stop_application(desktop, logged_in, desktop.name, containerid, Deadline(5))


@pytest.mark.parametrize("podname", ["no-such-pod", "../secrets/x", "A B", ""])
def test_a_pod_that_does_not_exist_is_not_found(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, podname: str
) -> None:
    with pytest.raises(ODResourceNotFoundError):
        orchestrator.application_log(desktop, logged_in, podname, "x")


def test_an_answer_lost_after_the_application_was_added_gives_one_application(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, admin: ClusterAdmin
) -> None:
    admin.fault(verb="patch", resource="pods/ephemeralcontainers", drop=True, after=True, count=1)
    started = run(orchestrator, desktop, logged_in, application())
    pod = admin.api("GET", f"{PODS}/{desktop.name}")
    assert [one["name"] for one in pod["spec"]["ephemeralContainers"]] == [started.container_id]


def test_an_answer_lost_after_the_application_pod_was_made_gives_one_pod(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="pods", drop=True, after=True, count=1)
    started = run(orchestrator, desktop, logged_in, application(containerengine="pod_application"))
    pods = [pod["metadata"]["name"] for pod in admin.pods(logged_in.userid)]
    assert sorted(pods) == sorted([desktop.name, started.container_id])


def test_a_refused_application_is_told_in_the_words_of_the_api(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, admin: ClusterAdmin
) -> None:
    admin.fault(verb="create", resource="pods", status=403, message="exceeded quota: compute")
    with pytest.raises(ApplicationRefusedError, match="exceeded quota") as caught:
        run(orchestrator, desktop, logged_in, application(containerengine="pod_application"))
    assert caught.value.status == 500


def test_no_application_starts_in_a_desktop_that_is_gone(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop
) -> None:
    orchestrator.delete_desktop_pod(desktop)
    with pytest.raises(ODResourceNotFoundError):
        run(orchestrator, desktop, logged_in, application())


def test_application_pods_go_with_the_desktop(
    orchestrator: Orchestrator, logged_in: Identity, desktop: Desktop, admin: ClusterAdmin
) -> None:
    started = run(orchestrator, desktop, logged_in, application(containerengine="pod_application"))
    orchestrator.remove_desktop(logged_in)
    assert eventually(lambda: not admin.exists(f"{PODS}/{started.container_id}"))
