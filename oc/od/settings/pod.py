"""`desktop.pod`: the template of desktop and application pods."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import (
    NODE_SELECTOR,
    RESOURCES,
    SECURITY_CONTEXT,
    TOLERATIONS,
    JsonDict,
    JsonMapping,
    ListOf,
    MapOf,
    Quantity,
    Record,
    Shape,
    nearest,
    text_keys,
)
from oc.od.settings.declaration import UNSET, Kind, Place, Rejected, derived, option
from oc.od.settings.kinds import Choice, Flag, Integer, Nullable, Or, Text

ENTRY_NAMES: Final = (
    "graphical",
    "spawner",
    "broadcast",
    "webshell",
    "printer",
    "printerfile",
    "filer",
    "sound",
    "init",
    "ephemeral_container",
    "pod_application",
    "snapshot",
    "ssh",
    "rdp",
    "rdpgw",
    "x11overlay",
)
IGNORED_ENTRIES: Final = ("storage",)
"""Entries of old files that mean nothing any more: the pause container ended with 4.3."""

NAME_PATTERN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def _memory(name: str, size: str | None = None) -> dict[str, Any]:
    source = {"medium": "Memory"} if size is None else {"medium": "Memory", "sizeLimit": size}
    return {"name": name, "emptyDir": source}


DEFAULT_VOLUMES: Final[Mapping[str, Any]] = {
    "shm": _memory("shm", "512Mi"),
    "run": _memory("run", "1M"),
    "tmp": _memory("tmp", "8Gi"),
    "log": _memory("log", "8Gi"),
    "rundbus": _memory("rundbus", "8M"),
    "runuser": _memory("runuser", "8M"),
    "x11socket": _memory("x11socket"),
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


class PullSecrets(Kind[tuple[JsonMapping, ...]]):
    """`[{'name': ...}]`; a bare name or one dict is wrapped."""

    _many: Final = ListOf(Shape("reference", {"name": Text("a secret name", longest=253)}, closed=True), most=100)

    def parse(self, value: object, at: Place) -> tuple[JsonMapping, ...]:
        if isinstance(value, str):
            value = [{"name": value}]
        elif isinstance(value, Mapping):
            value = [value]
        elif isinstance(value, list | tuple):
            value = [{"name": item} if isinstance(item, str) else item for item in value]
        return self._many.parse(value, at)

    def dump(self, value: tuple[JsonMapping, ...]) -> object:
        return [dict(item) for item in value]

    @property
    def name(self) -> str:
        return "list of {'name': str}"


def _image(value: object) -> Kind[Any] | None:
    if isinstance(value, Mapping):
        return MapOf(Or("an image name or True", lambda item: Flag() if item is True else IMAGE))
    return IMAGE if isinstance(value, str) else None


IMAGE: Final = Text("an image name", pattern=r"[^\s\x00]+", longest=1024)


@dataclasses.dataclass(frozen=True)
class ContainerSettings:
    """One entry of `desktop.pod`: a container, a service inside one, or an application template.

    The fragments (`resources`, `security_context`, ...) are JSON-like dicts: deep-copy before changing.
    """

    enable: bool = option(Flag(), False, key="enable", meaning="Must be True for the entry to exist.")
    acl: JsonMapping | None = option(
        Nullable(ACL),
        None,
        key="acl",
        meaning="Labels that may (`permit`) or may not (`deny`) use it; without it nobody may.",
        aliases=("acls",),
    )
    image: str | Mapping[str, Any] | None = option(
        Nullable(Or("str, or dict label -> str with `default`", _image)),
        None,
        key="image",
        meaning="Image name, or a dict: `default` and one image a label name.",
    )
    image_pull_policy: str = option(
        Choice("IfNotPresent", "Always", "Never"),
        "IfNotPresent",
        key="imagePullPolicy",
        meaning="When the node pulls the image.",
        aliases=("pullpolicy",),
    )
    image_pull_secrets: tuple[JsonMapping, ...] | None = option(
        Nullable(PullSecrets()),
        None,
        key="imagePullSecrets",
        meaning="Pull secrets of this entry; they win over those of the pod.",
    )
    volumes: tuple[str, ...] | None = option(
        Nullable(ListOf(Text("a volume name", longest=255), most=200)),
        None,
        key="volumes",
        meaning="Volumes mounted: names of `default_volumes_mount`, `home`, memory directories, `localtime`.",
        since="4.3",
        default_text="graphical, ephemeral_container: x11socket tmp run log rundbus runuser; pod_application: the "
        "same without x11socket; others: none",
    )
    resources: JsonMapping | None = option(
        Nullable(RESOURCES),
        None,
        key="resources",
        meaning="Requests and limits of the container, merged over those of the execute class.",
    )
    security_context: JsonMapping | None = option(
        Nullable(SECURITY_CONTEXT),
        None,
        key="securityContext",
        meaning="Security context; ids may be templates such as '{{ uidNumber }}'.",
    )
    tcpport: int | None = option(
        Nullable(Integer(1, 65535)), None, key="tcpport", meaning="Port of the service. The router knows the ports."
    )
    waitportbin: str | None = option(
        Nullable(Text("a path", longest=1024)),
        None,
        key="waitportbin",
        meaning="Program of the graphical container that waits for the port.",
    )
    waitportbintimeout: int | None = option(
        Nullable(Integer(1, 86_400_000, unit="ms")),
        None,
        key="waitportbintimeout",
        meaning="Time that program gets.",
        default_text="what is left of the launch",
    )
    healtzbin: str | None = option(
        Nullable(Text("a path", longest=1024)),
        None,
        key="healtzbin",
        meaning="Program that asks the service for its health over http.",
        aliases=("healthzbin",),
    )
    healtzbintimeout: int | None = option(
        Nullable(Integer(1, 86_400_000, unit="ms")),
        None,
        key="healtzbintimeout",
        meaning="Time that program gets.",
        aliases=("healthzbintimeout",),
    )
    secrets_requirement: tuple[str, ...] = option(
        ListOf(Text("a secret type", longest=253), most=100, single=True),
        (),
        key="secrets_requirement",
        meaning="Secret types mounted when the user has them; only the part after `/` is compared.",
    )
    waitfor_services: tuple[str, ...] = option(
        ListOf(Text("a service name", longest=253), most=100),
        ("xserver", "novnc", "spawner-service", "plasmashell"),
        key="waitfor_services",
        meaning="graphical: supervised services that must run before the desktop is ready.",
        since="4.0",
    )
    waitfor_processes: tuple[str, ...] = option(
        ListOf(Text("a process name", longest=253), most=100),
        ("plasmashell", "xfwm4", "kded5", "kglobalaccel5"),
        key="waitfor_processes",
        meaning="graphical: processes that must exist before the desktop is ready.",
        since="4.0",
        shipped=["kwin_x11", "plasmashell"],
    )
    waitfor_listeningservices: tuple[str, ...] = option(
        ListOf(Text("an entry name", longest=63), most=100),
        ("graphical", "spawner"),
        key="waitfor_listeningservices",
        meaning="graphical: entries whose port must listen before the desktop is ready.",
        since="4.0",
    )
    command: tuple[str, ...] | None = option(
        Nullable(ListOf(Text("an argument", longest=65_536, empty=True), most=1000)),
        None,
        key="command",
        meaning="init: its command, a template. Without it there is no init container.",
    )
    lifecycle: JsonMapping | None = option(
        Nullable(JsonDict()), None, key="lifecycle", meaning="Kubernetes lifecycle hooks.", aliases=("lifecyle",)
    )
    node_selector: Mapping[str, str] = option(
        NODE_SELECTOR, {}, key="nodeSelector", meaning="pod_application: node labels, merged with the application's."
    )
    affinity: JsonMapping = option(
        JsonDict(), {}, key="affinity", meaning="pod_application: updates the affinity to the desktop's node."
    )
    tolerations: tuple[JsonMapping, ...] | None = option(
        Nullable(TOLERATIONS), None, key="tolerations", meaning="pod_application: tolerations."
    )
    runtime_class_name: str | None = option(
        Nullable(Text("a runtime class", longest=253)),
        None,
        key="runtimeClassName",
        meaning="pod_application: runtime class.",
        since="4.3",
    )

    def image_for(self, labels: Mapping[str, str] | tuple[str, ...]) -> str | None:
        """The image for a user: the first label that is a key of the dict, else `default`.

        An entry that is literally True stands for the label's value (only with a mapping of labels).
        """
        if self.image is None or isinstance(self.image, str):
            return self.image
        for label in labels:
            found = self.image.get(label)
            if isinstance(found, str):
                return found
            if found is True and isinstance(labels, Mapping):
                return labels[label]
        default = self.image.get("default")
        return default if isinstance(default, str) else None


@dataclasses.dataclass(frozen=True)
class PodSpecSettings:
    """`desktop.pod.spec`. `others`: valid PodSpec fields copied into the pod as they are."""

    share_process_namespace: bool = option(
        Flag(), False, key="shareProcessNamespace", meaning="Containers of the desktop see each other's processes."
    )
    share_process_memory: bool = option(
        Flag(), False, key="shareProcessMemory", meaning="3.x: share /dev/shm; since 4.0 the volume `shm` does it."
    )
    share_process_memory_size: str | int | None = option(
        Nullable(Quantity()),
        None,
        key="shareProcessMemorySize",
        meaning="3.x: size of /dev/shm; used as size of the volume `shm` when `default_volumes` is absent.",
    )
    security_context: JsonMapping | None = option(
        Nullable(SECURITY_CONTEXT), None, key="securityContext", meaning="Pod security context, with templates."
    )
    tolerations: tuple[JsonMapping, ...] | None = option(
        Nullable(TOLERATIONS), None, key="tolerations", meaning="Tolerations of desktop pods."
    )
    image_pull_secrets: tuple[JsonMapping, ...] | None = option(
        Nullable(PullSecrets()), None, key="imagePullSecrets", meaning="Pull secrets of desktop and application pods."
    )
    others: JsonMapping = derived({})


SPEC_FIELDS: Final = (
    "activeDeadlineSeconds",
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostUsers",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "serviceAccountName",
    "automountServiceAccountToken",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
)
"""PodSpec fields that may be given in `spec` and are passed on."""


class PodSpec(Kind[PodSpecSettings]):
    """`desktop.pod.spec`."""

    record: Final = Record(PodSpecSettings)

    def parse(self, value: object, at: Place) -> PodSpecSettings:
        items = text_keys(value, at, "a dict", 200)
        others = {name: items.pop(name) for name in SPEC_FIELDS if name in items}
        kept = JsonDict().parse(others, at)
        return dataclasses.replace(self.record.parse(items, at), others=kept)

    def dump(self, value: PodSpecSettings) -> object:
        shown = self.record.dump(value)
        return {**shown, **value.others} if isinstance(shown, dict) else shown

    @property
    def name(self) -> str:
        return "dict"

    def nested(self) -> type[Any]:
        return PodSpecSettings


@dataclasses.dataclass(frozen=True)
class PodSettings:
    """The whole template. `containers` maps an entry name to its settings, in the order of the file."""

    spec: PodSpecSettings = option(PodSpec(), PodSpecSettings(), key="spec", meaning="Fields of the pod itself.")
    default_volumes: Mapping[str, JsonMapping] = option(
        MapOf(VOLUME),
        DEFAULT_VOLUMES,
        key="default_volumes",
        meaning="Name -> Kubernetes volume.",
        since="3.4",
        default_text="memory volumes shm 512Mi, run 1M, tmp 8Gi, log 8Gi, rundbus 8M, runuser 8M, x11socket",
    )
    default_volumes_mount: Mapping[str, JsonMapping] = option(
        MapOf(MOUNT),
        DEFAULT_MOUNTS,
        key="default_volumes_mount",
        meaning="Name -> Kubernetes volume mount.",
        since="3.4",
        default_text="the usual paths of the well-known volumes",
    )
    containers: Mapping[str, ContainerSettings] = derived({})

    def entry(self, name: str) -> ContainerSettings:
        """The settings of an entry; a disabled one when the file does not have it."""
        return self.containers.get(name) or ContainerSettings()

    @property
    def graphical_port(self) -> int:
        """Port of the desktop's websocket, told to the browser as `websockettcpport`."""
        return self.entry("graphical").tcpport or 6081

    @property
    def snapshot_enabled(self) -> bool:
        """Whether the menu offers to take a snapshot of the desktop."""
        return self.entry("snapshot").enable


