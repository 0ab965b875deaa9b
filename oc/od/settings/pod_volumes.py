"""Volumes of the desktop pod: their form, and those a file of an older version takes for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import ListOf, Quantity, Shape
from oc.od.settings.kinds import Flag, Nullable, Text

NAME_PATTERN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def memory_volume(name: str, size: str | None = None) -> dict[str, Any]:
    source = {"medium": "Memory"} if size is None else {"medium": "Memory", "sizeLimit": size}
    return {"name": name, "emptyDir": source}


DEFAULT_VOLUMES: Final[Mapping[str, Any]] = {
    "shm": memory_volume("shm", "512Mi"),
    "run": memory_volume("run", "1M"),
    "tmp": memory_volume("tmp", "8Gi"),
    "log": memory_volume("log", "8Gi"),
    "rundbus": memory_volume("rundbus", "8M"),
    "runuser": memory_volume("runuser", "8M"),
    "x11socket": memory_volume("x11socket"),
}
DEFAULT_MOUNTS: Final[Mapping[str, Any]] = {
    name: {"name": name, "mountPath": path}
    for name, path in {
        "shm": "/dev/shm",  # noqa: S108  (paths inside the desktop, fixed by its image)
        "run": "/var/run/desktop",
        "tmp": "/tmp",  # noqa: S108
        "log": "/var/log/desktop",
        "rundbus": "/var/run/dbus",
        "runuser": "/run/user/",
        "x11socket": "/tmp/.X11-unix",  # noqa: S108
        "sudoers": "/etc/sudoers.d",
        "extrausers": "/var/lib/extrausers",
        "cupsdsocket": "/tmp/.cupsd",  # noqa: S108
        "pulseaudiosocket": "/tmp/.pulseaudio",  # noqa: S108
    }.items()
}
"""Where the well-known volumes are mounted when the file does not say."""

DESKTOP_VOLUMES: Final = ("x11socket", "tmp", "run", "log", "rundbus", "runuser")
APPLICATION_VOLUMES: Final = ("tmp", "run", "log", "rundbus", "runuser")
FILL_IN_VOLUMES: Final[Mapping[str, tuple[str, ...]]] = {
    "graphical": DESKTOP_VOLUMES,
    "ephemeral_container": DESKTOP_VOLUMES,
    "pod_application": APPLICATION_VOLUMES,
}

_LABELS = ListOf(Text("a label", longest=256), single=True)
ACL: Final = Shape("access list", {"permit": _LABELS, "deny": _LABELS}, closed=True)
_EMPTY_DIR = Nullable(Shape("emptyDir", {"medium": Text(longest=40, empty=True), "sizeLimit": Quantity()}, closed=True))
VOLUME: Final = Shape(
    "volume", {"name": Text("a volume name", pattern=NAME_PATTERN, longest=63), "emptyDir": _EMPTY_DIR}
)
MOUNT: Final = Shape(
    "volume mount",
    {
        "name": Text("a volume name", pattern=NAME_PATTERN, longest=63),
        "mountPath": Text("an absolute path", pattern=r"/[^:\x00]*", longest=1024),
        "readOnly": Flag(),
        "recursiveReadOnly": Text(),
        "subPath": Text(),
        "subPathExpr": Text(),
        "mountPropagation": Text(),
    },
    closed=True,
)
