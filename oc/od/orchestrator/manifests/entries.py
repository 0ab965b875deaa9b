"""The entries of ``desktop.pod``: which are active for a user, and what each becomes (orchestration.md 5.1, 5.2)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from oc.model.acl import permits
from oc.model.identity import Identity
from oc.od.orchestrator.manifests import naming
from oc.od.orchestrator.manifests.types import ManifestError
from oc.od.settings import Settings
from oc.od.settings.pod import ContainerSettings

Entries = Mapping[str, ContainerSettings]

LETTERS: Final = {
    "graphical": "x",
    "spawner": "a",
    "webshell": "w",
    "printer": "c",
    "sound": "s",
    "filer": "f",
    "init": "i",
    "ssh": "h",
    "snapshot": "t",
    "storage": "o",
    "rdp": "r",
    "x11overlay": "v",
}
"""First letter of container names; also the entries announced as ``ABCDESKTOP_SERVICE_<entry>``."""

_OTHER_LETTER: Final = "u"
_FIRST: Final = ("graphical", "printer", "sound", "ssh", "filer")
_NO_CONTAINER: Final = frozenset(
    {"init", "spawner", "broadcast", "webshell", "printerfile", "ephemeral_container", "pod_application"}
)
_ONLY_WITH_IMAGE: Final = frozenset({"snapshot"})
"""Containers in some releases only; enabled without an image, the entry just announces the service."""

WITH_ACCOUNT: Final = frozenset({"graphical", "sound", "filer", "ssh", "rdp", "x11overlay"})
"""Containers that see the account files; applications and init do as well."""

_DEFAULT_VOLUMES: Final[Mapping[str, tuple[str, ...]]] = {
    "init": ("home",),  # files up to 4.2 name no volumes, and their command is about ~
    "printer": ("tmp",),
    "sound": ("tmp", "home", "log"),
    "rdp": ("x11socket",),
    "x11overlay": ("x11socket",),
}
_LIKE_GRAPHICAL: Final = frozenset({"filer", "ssh"})


def active_entries(settings: Settings, identity: Identity) -> dict[str, ContainerSettings]:
    """The entries a user gets: enabled, and permitted by their access list; in configuration order."""
    return {
        name: entry
        for name, entry in settings.pod.containers.items()
        if entry.enable is True and permits(entry.acl, identity.labels.keys())
    }


def containers(entries: Entries) -> list[str]:
    """The entries that become containers of the desktop pod, in pod order.

    Raises ManifestError without ``graphical``: no desktop can do without it.
    """
    if "graphical" not in entries:
        raise ManifestError("no desktop is permitted to you: desktop.pod.graphical is not enabled for your labels")
    first = [name for name in _FIRST if name in entries]
    others = [name for name in entries if name not in _FIRST and name not in _NO_CONTAINER]
    return first + [
        name for name in others if entries[name].image is not None or name in LETTERS.keys() - _ONLY_WITH_IMAGE
    ]


def container_name(entry: str) -> str:
    """``x-graphical`` and the like; an entry without a letter of its own gets one no consumer looks for."""
    return naming.container_name(LETTERS.get(entry, _OTHER_LETTER), entry)


def volume_keys(entries: Entries, name: str) -> tuple[str, ...]:
    """The volumes an entry mounts by configuration, or by default."""
    entry = entries[name]
    if entry.volumes is not None:
        return tuple(entry.volumes)
    if name in _LIKE_GRAPHICAL:
        return ("home", *(entries["graphical"].volumes or ()))
    return _DEFAULT_VOLUMES.get(name, ())


def image(entries: Entries, name: str, identity: Identity) -> str:
    """The image of an entry for a user. Raises ManifestError when there is none."""
    found = entries[name].image_for(identity.labels)
    if not found:
        raise ManifestError(f"desktop.pod.{name} has no image for your labels and no default one")
    return found


def service_labels(entries: Entries) -> dict[str, str]:
    """``service_<entry>``: the port, or ``enabled``."""
    return {
        f"service_{name}": "enabled" if entry.tcpport is None else str(entry.tcpport) for name, entry in entries.items()
    }


def pull_secrets(settings: Settings, *owners: ContainerSettings) -> list[dict[str, Any]]:
    """The pull secrets of the given entries, then those of the pod, each once."""
    result: list[dict[str, Any]] = []
    for many in (*(owner.image_pull_secrets for owner in owners), settings.pod.spec.image_pull_secrets):
        for secret in many or ():
            if dict(secret) not in result:
                result.append(copy.deepcopy(dict(secret)))
    return result
