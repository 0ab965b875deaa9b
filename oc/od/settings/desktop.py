"""Desktops: the general keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.account import AccountSettings
from oc.od.settings.containers import NODE_SELECTOR, EnvironmentMap, JsonDict, JsonMapping, ListOf, MapOf, Shape
from oc.od.settings.declaration import Kind, Place, group, option
from oc.od.settings.kinds import ABSOLUTE_PATH, Choice, Flag, Nullable, Number, OrDefault, Text
from oc.od.settings.storage import StorageSettings

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
        path = ABSOLUTE_PATH.parse(value, at)
        return path if path.endswith("/") else f"{path}/"

    @property
    def name(self) -> str:
        return "str, directory"


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
        Nullable(ABSOLUTE_PATH),
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
        Nullable(MapOf(ABSOLUTE_PATH, most=20)),
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
        ABSOLUTE_PATH,
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
        ABSOLUTE_PATH,
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
