"""Home volumes on a cluster: claims found, made, waited for and removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oc.model.deadline import Deadline
from oc.model.identity import Identity, Login
from oc.od.orchestrator import Desktop, LaunchFailedError, Orchestrator
from tests.waiting import eventually

from .support import CLAIMS, CLIENT, PODS, ClusterAdmin, Progress, settings_with

CLAIM = {
    "metadata": {"name": "{{ provider }}-{{ userid }}"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
VOLUMES = "/api/v1/persistentvolumes"


@pytest.fixture
def immediate(admin: ClusterAdmin) -> str:
    """A storage class that binds at once."""
    return make_class(admin, "bind-now", "Immediate")


@pytest.fixture
def late(admin: ClusterAdmin) -> str:
    """A storage class that binds when a pod wants the volume."""
    return make_class(admin, "bind-late", "WaitForFirstConsumer")


def make_class(admin: ClusterAdmin, name: str, mode: str) -> str:
    path = "/apis/storage.k8s.io/v1/storageclasses"
    listed = admin.api("GET", path)["items"]
    default = next(one for one in listed if one["metadata"].get("annotations"))
    if not admin.exists(f"{path}/{name}"):
        admin.api(
            "POST",
            path,
            {"metadata": {"name": name}, "provisioner": default["provisioner"], "volumeBindingMode": mode},
        )
    return name


def settings_for(storage_class: str | None, **changes: Any) -> Any:
    spec = dict(CLAIM["spec"]) | ({"storageClassName": storage_class} if storage_class else {})
    values = {
        "desktop.homedirectorytype": "persistentVolumeClaim",
        "desktop.persistentvolumeclaim": {"metadata": CLAIM["metadata"], "spec": spec},
    }
    return settings_with(**(values | changes))


def launch(orchestrator: Orchestrator, login: Login, progress: Progress | None = None) -> Desktop:
    orchestrator.write_login_secrets(login)
    return orchestrator.create_desktop(login.identity, CLIENT, progress or Progress(), Deadline(40))


def claim_of(admin: ClusterAdmin, desktop: Desktop) -> str:
    pod = admin.api("GET", f"{PODS}/{desktop.name}")
    (home,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "home"]
    return str(home["persistentVolumeClaim"]["claimName"])


@pytest.fixture
def path(login: Login) -> str:
    return f"{CLAIMS}/planet-{login.identity.userid}"


def test_a_claim_is_made_bound_and_mounted(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str, path: str
) -> None:
    progress = Progress()
    desktop = launch(make_orchestrator(settings_for(immediate)), login, progress)
    claim = admin.api("GET", path)
    assert claim_of(admin, desktop) == claim["metadata"]["name"]
    assert claim["metadata"]["labels"]["access_userid"] == login.identity.userid
    assert claim["status"]["phase"] == "Bound"
    assert progress.has(f"b.Volume {claim['metadata']['name']} is Bound")


def test_a_claim_that_binds_with_its_pod_does_not_hold_up_the_launch(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, late: str, path: str
) -> None:
    progress = Progress()
    desktop = launch(make_orchestrator(settings_for(late)), login, progress)
    assert desktop.is_reachable
    assert progress.has(f"b.Volume planet-{login.identity.userid} is Pending")
    assert eventually(lambda: admin.api("GET", path)["status"]["phase"] == "Bound")


def test_the_next_desktop_gets_the_same_claim(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str
) -> None:
    orchestrator = make_orchestrator(settings_for(immediate))
    first = launch(orchestrator, login)
    orchestrator.delete_desktop_pod(first)
    claim = claim_of(admin, launch(orchestrator, login))
    assert claim == f"planet-{login.identity.userid}"


def test_a_claim_is_found_by_its_labels_when_its_name_is_random(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str
) -> None:
    spec = dict(CLAIM["spec"]) | {"storageClassName": immediate}  # type: ignore[call-overload]
    template = {"metadata": {"name": "home-{{ userid }}-{{ uuid }}"}, "spec": spec}
    orchestrator = make_orchestrator(settings_for(immediate, **{"desktop.persistentvolumeclaim": template}))
    first = launch(orchestrator, login)
    name = claim_of(admin, first)
    orchestrator.delete_desktop_pod(first)
    assert claim_of(admin, launch(orchestrator, login)) == name


def test_a_claim_of_somebody_else_is_not_taken(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str
) -> None:
    labels = {"access_userid": "somebody-else", "access_provider": "planet"}
    body = {
        "metadata": {"name": f"planet-{login.identity.userid}", "labels": labels},
        "spec": dict(CLAIM["spec"]) | {"storageClassName": immediate},  # type: ignore[call-overload]
    }
    admin.api("POST", CLAIMS, body)
    with pytest.raises(LaunchFailedError, match="somebody else"):
        launch(make_orchestrator(settings_for(immediate)), login)
    assert admin.pods(login.identity.userid) == []


def test_a_lost_answer_gives_no_second_claim(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str
) -> None:
    admin.fault(verb="create", resource="persistentvolumeclaims", drop=True, after=True, count=1)
    desktop = launch(make_orchestrator(settings_for(immediate)), login)
    assert claim_of(admin, desktop) == f"planet-{login.identity.userid}"


def test_a_refused_claim_is_told_to_the_user(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str
) -> None:
    admin.fault(verb="create", resource="persistentvolumeclaims", status=403, message="exceeded quota: disks")
    with pytest.raises(LaunchFailedError, match="exceeded quota"):
        launch(make_orchestrator(settings_for(immediate)), login)


def test_claims_stay_at_removal_unless_configured_otherwise(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str, path: str
) -> None:
    orchestrator = make_orchestrator(settings_for(immediate))
    launch(orchestrator, login)
    orchestrator.remove_desktop(login.identity)
    assert eventually(lambda: not admin.pods(login.identity.userid))
    assert admin.exists(path)


def test_claims_are_removed_after_their_pods_when_configured(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str, path: str
) -> None:
    orchestrator = make_orchestrator(settings_for(immediate, desktop__removepersistentvolumeclaim=True))
    launch(orchestrator, login)
    orchestrator.remove_desktop(login.identity)
    assert eventually(lambda: not admin.exists(path))


def volume_settings(**changes: Any) -> Any:
    volume = {
        "metadata": {"name": "{{ provider }}-{{ userid }}"},
        "spec": {
            "storageClassName": "own",
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/tmp/devstack-{{ userid }}"},
        },
    }
    return settings_for("own", desktop__persistentvolume=volume, **changes)


def test_a_volume_of_its_own_is_made_and_bound(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, path: str
) -> None:
    launch(make_orchestrator(volume_settings()), login)
    name = f"planet-{login.identity.userid}"
    assert admin.api("GET", path)["spec"]["volumeName"] == name
    assert admin.api("GET", f"{VOLUMES}/{name}")["status"]["phase"] == "Bound"


def test_a_released_volume_is_used_again(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, path: str
) -> None:
    orchestrator = make_orchestrator(volume_settings(desktop__removepersistentvolumeclaim=True))
    launch(orchestrator, login)
    orchestrator.remove_desktop(login.identity)
    volume = f"{VOLUMES}/planet-{login.identity.userid}"
    assert eventually(lambda: not admin.exists(path))
    assert eventually(lambda: admin.api("GET", volume)["status"]["phase"] == "Released")
    launch(orchestrator, login)
    assert eventually(lambda: admin.api("GET", path)["status"].get("phase") == "Bound")


def test_without_the_right_to_make_volumes_the_claim_goes_without(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, path: str, immediate: str
) -> None:
    volume = {"metadata": {"name": "v-{{ userid }}"}, "spec": {"capacity": {"storage": "1Gi"}}}
    admin.fault(verb="create", resource="persistentvolumes", status=403)
    orchestrator = make_orchestrator(settings_for(immediate, desktop__persistentvolume=volume))
    assert launch(orchestrator, login).is_reachable
    assert admin.api("GET", path)["spec"]["volumeName"] != f"v-{login.identity.userid}"


def test_a_shared_claim_needs_nothing_made(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, immediate: str
) -> None:
    if not admin.exists(f"{CLAIMS}/all-homes"):
        body = {"metadata": {"name": "all-homes"}, "spec": dict(CLAIM["spec"]) | {"storageClassName": immediate}}  # type: ignore[call-overload]
        admin.api("POST", CLAIMS, body)
    orchestrator = make_orchestrator(
        settings_for(
            immediate,
            **{"desktop.persistentvolumeclaim": "all-homes", "desktop.removepersistentvolumeclaim": True},
        )
    )
    desktop = launch(orchestrator, login)
    assert claim_of(admin, desktop) == "all-homes"
    orchestrator.remove_desktop(login.identity)
    assert eventually(lambda: not admin.pods(login.identity.userid))
    assert admin.exists(f"{CLAIMS}/all-homes")


def test_applications_mount_the_home_the_desktop_has(
    make_orchestrator: Callable[..., Orchestrator],
    admin: ClusterAdmin,
    login: Login,
    immediate: str,
    logged_in: Identity,
) -> None:
    from .test_applications import application

    orchestrator = make_orchestrator(settings_for(immediate))
    desktop = launch(orchestrator, login)
    app = application(containerengine="pod_application")
    started = orchestrator.run_application(desktop, login.identity, app, CLIENT)
    pod = admin.api("GET", f"{PODS}/{started.container_id}")
    (home,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "home"]
    assert home["persistentVolumeClaim"]["claimName"] == claim_of(admin, desktop)


def test_a_volume_of_its_own_goes_with_its_claim_when_configured(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, path: str
) -> None:
    removed = {"desktop__removepersistentvolumeclaim": True, "desktop__removepersistentvolume": True}
    orchestrator = make_orchestrator(volume_settings(**removed))
    launch(orchestrator, login)
    volume = f"{VOLUMES}/planet-{login.identity.userid}"
    assert admin.exists(volume)
    orchestrator.remove_desktop(login.identity)
    assert eventually(lambda: not admin.exists(path) and not admin.exists(volume))


def test_a_claim_that_never_binds_is_told_and_takes_no_more_than_its_part_of_the_launch(
    make_orchestrator: Callable[..., Orchestrator], admin: ClusterAdmin, login: Login, path: str
) -> None:
    settings = settings_for("nobody-provides-this", K8S_BOUND_PVC_TIMEOUT_SECONDS=1)
    orchestrator, progress = make_orchestrator(settings), Progress()
    orchestrator.write_login_secrets(login)
    with pytest.raises(LaunchFailedError, match="unbound"):
        orchestrator.create_desktop(login.identity, CLIENT, progress, Deadline(5))
    assert progress.has(f"b.Volume planet-{login.identity.userid} is Pending")
    assert admin.exists(path), "the claim is for the next launch"
    assert eventually(lambda: not admin.pods(login.identity.userid))


def test_a_claim_is_made_of_what_the_login_told_of_the_user(
    make_orchestrator: Callable[..., Orchestrator],
    admin: ClusterAdmin,
    make_identity: Callable[..., Identity],
    immediate: str,
) -> None:
    """Attributes are names for the template; they hide neither the identity nor the labels of the user."""
    from .conftest import login_of

    plain = login_of(make_identity())
    told = {"mail": "fry@example.org", "provider": "other", "shipcrew": "no", "jpegPhoto": b"\xff", "note": "x" * 2000}
    login = Login(plain.identity, attributes=told, posix=plain.posix, claims=plain.claims)
    text = "{{ mail }}|{{ provider }}|{{ shipcrew }}|{{ jpegPhoto }}|{{ note }}|{{ unknown }}"
    template = {
        "metadata": {"name": "{{ provider }}-{{ userid }}", "annotations": {"who": text}},
        "spec": {**settings_for(immediate).storage.persistentvolumeclaim["spec"]},
    }
    orchestrator = make_orchestrator(settings_for(immediate, **{"desktop.persistentvolumeclaim": template}))
    launch(orchestrator, login)
    claim = admin.api("GET", f"{CLAIMS}/planet-{login.identity.userid}")
    assert claim["metadata"]["annotations"]["who"] == "fry@example.org|planet|true|||"
