"""A desktop's life on a cluster: created, found, resumed, removed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oc.errors import ODResourceNotFoundError
from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.orchestrator import LaunchFailedError, Orchestrator
from tests.waiting import eventually

from .support import CLIENT, PODS, SECRETS, ClusterAdmin, Progress


def create(orchestrator: Orchestrator, identity: Identity, progress: Progress | None = None, seconds: float = 30):
    return orchestrator.create_desktop(identity, CLIENT, progress or Progress(), Deadline(seconds))


def test_a_new_desktop_runs_and_is_reachable(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    progress = Progress()
    desktop = create(orchestrator, logged_in, progress)
    assert desktop.is_reachable
    assert desktop.status == "Running"
    assert desktop.internaluri == desktop.ip
    assert desktop.vnc_password is not None
    assert len(desktop.vnc_password) == 15
    assert desktop.vnc_password not in repr(desktop)
    assert desktop.container_name == "x-graphical"
    assert [pod["metadata"]["name"] for pod in admin.pods(logged_in.userid)] == [desktop.name]
    assert desktop.name.startswith(logged_in.userid)
    assert progress.has("b.Preparing storage")
    assert progress.has(f"b.Pod {desktop.name} accepted")
    assert progress.has(f"b.Pod {desktop.name} is Running")


def test_events_of_the_pod_are_told_as_progress(orchestrator: Orchestrator, logged_in: Identity) -> None:
    progress = Progress()
    create(orchestrator, logged_in, progress)
    own = ("b.Preparing storage", "b.Pod ")
    assert [text for text in progress.texts if not text.startswith(own)], "what the cluster says"
    assert all(text.startswith("b.") and len(text) <= 200 for text in progress.texts)


def test_services_of_a_new_desktop_are_waited_for(orchestrator: Orchestrator, logged_in: Identity) -> None:
    progress = Progress()
    desktop = create(orchestrator, logged_in)
    assert orchestrator.wait_ready(desktop, progress, Deadline(30))
    assert [text for text in progress.texts if text.startswith("c.Waiting")] == [
        "c.Waiting for xserver, novnc",
        "c.Waiting for plasmashell, graphical",
    ]
    assert progress.texts[-1].startswith("c.Services ready after ")


def test_a_cold_launch_costs_at_most_six_calls_and_no_unlabelled_list(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    with admin.counted() as calls:
        assert orchestrator.find_desktop(logged_in) is None
        create(orchestrator, logged_in)
    assert calls["unlabelled lists"] == 0
    assert sum(calls.values()) <= 6, calls


def test_resuming_costs_at_most_two_calls_and_notes_the_login(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    created = create(orchestrator, logged_in)
    admin.api(
        "PATCH",
        f"{PODS}/{created.name}",
        {"metadata": {"annotations": {"lastlogin_datetime": "2001-01-01T00:00:00"}}},
        "application/merge-patch+json",
    )
    with admin.counted() as calls:
        found = orchestrator.find_desktop(logged_in)
        assert found is not None
        resumed = orchestrator.resume_desktop(found, logged_in)
    assert sum(calls.values()) <= 2, calls
    assert resumed.uid == created.uid
    assert resumed.vnc_password == created.vnc_password
    assert resumed.is_reachable
    assert resumed.lastlogin_datetime is not None
    assert resumed.lastlogin_datetime > "2001-01-01T00:00:00"


def test_another_replica_finds_and_resumes_the_desktop(
    orchestrator: Orchestrator, make_orchestrator: Callable[..., Orchestrator], logged_in: Identity
) -> None:
    created = create(orchestrator, logged_in)
    other = make_orchestrator()
    found = other.find_desktop(logged_in)
    assert found is not None
    assert other.resume_desktop(found, logged_in).vnc_password == created.vnc_password


def test_the_same_user_of_another_provider_does_not_find_it(orchestrator: Orchestrator, logged_in: Identity) -> None:
    create(orchestrator, logged_in)
    stranger = Identity("other", "ldap", logged_in.userid, logged_in.name)
    assert orchestrator.find_desktop(stranger) is None


def test_who_never_logged_in_gets_no_desktop_but_a_clear_text(
    orchestrator: Orchestrator, make_identity: Callable[..., Identity], admin: ClusterAdmin
) -> None:
    identity = make_identity()
    with pytest.raises(LaunchFailedError, match="log in again"):
        create(orchestrator, identity)
    assert admin.pods(identity.userid) == []


def test_removal_takes_pods_secrets_and_says_whether_there_was_a_desktop(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    create(orchestrator, logged_in)
    assert orchestrator.remove_desktop(logged_in) is True
    assert orchestrator.find_desktop(logged_in) is None
    assert admin.secrets(logged_in.userid) == []
    assert eventually(lambda: not admin.pods(logged_in.userid))
    assert orchestrator.remove_desktop(logged_in) is False


def test_removal_without_a_desktop_still_takes_the_secrets(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    assert len(admin.secrets(logged_in.userid)) == 3
    assert orchestrator.remove_desktop(logged_in) is False
    assert admin.secrets(logged_in.userid) == []


def test_legacy_config_maps_of_the_user_are_removed(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    path = "/api/v1/namespaces/abcdesktop/configmaps"
    labels = {"access_userid": logged_in.userid, "access_provider": logged_in.provider}
    name = f"auth-localaccount-{logged_in.userid}"
    admin.api("POST", path, {"metadata": {"name": name, "labels": labels}, "data": {"passwd": "x"}})
    orchestrator.remove_desktop(logged_in)
    assert not admin.exists(f"{path}/{name}")


def test_a_desktop_can_be_removed_by_name_with_its_users_secrets(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    desktop = create(orchestrator, logged_in)
    assert orchestrator.remove_desktop_by_name(desktop.name)
    assert admin.secrets(logged_in.userid) == []
    with pytest.raises(ODResourceNotFoundError):
        orchestrator.remove_desktop_by_name(f"{logged_in.userid}-00000")


def test_deleting_only_the_pod_keeps_the_secrets_and_the_next_desktop_is_another(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    first = create(orchestrator, logged_in)
    orchestrator.delete_desktop_pod(first)
    assert orchestrator.find_desktop(logged_in) is None
    assert {secret["metadata"]["labels"]["access_type"] for secret in admin.secrets(logged_in.userid)} == {
        "ldif",
        "localaccount",
        "posixaccount",
        "vnc",
    }
    second = create(orchestrator, logged_in)
    assert second.name != first.name
    assert second.vnc_password != first.vnc_password


def test_a_desktop_deleted_by_an_operator_is_found_out_at_resume(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    desktop = create(orchestrator, logged_in)
    admin.api("DELETE", f"{PODS}/{desktop.name}", {"gracePeriodSeconds": 0})
    with pytest.raises(LaunchFailedError, match="gone"):
        orchestrator.resume_desktop(desktop, logged_in)
    assert create(orchestrator, logged_in).uid != desktop.uid


def test_the_list_of_desktops_shows_no_password(orchestrator: Orchestrator, logged_in: Identity) -> None:
    desktop = create(orchestrator, logged_in)
    shown = {found.name: found.public_dict() for found in orchestrator.list_desktops()}[desktop.name]
    assert shown["vncPassword"] is None
    assert shown["status"] == "Running"
    assert shown["ipAddr"] == desktop.ip


def test_the_pod_shown_to_operators_has_its_cookies_masked(orchestrator: Orchestrator, logged_in: Identity) -> None:
    desktop = create(orchestrator, logged_in)
    shown = orchestrator.get_desktop_pod(desktop.name)
    text = str(shown)
    for label in ("xauthkey", "pulseaudio_cookie", "broadcast_cookie"):
        assert desktop.labels[label] not in text
    assert shown["metadata"]["labels"]["type"] == "x11server"


def test_a_pod_that_is_no_desktop_is_not_described(orchestrator: Orchestrator, admin: ClusterAdmin) -> None:
    body = {"metadata": {"name": "bystander"}, "spec": {"containers": [{"name": "a", "image": "example/other"}]}}
    admin.api("POST", PODS, body)
    try:
        with pytest.raises(ODResourceNotFoundError):
            orchestrator.get_desktop_pod("bystander")
        with pytest.raises(ODResourceNotFoundError):
            orchestrator.remove_desktop_by_name("bystander")
    finally:
        admin.api("DELETE", f"{PODS}/bystander", {"gracePeriodSeconds": 0})


def test_the_vnc_password_of_a_pod_is_the_one_in_the_secret_it_mounts(
    orchestrator: Orchestrator, logged_in: Identity, admin: ClusterAdmin
) -> None:
    desktop = create(orchestrator, logged_in)
    assert desktop.vnc_secret is not None
    assert admin.exists(f"{SECRETS}/{desktop.vnc_secret}")
    pod = admin.api("GET", f"{PODS}/{desktop.name}")
    mounted = [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume]
    assert desktop.vnc_secret in mounted
