"""The home directory volume, and what is mounted over it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from oc.od.settings.containers import JsonDict, JsonMapping, ListOf, Shape
from oc.od.settings.declaration import Kind, option
from oc.od.settings.kinds import ABSOLUTE_PATH, Choice, Flag, Nullable, Or, Text


def _claim(value: object) -> Kind[Any] | None:
    if isinstance(value, str):
        return Text("a claim name", longest=253)
    return JsonDict() if isinstance(value, Mapping) else None


@dataclasses.dataclass(frozen=True)
class StorageSettings:
    """The home directory volume and what is mounted over it."""

    homedirectorytype: str | None = option(
        Nullable(Choice("hostPath", "persistentVolumeClaim", "nfs")),
        None,
        key="desktop.homedirectorytype",
        meaning="Volume of home directories: None (lost with the desktop), a directory of the node, a claim, or the "
        "volume described by `desktop.nfs`.",
    )
    host_path_root: str = option(
        ABSOLUTE_PATH,
        "/mnt",
        key="desktop.hostPathRoot",
        meaning="`hostPath`: directory of the node that holds one directory a user.",
    )
    persistentvolumeclaim: str | JsonMapping | None = option(
        Nullable(Or("str (name) or dict (template)", _claim)),
        None,
        key="desktop.persistentvolumeclaim",
        meaning="`persistentVolumeClaim`: name of one claim shared by all users, or the template (`metadata`, `spec`) "
        "of a claim created for each. Mustache texts are rendered with the user's fields.",
        since="3.1",
        aliases=("desktop.persistentvolumeclaimspec",),
        sample={
            "metadata": {"name": "{{ provider }}-{{ userid }}"},
            "spec": {
                "storageClassName": "my-storage-class",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    )
    persistentvolume: JsonMapping | None = option(
        Nullable(JsonDict()),
        None,
        key="desktop.persistentvolume",
        meaning="Template of a persistent volume created with each claim. Needs rights on the whole cluster.",
        since="3.1",
        aliases=("desktop.persistentvolumespec",),
        sample={
            "metadata": {"name": "{{ provider }}-{{ userid }}"},
            "spec": {
                "storageClassName": "nfs-csi",
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "csi": {"driver": "nfs.csi.k8s.io", "volumeHandle": "server#share#{{ userid }}"},
            },
        },
    )
    persistentvolumeclaimforcesubpath: bool = option(
        Flag(),
        False,
        key="desktop.persistentvolumeclaimforcesubpath",
        meaning="Mounts the home with a subPath named after the user: for one claim shared by all.",
        since="3.1",
    )
    removepersistentvolume: bool = option(
        Flag(),
        False,
        key="desktop.removepersistentvolume",
        meaning="Deletes the user's persistent volume with the desktop.",
        since="3.1",
    )
    removepersistentvolumeclaim: bool = option(
        Flag(),
        False,
        key="desktop.removepersistentvolumeclaim",
        meaning="Deletes the user's claim with the desktop; a shared claim is never deleted.",
        since="3.1",
    )
    nfs: JsonMapping | None = option(
        Nullable(Shape("NFS volume source", {"server": Text(), "path": Text(), "readOnly": Flag()}, closed=True)),
        None,
        key="desktop.nfs",
        meaning="`nfs`: the Kubernetes NFS volume source, a template.",
        since="3.4",
        sample={"server": "nfs.example.org", "path": "/homes/{{ userid }}", "readOnly": False},
    )
    appendpathtomounthomevolume: str = option(
        Text("a relative path", longest=1024, empty=True),
        "",
        key="desktop.appendpathtomounthomevolume",
        meaning="Path joined to the home's mount point and normalised; `..` mounts the parent.",
        since="3.2",
    )
    directorytomemoryemptydir: tuple[str, ...] = option(
        ListOf(Text("a directory below home", pattern=r"(?!/)[^\x00]+", longest=255), most=100),
        (),
        key="desktop.directorytomemoryemptydir",
        meaning="Directories of the home replaced by memory volumes.",
        since="3.4",
        sample=[".cache", ".config"],
    )
    directorytomemory: JsonMapping = option(
        JsonDict(),
        {"emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
        key="desktop.directorytomemory",
        meaning="Volume source of those directories.",
        since="4.4",
    )
    removehomedirectory: bool = option(
        Flag(),
        False,
        key="desktop.removehomedirectory",
        meaning="Empties the home directory when the desktop ends, by running `desktop.prestopexeccommand`.",
    )
    prestopexeccommand: tuple[str, ...] = option(
        ListOf(Text("an argument", empty=True), most=100),
        ("/bin/bash", "-c", "rm -rf ~/{*,.*}"),
        key="desktop.prestopexeccommand",
        meaning="Command of the preStop hook that `desktop.removehomedirectory` adds.",
    )
