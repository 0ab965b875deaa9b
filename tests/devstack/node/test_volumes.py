"""Volumes as directories: contents, modes, refusals, removal."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from devstack.cluster.node.cgroups import CgroupMaker
from devstack.cluster.node.starting import _below
from devstack.cluster.node.volumes import MountError, Volumes
from devstack.cluster.store import Store


@pytest.fixture
def store() -> Store:
    store = Store()
    secret = {"k": base64.b64encode(b"\x00hush").decode(), "l": ""}
    store.create("secrets", {"metadata": {"name": "s", "namespace": "ns"}, "data": secret})
    store.create(
        "configmaps",
        {"metadata": {"name": "c", "namespace": "ns"}, "data": {"a": "ä"}, "binaryData": {"b": "AAE="}},
    )
    return store


def _volumes(store: Store, directory: Path, *, host: bool = False) -> Volumes:
    def token(namespace: str, account: str, audiences: list[str], seconds: int, pod: object) -> str:
        return f"{namespace}/{account}/{','.join(audiences)}/{seconds}"

    return Volumes(store, directory, token, "CA", allow_host_path=host)


def _pod(*volumes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = {"name": "p", "namespace": "ns", "uid": "uid-1", "labels": {"a": "b"}}
    return {"metadata": metadata, "spec": {"volumes": list(volumes), **spec}}


def _contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_all_keys_of_a_secret_become_files(store: Store, tmp_path: Path) -> None:
    made = _volumes(store, tmp_path).make(_pod({"name": "v", "secret": {"secretName": "s", "defaultMode": 0o400}}))
    assert _contents(made["v"]) == {"k": b"\x00hush", "l": b""}
    assert stat.S_IMODE((made["v"] / "k").stat().st_mode) == 0o400


def test_chosen_keys_get_their_paths_and_modes(store: Store, tmp_path: Path) -> None:
    items = [{"key": "k", "path": "deep/er", "mode": 0o440}]
    made = _volumes(store, tmp_path).make(_pod({"name": "v", "secret": {"secretName": "s", "items": items}}))
    assert _contents(made["v"]) == {"deep/er": b"\x00hush"}
    assert stat.S_IMODE((made["v"] / "deep/er").stat().st_mode) == 0o440


def test_a_config_map_may_hold_text_and_bytes(store: Store, tmp_path: Path) -> None:
    made = _volumes(store, tmp_path).make(_pod({"name": "v", "configMap": {"name": "c"}}))
    assert _contents(made["v"]) == {"a": "ä".encode(), "b": b"\x00\x01"}


def test_a_projected_volume_joins_its_sources(store: Store, tmp_path: Path) -> None:
    field = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    sources = [
        {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}},
        {"configMap": {"name": "c", "items": [{"key": "a", "path": "x"}]}},
        {"secret": {"name": "s", "items": [{"key": "k", "path": "y"}]}},
        {"downwardAPI": {"items": [field]}},
    ]
    pod = _pod({"name": "v", "projected": {"sources": sources}}, serviceAccountName="robot")
    made = _volumes(store, tmp_path).make(pod)
    assert _contents(made["v"]) == {
        "token": b"ns/robot/vault/600",
        "x": "ä".encode(),
        "y": b"\x00hush",
        "labels": b'a="b"',
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"secret": {"secretName": "no"}}, 'MountVolume.SetUp failed for volume "v" : secret "no" not found'),
        ({"configMap": {"name": "no"}}, 'MountVolume.SetUp failed for volume "v" : configmap "no" not found'),
        (
            {"secret": {"secretName": "s", "items": [{"key": "zz", "path": "p"}]}},
            'MountVolume.SetUp failed for volume "v" : references non-existent secret key: zz',
        ),
        ({"persistentVolumeClaim": {"claimName": "no"}}, 'persistentvolumeclaim "no" not found'),
    ],
)
def test_what_is_missing_is_told_before_anything_is_made(
    store: Store, tmp_path: Path, source: dict[str, Any], message: str
) -> None:
    with pytest.raises(MountError) as caught:
        _volumes(store, tmp_path).check(_pod({"name": "v", **source}))
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "source",
    [
        {"secret": {"secretName": "no", "optional": True}},
        {"configMap": {"name": "no", "optional": True}},
        {"secret": {"secretName": "s", "optional": True, "items": [{"key": "zz", "path": "p"}]}},
        {"emptyDir": {}},
    ],
)
def test_what_is_optional_may_be_missing(store: Store, tmp_path: Path, source: dict[str, Any]) -> None:
    volumes = _volumes(store, tmp_path)
    volumes.check(_pod({"name": "v", **source}))
    assert _contents(volumes.make(_pod({"name": "v", **source}))["v"]) == {}


def test_checking_issues_no_token(store: Store, tmp_path: Path) -> None:
    def refuse(*_: object) -> str:
        pytest.fail("a token was issued")

    sources = [{"serviceAccountToken": {"path": "token"}}]
    Volumes(store, tmp_path, refuse, "CA", allow_host_path=False).check(
        _pod({"name": "v", "projected": {"sources": sources}})
    )


def test_a_host_path_is_a_stand_in_kept_by_path_unless_allowed(store: Store, tmp_path: Path) -> None:
    volume = {"name": "v", "hostPath": {"path": "/etc"}}
    one, two = (_volumes(store, tmp_path).make(_pod(volume))["v"] for _ in range(2))
    assert one == two
    assert one.is_relative_to(tmp_path)
    assert list(one.iterdir()) == []
    assert _volumes(store, tmp_path, host=True).make(_pod(volume))["v"] == Path("/etc")


def test_removing_a_pod_removes_its_volumes_and_no_others(store: Store, tmp_path: Path) -> None:
    volumes = _volumes(store, tmp_path)
    made = volumes.make(_pod({"name": "v", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/x"}}))
    volumes.remove(_pod())
    assert not made["v"].exists()
    assert made["h"].exists()


@pytest.mark.parametrize("part", ["../x", "a/../../x", "/../../etc", "link/x"])
def test_a_sub_path_never_leads_out_of_its_volume(tmp_path: Path, part: str) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "link").symlink_to("/etc")
    with pytest.raises(MountError, match="leads out of the volume"):
        _below(volume, part)


def test_a_missing_sub_path_is_made(tmp_path: Path) -> None:
    assert _below(tmp_path, "a/b").is_dir()


# -- control groups ---------------------------------------------------------------------------------------------------
def _fake_hierarchy(directory: Path) -> Path:
    (directory / "pids").mkdir(parents=True)
    (directory / "pids" / "cgroup.procs").touch()
    return directory


def test_groups_are_made_below_the_first_writable_hierarchy_and_removed(tmp_path: Path) -> None:
    maker = CgroupMaker(_fake_hierarchy(tmp_path))
    assert maker.is_available
    (path,) = maker.make("uid-main")
    assert Path(path).parent.is_dir()
    maker.remove("uid-main")
    assert not Path(path).parent.exists()
    maker.make("uid-other")
    maker.close()
    assert [entry.name for entry in (tmp_path / "pids").iterdir()] == ["cgroup.procs"]


def test_groups_left_by_a_killed_process_are_swept(tmp_path: Path) -> None:
    root = _fake_hierarchy(tmp_path)
    left = root / "pids" / "devstack-4194999" / "uid-main"  # above the highest process id
    left.mkdir(parents=True)
    CgroupMaker(root).sweep()
    assert not left.parent.exists()


def test_without_a_hierarchy_there_are_no_groups(tmp_path: Path) -> None:
    maker = CgroupMaker(tmp_path)
    assert not maker.is_available
    assert maker.make("x") == []
    maker.remove("x")
    maker.close()
