"""Desktops: general keys, home directory, default account."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import NODE_SELECTOR, EnvironmentMap, JsonDict, JsonMapping, ListOf, MapOf, Shape
from oc.od.settings.declaration import Kind, Place, group, option
from oc.od.settings.kinds import Choice, Flag, Integer, Nullable, Number, Or, OrDefault, Text

CGROUP_V2_MAP: Final = {
    "memory.usage_in_bytes": "/sys/fs/cgroup/memory.current",
    "memory.limit_in_bytes": "/sys/fs/cgroup/memory.max",
    "cpuacct.usage": "/sys/fs/cgroup/cpu.stat",
    "cpu.cfs_quota_us": "/sys/fs/cgroup/cpu.max",
}
CGROUP_V1_MAP: Final = {
    "memory.usage_in_bytes": "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    "memory.limit_in_bytes": "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "cpuacct.usage": "/sys/fs/cgroup/cpu/cpuacct.usage",
    "cpu.cfs_quota_us": "/sys/fs/cgroup/cpuacct/cpu.cfs_quota_us",
}

_ABSOLUTE = Text("an absolute path", pattern=r"/[^\x00]*", longest=1024)
_INTERFACE = Nullable(Text("a network interface name", longest=64))
_DESCRIPTION = Shape(
    "interface names",
    {
        "internalip": _INTERFACE,
        "externalip": _INTERFACE,
        "internalipaddr": _INTERFACE,
        "externalipaddr": _INTERFACE,
        "sshconfig": Nullable(JsonDict()),
    },
    closed=True,
)


def _claim(value: object) -> Kind[Any] | None:
    if isinstance(value, str):
        return Text("a claim name", longest=253)
    return JsonDict() if isinstance(value, Mapping) else None


class PodLevelResources(Kind[str | bool]):
    """'auto', True or False."""

    def parse(self, value: object, at: Place) -> str | bool:
        if isinstance(value, bool) or value == "auto":
            return value
        raise at.expected("'auto', True or False", value)

    @property
    def name(self) -> str:
        return "'auto', True or False"


class Directory(Kind[str]):
    """An absolute directory that always ends with a slash."""

    def parse(self, value: object, at: Place) -> str:
        path = _ABSOLUTE.parse(value, at)
        return path if path.endswith("/") else f"{path}/"

    @property
    def name(self) -> str:
        return "str, directory"


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
        _ABSOLUTE,
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


@dataclasses.dataclass(frozen=True)
class AccountSettings:
    """The POSIX account of users the login says nothing about, and the account file templates."""

    username: str = option(
        Text("a login name", pattern=r"[A-Za-z_][A-Za-z0-9_.-]*\$?", longest=32),
        "balloon",
        key="desktop.username",
        meaning="Login of the default account.",
    )
    groupname: str = option(
        Text("a group name", pattern=r"[A-Za-z_][A-Za-z0-9_.-]*\$?", longest=32),
        "balloon",
        key="desktop.groupname",
        meaning="Group of the default account.",
    )
    userid: int = option(Integer(0, 2**31 - 1), 4096, key="desktop.userid", meaning="User id of the default account.")
    groupid: int = option(
        Integer(0, 2**31 - 1), 4096, key="desktop.groupid", meaning="Group id of the default account."
    )
    homerootdirectory: str = option(
        _ABSOLUTE,
        "/home",
        key="desktop.homerootdirectory",
        meaning="Parent of the home of users without a directory entry.",
        since="3.4",
    )
    configured_home: str | None = option(
        Nullable(_ABSOLUTE),
        None,
        key="desktop.userhomedirectory",
        meaning="Home of the default account.",
        default_text="`<desktop.homerootdirectory>/<desktop.username>`",
        shipped="/home/balloon",
    )
    userpasswd: str = option(
        Text("a password", longest=256),
        "",
        key="desktop.userpasswd",
        meaning="Password of generated accounts: what `sudo` asks for in the desktop.",
        default_text="a random one a process",
        secret=True,
        sample="CHANGE-ME",
    )
    shell: str = option(_ABSOLUTE, "/bin/bash", key="desktop.shell", meaning="Login shell.", aliases=("destkop.shell",))
    template_passwd_filename: str = option(
        Text("a file name", longest=1024),
        "passwd",
        key="template_passwd_filename",
        meaning="Mustache template of the desktop's passwd file.",
        since="4.0",
    )
    template_group_filename: str = option(
        Text("a file name", longest=1024),
        "group",
        key="template_group_filename",
        meaning="Mustache template of the desktop's group file.",
        since="4.0",
    )
    template_shadow_filename: str = option(
        Text("a file name", longest=1024),
        "shadow",
        key="template_shadow_filename",
        meaning="Mustache template of the desktop's shadow file.",
        since="4.0",
    )
    template_gshadow_filename: str = option(
        Text("a file name", longest=1024),
        "gshadow",
        key="template_gshadow_filename",
        meaning="Mustache template of the desktop's gshadow file.",
        since="4.0",
    )

    @property
    def userhomedirectory(self) -> str:
        """Home of the default account."""
        return self.configured_home or f"{self.homerootdirectory.rstrip('/')}/{self.username}"


@dataclasses.dataclass(frozen=True)
class DesktopSettings:
    """General keys of desktops. `authproviderneverchange` is already forced False where it must be."""

    nodeselector: Mapping[str, str] = option(
        NODE_SELECTOR,
        {},
        key="desktop.nodeselector",
        meaning="Node labels for user pods whose execute class asks for none, and for the image prefetch.",
        sample={"abcdesktoprole": "worker"},
    )
    dnspolicy: str = option(
        Choice("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        "ClusterFirst",
        key="desktop.dnspolicy",
        meaning="dnsPolicy of desktop pods.",
    )
    dnsconfig: JsonMapping | None = option(
        Nullable(JsonDict()), None, key="desktop.dnsconfig", meaning="dnsConfig of desktop pods."
    )
    useinternalfqdn: bool = option(
        Flag(),
        False,
        key="desktop.useinternalfqdn",
        meaning="Hands the router `<pod>.<subdomain>.<domain>` instead of the pod's address.",
    )
    uselocaltime: bool = option(
        Flag(), False, key="desktop.uselocaltime", meaning="Mounts /etc/localtime of the node into desktops."
    )
    hostname: str | None = option(
        Nullable(Text("a host name", pattern=r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", longest=63)),
        None,
        key="desktop.hostname",
        meaning="Fixed host name of desktop pods.",
        since="3.4",
        default_text="the pod's name",
    )
    theme: str | None = option(
        Nullable(Choice("auto", "autodetect", "linux", "macosx", "windows")),
        None,
        key="desktop.theme",
        meaning="Look of the desktop; `auto` follows the browser's system.",
        since="4.4",
        shipped="auto",
    )
    pulseaudiosocketpath: str = option(
        Text("the value of PULSE_SERVER", longest=1024),
        "/tmp/.pulse.sock",  # noqa: S108  (a path inside the desktop, fixed by its image)
        key="desktop.pulseaudiosocketpath",
        meaning="Value of PULSE_SERVER in the desktop.",
        since="4.4",
    )
    envlocal: Mapping[str, str] = option(
        EnvironmentMap(),
        {"DISPLAY": ":0.0", "LIBOVERLAY_SCROLLBAR": "0", "UBUNTU_MENUPROXY": "0", "X11LISTEN": "tcp"},
        key="desktop.envlocal",
        meaning="Environment of desktop and application containers. Mustache texts are rendered with the account.",
        secret=True,
        shipped={
            "WEBSOCKIFY_HEARTBEAT": "30",
            "LIBOVERLAY_SCROLLBAR": "0",
            "X11LISTEN": "tcp",
            "XDG_RUNTIME_DIR": "/tmp/runtime",  # noqa: S108  (a path inside the desktop)
            "DISABLE_RTKIT": "y",
            "ABCDESKTOP_FORCE_OVERWRITE_PLASMA_CONFIG": "true",
        },
    )
    envlocalrules: Mapping[str, Mapping[str, str]] = option(
        OrDefault(MapOf(EnvironmentMap()), {}, "no variables are added by label"),
        {},
        key="desktop.envlocalrules",
        meaning="Label -> environment added for users who carry the label.",
        secret=True,
        sample={"shipcrew": {"CREW": "yes"}},
    )
    overwrite_environment_variable_for_application: str | None = option(
        Nullable(_ABSOLUTE),
        None,
        key="desktop.overwrite_environment_variable_for_application",
        meaning="Script of the desktop image run before an application starts; what it prints (JSON) is merged over "
        "the application's environment.",
        since="3.2",
        sample="/composer/overwrite_environment_variable_for_application.sh",
    )
    features_permissions: tuple[str, ...] = option(
        ListOf(Choice("read", "submit"), most=2, single=True),
        (),
        key="desktop.features_permissions",
        meaning="`read` shows the execute classes on the login page, `submit` lets a login choose one.",
        since="3.4",
        sample=["read", "submit"],
    )
    webhookdict: Mapping[str, str] = option(
        EnvironmentMap(), {}, key="desktop.webhookdict", meaning="Constants for webhook templates.", secret=True
    )
    webhookencodeparams: bool = option(
        Flag(), False, key="desktop.webhookencodeparams", meaning="URL-encodes user values in webhook templates."
    )
    description: Mapping[str, Any] = option(
        _DESCRIPTION,
        {"internalip": None, "externalip": None},
        key="desktop.description",
        meaning="Interfaces whose addresses the description route tells: `internalip`, `externalip`, `sshconfig`.",
    )
    authproviderneverchange: bool = option(
        Flag(),
        True,
        key="desktop.authproviderneverchange",
        meaning="True keeps the desktops and secrets of two providers apart even when the user ids are equal. Forced "
        "False when some provider has `explicitproviderapproval`.",
    )
    resources_usage_cgroup_map: Mapping[str, str] | None = option(
        Nullable(MapOf(_ABSOLUTE, most=20)),
        None,
        key="desktop.resources_usage_cgroup_map",
        meaning="File read in the desktop for each metric.",
        since="3.2",
        default_text="cgroup v2 or v1 files, whichever the desktop has",
    )
    secretsrootdirectory: str = option(
        Directory(),
        "/var/secrets/",
        key="desktop.secretsrootdirectory",
        meaning="Secrets are mounted at `<directory><secret type>`.",
    )
    secretslocalaccount: str = option(
        _ABSOLUTE,
        "/var/lib/extrausers",
        key="desktop.secretslocalaccount",
        meaning="Where the account files (passwd, group, shadow, gshadow) are mounted.",
    )
    podlevelresources: str | bool = option(
        PodLevelResources(),
        "auto",
        key="desktop.podlevelresources",
        meaning="Whether the resources of an execute class go to the pod (`auto`: from Kubernetes 1.34) or to its "
        "graphical container.",
        since="4.4, extension",
    )
    snapshotregistrysecretname: str | None = option(
        Nullable(Text("a secret name", longest=253)),
        None,
        key="desktop.snapshotregistrysecretname",
        meaning="Secret of type kubernetes.io/dockerconfigjson whose first registry receives desktop snapshots.",
        since="4.0",
    )
    snapshotregistryprotocol: str = option(
        Choice("https", "http"),
        "https",
        key="desktop.snapshotregistryprotocol",
        meaning="Protocol of that registry.",
        since="4.0",
    )
    snapshotmountpath: str = option(
        _ABSOLUTE,
        "/run/containerd/containerd.sock",
        key="desktop.snapshotmountpath",
        meaning="Container runtime socket of the node mounted into the snapshot container: root on the node.",
        since="4.0",
    )
    snapshotmounttype: str = option(
        Choice("Socket", "File", "Directory"),
        "Socket",
        key="desktop.snapshotmounttype",
        meaning="Type of that mount.",
        since="4.0",
    )
    zoom: float = option(Number(0.1, 10), 1, key="desktop.zoom", meaning="CSS zoom of the front end.", since="3.1")
    defaultbackgroundcolors: tuple[str, ...] = option(
        ListOf(Text("a colour #RRGGBB", pattern=r"#[0-9A-Fa-f]{6}", longest=7), most=8),
        ("#6EC6F0", "#CD3C14", "#4BB4E6", "#50BE87", "#A885D8", "#FFB4E6"),
        key="desktop.defaultbackgroundcolors",
        meaning="Colours offered for the background, at most 8.",
        shipped=["#6EC6F0", "#333333", "#666666", "#CD3C14", "#4BB4E6", "#50BE87", "#A885D8", "#FFB4E6"],
    )
    storage: StorageSettings = group(StorageSettings)
    account: AccountSettings = group(AccountSettings)

    @property
    def theme_is_automatic(self) -> bool:
        """Whether the look follows the browser's system."""
        return self.theme in {"auto", "autodetect"}
