"""Pods and their events as pyos keeps them in memory: only the fields it uses (core/v1 Pod, Event)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

DESKTOP = "x11server"
APPLICATION = "pod_application"
PULL = "pod_application_pull"
SHARED_SELECTOR = f"type in ({DESKTOP},{APPLICATION},{PULL})"
GRAPHICAL_LETTER = "x"
T = TypeVar("T")


class _Kube(msgspec.Struct, gc=False, omit_defaults=True, rename="camel"):
    """API casing: ``node_name`` is ``nodeName`` on the wire."""


class Meta(_Kube):
    """metadata of a pod."""

    name: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Waiting(_Kube):
    """state.waiting of a container."""

    reason: str = ""
    message: str = ""


class Terminated(_Kube):
    """state.terminated of a container."""

    exit_code: int = 0
    reason: str = ""


class State(_Kube):
    """state of a container: one of the three, or none yet."""

    waiting: Waiting | None = None
    running: dict[str, Any] | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Kube):
    """status of one container of any sort."""

    name: str = ""
    image: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    container_id: str = msgspec.field(default="", name="containerID")
    state: State = msgspec.field(default_factory=State)


class Resources(_Kube):
    """resources of a container or a pod: limits only, which extended resources (GPUs) must have."""

    limits: dict[str, Any] = {}


class Container(_Kube):
    """spec of one container of any sort."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] | None = None
    resources: Resources | None = None


class SecretSource(_Kube):
    """secret source of a volume."""

    secret_name: str = ""


class ClaimSource(_Kube):
    """persistentVolumeClaim source of a volume."""

    claim_name: str = ""


class Volume(_Kube):
    """A volume of a pod."""

    name: str = ""
    secret: SecretSource | None = None
    persistent_volume_claim: ClaimSource | None = None


class Spec(_Kube):
    """spec of a pod."""

    node_name: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    resources: Resources | None = None


class Condition(_Kube):
    """One of status.conditions."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class PodStatus(_Kube):
    """status of a pod."""

    phase: str = "Unknown"
    reason: str = ""
    message: str = ""
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Pod(_Kube):
    """A desktop, an application pod or an image prefetch pod."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: Spec = msgspec.field(default_factory=Spec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.metadata.name

    @property
    def uid(self) -> str:
        """metadata.uid: changes when a pod of the same name is made again."""
        return self.metadata.uid

    @property
    def labels(self) -> dict[str, str]:
        """metadata.labels."""
        return self.metadata.labels

    @property
    def kind(self) -> str:
        """The label ``type``."""
        return self.metadata.labels.get("type", "")

    @property
    def phase(self) -> str:
        """status.phase."""
        return self.status.phase

    @property
    def terminating(self) -> bool:
        """True once a deletion was asked for."""
        return self.metadata.deletion_timestamp is not None

    @property
    def usable(self) -> bool:
        """True for a desktop a user can be given, now or soon: phase Running, Pending or Succeeded, not going away."""
        return not self.terminating and self.phase in ("Running", "Pending", "Succeeded")

    @property
    def node_lost(self) -> bool:
        """True once the cluster has given up the node it was on: whatever the phase says, nobody reaches it."""
        return self.status.reason == "NodeLost"

    @property
    def graphical(self) -> str | None:
        """Name of the graphical container: the one whose name starts with ``x``."""
        names = [c.name for c in self.spec.containers]
        return next((name for name in names if name.startswith(GRAPHICAL_LETTER)), None)

    @property
    def version(self) -> int:
        """resourceVersion as a number, -1 when it is not one."""
        return version_number(self.metadata.resource_version)

    @property
    def created(self) -> datetime:
        """creationTimestamp; the epoch when absent or malformed."""
        try:
            return datetime.fromisoformat(self.metadata.creation_timestamp or "")
        except ValueError:
            return datetime.fromtimestamp(0, UTC)

    def requested(self, resource: str) -> int:
        """How much of an extended resource (a whole number of devices) the pod asks for at a time."""
        together = sum(_whole(one.resources, resource) for one in self.spec.containers)
        alone = [_whole(one.resources, resource) for one in self.spec.init_containers]
        return max(together, *alone, _whole(self.spec.resources, resource))

    def secret_of(self, prefix: str) -> str | None:
        """Name of the first mounted secret whose name starts with ``prefix``."""
        names = (volume.secret.secret_name for volume in self.spec.volumes if volume.secret)
        return next((name for name in names if name.startswith(prefix)), None)

    @property
    def secret_names(self) -> frozenset[str]:
        """Names of the mounted secrets."""
        return frozenset(volume.secret.secret_name for volume in self.spec.volumes if volume.secret)


class ObjectReference(_Kube):
    """involvedObject of an event."""

    name: str = ""
    uid: str = ""
    field_path: str = ""


class EventMeta(_Kube):
    """metadata of an event or of a list."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class PodEvent(_Kube):
    """What the scheduler or the kubelet says about a pod (core/v1 Event)."""

    metadata: EventMeta = msgspec.field(default_factory=EventMeta)
    involved_object: ObjectReference = msgspec.field(default_factory=ObjectReference)
    type: str = "Normal"
    reason: str = ""
    message: str = ""


class ListPage(_Kube):
    """One page of any list; items are decoded later, one by one."""

    metadata: EventMeta = msgspec.field(default_factory=EventMeta)
    items: list[msgspec.Raw] = []


class PodList(_Kube):
    """A list of pods."""

    metadata: EventMeta = msgspec.field(default_factory=EventMeta)
    items: list[Pod] = []


class Change(msgspec.Struct, Generic[T], gc=False):
    """A line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK (of which the resourceVersion counts) or ERROR."""

    type: str
    object: T


POD_LIST = msgspec.json.Decoder(PodList)
POD_CHANGE = msgspec.json.Decoder(Change[Pod])
EVENT_CHANGE = msgspec.json.Decoder(Change[PodEvent])
POD = msgspec.json.Decoder(Pod)
_PACK = msgspec.msgpack.Encoder()
_UNPACK = msgspec.msgpack.Decoder(Pod)


def pod_from(manifest: dict[str, Any]) -> Pod:
    """A pod out of an answer of the API."""
    return msgspec.convert(manifest, Pod)


def pack(pod: Pod) -> bytes:
    """A pod to be kept: one piece of 3 kB, not 150 of 12 kB together.

    The garbage collector has nothing to walk through, and the memory goes back to the system when it is freed.
    """
    return _PACK.encode(pod)


def unpack(packed: bytes) -> Pod:
    """The pod again; takes six microseconds."""
    return _UNPACK.decode(packed)


def _whole(resources: Resources | None, resource: str) -> int:
    text = str(resources.limits.get(resource, "")) if resources else ""
    return int(text) if text.isdigit() else 0


def version_number(text: str) -> int:
    """resourceVersion as a number (Kubernetes 1.35 promises that order), -1 when it is not one."""
    return int(text) if text.isdigit() else -1


def choose(pods: list[Pod]) -> Pod | None:
    """The one desktop among those of a user: usable, Running preferred, then the newest (spec 6.2)."""
    usable = [pod for pod in pods if pod.usable]
    return max(usable, key=lambda pod: (pod.phase == "Running", pod.created, pod.version), default=None)
