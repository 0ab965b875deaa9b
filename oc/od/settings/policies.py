"""`desktop.policies` (volumes, networks and limits by label) and `executeclasses`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import (
    NODE_SELECTOR,
    RESOURCES,
    TOLERATIONS,
    JsonDict,
    JsonMapping,
    ListOf,
    MapOf,
    Record,
    Shape,
    text_keys,
)
from oc.od.settings.declaration import Kind, Place, Rejected, option
from oc.od.settings.kinds import Choice, Flag, Integer, Nullable, Or, Text, Url

_PATH = Text("an absolute path", pattern=r"/[^\x00]*", longest=1024)

VOLUME_RULE: Final = Shape(
    "volume rule",
    {
        "type": Choice("nfs", "pvc", "hostPath", "cifs", "cifs_kerberos", "webdav", "csi", "s3"),
        "name": Text(longest=253),
        "server": Text(longest=253),
        "path": Text(longest=1024),
        "mountPath": _PATH,
        "readOnly": Flag(),
        "claimName": Text(longest=253),
        "mountPropagation": Text(longest=40),
        "hostPathType": Text(longest=40, empty=True),
        "volumename": Text(longest=253),
        "unc": Text(longest=1024),
        "mountOptions": Text(longest=1024, empty=True),
        "driver": Text("the name of a driver", longest=253),
        "bucket": Text("the name of a bucket", longest=253),
        "fsType": Text(longest=63),
        "secretName": Text("the name of a secret", longest=253),
        "volumeAttributes": MapOf(Text(longest=4096, empty=True), most=64),
        "url": Url("http", "https", "dav", "davs", account=True),
    },
    closed=True,
)


def _one_or_many(value: object) -> Kind[Any] | None:
    if isinstance(value, list | tuple):
        return ListOf(VOLUME_RULE, most=100)
    return VOLUME_RULE if isinstance(value, Mapping) else None


_LINE: Final = Text("a command", longest=8192)
_WORDS: Final = ListOf(Text("a word of a command", longest=8192, empty=True), most=256)


def _one_command(value: object) -> Kind[Any] | None:
    if isinstance(value, list | tuple):
        return _WORDS
    return _LINE if isinstance(value, str) else None


def _command(value: object) -> Kind[Any] | None:
    if isinstance(value, list | tuple):
        return ListOf(Or("str or list of str (the words of a command)", _one_command), most=16)
    return _LINE if isinstance(value, str) else None


_WEBHOOK: Final[Kind[Any]] = Nullable(Or("str or list of at most 16 commands", _command))
NETWORK_RULE: Final = Shape(
    "network rule",
    {
        "annotations": MapOf(Text("text", longest=65_536, empty=True)),
        "webhook": Shape("webhook", {"create": _WEBHOOK, "destroy": _WEBHOOK}, closed=True),
        "internal_dns": JsonDict(),
        "external_dns": Shape(
            "external DNS", {"hostname": Text(longest=253), "domain": Text(longest=253)}, closed=True
        ),
        "websocketrouting": Choice("default_host_url", "host", "http_origin", "bridge"),
        "websocketrouting_interface": Text(longest=64),
        "name": Text(longest=253),
        "network_disabled": Flag(),
    },
    closed=True,
)


def _network_rule(value: object) -> Kind[Any] | None:
    if isinstance(value, bool):
        return Flag()
    return NETWORK_RULE if isinstance(value, Mapping) else None


@dataclasses.dataclass(frozen=True)
class RulesSettings:
    """`desktop.policies.rules`: what a label brings. Order of the file is kept."""

    volumes: Mapping[str, Any] = option(
        MapOf(Or("dict or list of dict", _one_or_many)),
        {},
        key="volumes",
        meaning="Label -> one volume or a list: `type` nfs (`name server path mountPath readOnly`), pvc (`name "
        "claimName mountPath`), hostPath (`name path mountPath`), cifs and cifs_kerberos (`name volumename unc "
        "mountOptions`), webdav (`volumename url`), csi (`name mountPath driver volumeAttributes fsType secretName`), "
        "s3 (`name mountPath driver bucket`).",
        secret=True,
    )
    network: Mapping[str, Any] = option(
        MapOf(Or("dict or False", _network_rule)),
        {},
        key="network",
        meaning="Label (or `default`) -> network settings: `annotations`, `webhook` (`create`, `destroy`), "
        "`internal_dns`, `external_dns`, `websocketrouting`, `websocketrouting_interface`, `name`; `default: False` "
        "disables networking.",
        secret=True,
    )
    homedir: Mapping[str, bool] = option(
        MapOf(Flag()),
        {},
        key="homedir",
        meaning="Label (or `default`) -> whether applications share the home directory.",
    )


@dataclasses.dataclass(frozen=True)
class PoliciesSettings:
    """`desktop.policies`."""

    rules: RulesSettings = option(Record(RulesSettings), RulesSettings(), key="rules", meaning="What labels bring.")
    user_uniq_labels: tuple[str, ...] = option(
        ListOf(Text("a label name", longest=63), most=100, single=True),
        (),
        key="user_uniq_labels",
        meaning="Labels that must be equal on the user and on a running desktop for it to be reused.",
    )
    max_app_counter: int | None = option(
        Nullable(Integer(0, 10_000)),
        None,
        key="max_app_counter",
        meaning="Most applications a user may run at once.",
        default_text="no limit",
    )
    acls: JsonMapping = option(JsonDict(), {}, key="acls", meaning="Accepted for old files, without effect.")


@dataclasses.dataclass(frozen=True)
class ExecuteClass:
    """One execute class. `others`: PodSpec fields copied into the desktop pod."""

    description: str = option(
        Text("text", longest=1024, empty=True),
        "",
        key="description",
        meaning="Shown on the login page (the class `default` is not shown).",
        since="4.0",
    )
    node_selector: Mapping[str, str] | None = option(
        Nullable(NODE_SELECTOR), None, key="nodeSelector", meaning="Node labels; None: `desktop.nodeselector`."
    )
    resources: JsonMapping | None = option(
        Nullable(RESOURCES),
        None,
        key="resources",
        meaning="Requests and limits of the whole desktop pod (before 4.3: of its graphical container).",
    )
    runtime_class_name: str | None = option(
        Nullable(Text("a runtime class", longest=253)),
        None,
        key="runtimeClassName",
        meaning="Runtime class of the pod.",
        since="4.3",
    )
    containers: Mapping[str, JsonMapping] = option(
        MapOf(Shape("container", {"resources": Nullable(RESOURCES)}, closed=True)),
        {},
        key="containers",
        meaning="Entry name -> `resources` of that container, for instance a GPU for `graphical`.",
        since="4.3",
    )
    priority_class_name: str | None = option(
        Nullable(Text("a priority class", longest=253)),
        None,
        key="priorityClassName",
        meaning="Priority class of the pod.",
        since="4.3",
    )
    scheduler_name: str | None = option(
        Nullable(Text("a scheduler", longest=253)),
        None,
        key="schedulerName",
        meaning="Scheduler of the pod.",
        since="4.3",
    )
    tolerations: tuple[JsonMapping, ...] | None = option(
        Nullable(TOLERATIONS), None, key="tolerations", meaning="Tolerations of the pod.", since="4.3"
    )
    affinity: JsonMapping | None = option(
        Nullable(JsonDict()), None, key="affinity", meaning="Affinity of the pod.", since="4.3"
    )

    def as_dict(self) -> dict[str, Any]:
        """The class as it stands in the file: login page, environment of the desktop."""
        shown = Record(ExecuteClass).dump(self)
        optional = ("containers", "priorityClassName", "schedulerName", "tolerations", "affinity")
        return {k: v for k, v in dict(shown).items() if k not in optional or v}  # type: ignore[call-overload]


FALLBACK_CLASS: Final = ExecuteClass(description="default description")
"""The class `default` when the file has none that can be used."""


class ExecuteClasses(Kind[Mapping[str, ExecuteClass]]):
    """Class name -> class; `default` is always present."""

    record: Final = Record(ExecuteClass)

    def parse(self, value: object, at: Place) -> Mapping[str, ExecuteClass]:
        items = text_keys(value, at, "a dict: class name -> dict", 1000)
        default = items.get("default")
        if not isinstance(default, Mapping):
            at.child("default").warn(f"{at.shown(default)} is no dict, a class without resources is used")
            items["default"] = {"description": FALLBACK_CLASS.description}
        classes: dict[str, ExecuteClass] = {}
        good = True
        for name, item in items.items():
            try:
                classes[name] = self.record.parse(item, at.child(name))
            except Rejected:
                good = False
        if not good:
            raise Rejected
        return classes

    def dump(self, value: Mapping[str, ExecuteClass]) -> object:
        return {name: item.as_dict() for name, item in value.items()}

    @property
    def name(self) -> str:
        return "dict class name -> dict"

    def nested(self) -> type[Any]:
        return ExecuteClass
