"""`desktop.pod`: the template of desktop and application pods."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import (
    SECURITY_CONTEXT,
    TOLERATIONS,
    JsonDict,
    JsonMapping,
    MapOf,
    Quantity,
    Record,
    nearest,
    text_keys,
)
from oc.od.settings.declaration import UNSET, Kind, Place, Rejected, derived, option
from oc.od.settings.kinds import Flag, Nullable
from oc.od.settings.pod_containers import ContainerSettings, PullSecrets
from oc.od.settings.pod_volumes import (
    DEFAULT_MOUNTS,
    DEFAULT_VOLUMES,
    FILL_IN_VOLUMES,
    MOUNT,
    VOLUME,
    memory_volume,
)

__all__ = ["ENTRY_NAMES", "ContainerSettings", "Pod", "PodSettings", "PodSpec", "PodSpecSettings"]

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
        return self._sized_shared_memory(pod) if "default_volumes" not in head else pod

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

    def _sized_shared_memory(self, pod: PodSettings) -> PodSettings:
        size = pod.spec.share_process_memory_size
        if size is None:
            return pod
        return dataclasses.replace(pod, default_volumes={**pod.default_volumes, "shm": memory_volume("shm", str(size))})

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
