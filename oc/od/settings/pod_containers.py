"""The entries of `desktop.pod`: containers, services inside them, templates of applications."""

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
    Shape,
)
from oc.od.settings.declaration import Kind, Place, option
from oc.od.settings.kinds import Choice, Flag, Integer, Nullable, Or, Text
from oc.od.settings.pod_volumes import ACL


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
    entrypoint: tuple[str, ...] | None = option(
        Nullable(ListOf(Text("an argument", longest=65_536, empty=True), most=1000)),
        None,
        key="entrypoint",
        meaning="Containers of the desktop pod: what they run instead of the program of their image.",
        since="4.4, extension",
    )
    lifecycle: JsonMapping | None = option(
        Nullable(JsonDict()), None, key="lifecycle", meaning="Kubernetes lifecycle hooks."
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