class Pod(Kind[PodSettings]):
    """`desktop.pod`, with the fill-in rules for files older than 4.3 applied."""

    container: Final = Record(ContainerSettings)
    head: Final = Record(PodSettings)

    def parse(self, value: object, at: Place) -> PodSettings:
        items = text_keys(value, at, "a dict", 200)
        good = True
        for name in IGNORED_ENTRIES:
            items.pop(name, None)
        secrets = items.pop("imagePullSecrets", UNSET)
        tolerations = items.pop("tolerations", UNSET)
        head = {key: items.pop(key) for key in ("spec", "default_volumes", "default_volumes_mount") if key in items}
        pod = PodSettings()
        try:
            pod = self.head.parse(head, at)
            pod = self._old_positions(pod, secrets, tolerations, at)
        except Rejected:
            good = False
        containers: dict[str, ContainerSettings] = {}
        for name, item in items.items():
            try:
                containers[name] = self._container(name, item, at.child(name))
            except Rejected:
                good = False
        if not good:
            raise Rejected
        pod = dataclasses.replace(pod, containers=containers)
        self._check_names(pod, at)
        return self._shared_memory(pod) if "default_volumes" not in head else pod

    def _container(self, name: str, value: object, at: Place) -> ContainerSettings:
        if name not in ENTRY_NAMES:
            near = nearest(name, ENTRY_NAMES)
            at.warn("not a known entry" + (f". Did you mean '{near}'?" if near else ", kept as a container of its own"))
        parsed = self.container.parse(value, at)
        if parsed.volumes is None and name in FILL_IN_VOLUMES:
            parsed = dataclasses.replace(parsed, volumes=FILL_IN_VOLUMES[name])
        return parsed

    def _old_positions(self, pod: PodSettings, secrets: object, tolerations: object, at: Place) -> PodSettings:
        """3.4 read pull secrets and tolerations beside the entries; what stands in `spec` wins."""
        spec = pod.spec
        if secrets is not UNSET and secrets is not None:
            parsed = PullSecrets().parse(secrets, at.child("imagePullSecrets"))
            if spec.image_pull_secrets is None:
                spec = dataclasses.replace(spec, image_pull_secrets=parsed)
        if tolerations is not UNSET and tolerations is not None:
            given = TOLERATIONS.parse(tolerations, at.child("tolerations"))
            if spec.tolerations is None:
                spec = dataclasses.replace(spec, tolerations=given)
        return dataclasses.replace(pod, spec=spec)

    def _shared_memory(self, pod: PodSettings) -> PodSettings:
        size = pod.spec.share_process_memory_size
        if size is None:
            return pod
        return dataclasses.replace(pod, default_volumes={**pod.default_volumes, "shm": _memory("shm", str(size))})

    def _check_names(self, pod: PodSettings, at: Place) -> None:
        """Warn about what the builder will have to skip: unknown volumes, entries without an acl."""
        for name, container in pod.containers.items():
            place = at.child(name)
            if container.enable and container.acl is None:
                place.warn("enabled without 'acl': nobody may use it. Add 'acl': { 'permit': [ 'all' ] }")
            for service in container.waitfor_listeningservices if name == "graphical" else ():
                awaited = pod.containers.get(service)
                if awaited is not None and awaited.enable and (awaited.tcpport is None or not awaited.waitportbin):
                    place.child("waitfor_listeningservices").warn(
                        f"'{service}' needs 'tcpport' and 'waitportbin' to be waited for"
                    )

    def dump(self, value: PodSettings) -> object:
        shown: dict[str, object] = {}
        head = self.head.dump(value)
        if isinstance(head, dict):
            shown.update(head)
        shown.update({name: self.container.dump(entry) for name, entry in value.containers.items()})
        return shown

    @property
    def name(self) -> str:
        return "dict"

    def nested(self) -> type[Any]:
        return PodSettings
