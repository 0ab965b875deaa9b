"""Who may call a controller: one policy a controller class."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from oc.model.filevalue import is_file, path_of
from oc.od.settings.containers import JsonDict, ListOf, MapOf, Record, text_keys, unknown_text
from oc.od.settings.declaration import Kind, Place, Rejected, option
from oc.od.settings.kinds import Choice, Flag, IPNetwork, Network, Nullable, Text

CONTROLLER_NAMES: Final = (
    "AccountingController",
    "AuthController",
    "ComposerController",
    "CoreController",
    "DesktopController",
    "KeyController",
    "ManagerController",
    "StoreController",
    "TrackerController",
    "UserController",
    "WebRTCController",
)

PRIVATE_NETWORKS: Final[tuple[IPNetwork, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "169.254.0.0/16", "127.0.0.0/8")
)
"""Sources allowed where an administration controller names none."""

LONGEST_KEY: Final = 1024

PRIVATE_BY_DEFAULT: Final = ("ManagerController", "AccountingController", "KeyController")


class Key(Text):
    """A key, or ``file:///path`` of a file whose first line is the key."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}, or file:///path of a file that holds it", longest=LONGEST_KEY)

    def parse(self, value: object, at: Place) -> str:
        key = super().parse(value, at)
        if is_file(key) and (not key.startswith("file:///") or not path_of(key).name):
            raise at.reject("expected file:///path with an absolute path, of a file")
        return key


@dataclasses.dataclass(frozen=True)
class ControllerPolicy:
    """Filters of one controller; all that are set must be passed."""

    enable: bool = option(
        Flag(), True, key="enable", meaning="False refuses every request (403, `403.10`).", aliases=("enabled",)
    )
    permitip: tuple[IPNetwork, ...] | None = option(
        Nullable(ListOf(Network(), most=1000, single=True)),
        None,
        key="permitip",
        meaning="Networks a request may come from, others get 403 (`403.7`). None: any. An empty list: nobody.",
        default_text="None; the private networks for ManagerController, AccountingController and KeyController",
    )
    apikey: tuple[str, ...] | None = option(
        Nullable(ListOf(Key("an API key"), most=1000, single=True)),
        None,
        key="apikey",
        meaning="Accepted values of the header X-API-Key, others get 403 (`403.1`). None: no key is asked for. "
        "`file:///path` is the first line of that file, read at each use: while it cannot be read it admits nobody.",
        secret=True,
    )
    requestsallowed: Mapping[str, bool | None] = option(
        MapOf(Nullable(Flag()), most=1000),
        {},
        key="requestsallowed",
        meaning="Method name -> False refuses it (403, `403.8`).",
    )
    database_acl: tuple[str, ...] = option(
        ListOf(Choice("get", "read", "put", "write", "delete"), most=10, single=True),
        (),
        key="database_acl",
        meaning="ManagerController: what its datastore routes may do.",
        since="4.1",
    )
    wrapped_key: Mapping[str, Any] = option(
        JsonDict(),
        {},
        key="wrapped_key",
        meaning="StoreController: values returned for keys the user never set. `color` and `backgroundType` follow "
        "SET_DEFAULT_COLOR and SET_DEFAULT_WALLPAPER of `desktop.envlocal` when those are set.",
    )
    authdnskey: str | None = option(
        Nullable(Key("a key")),
        None,
        key="authdnskey",
        meaning="DesktopController: key the desktop DNS route asks for. `file:///path` as in `apikey`.",
        secret=True,
    )

    def may(self, verb: str) -> bool:
        """Whether `database_acl` grants `read`, `write` or `delete` (or their synonyms `get`, `put`)."""
        same = {"get": "read", "put": "write"}
        return same.get(verb, verb) in {same.get(word, word) for word in self.database_acl}


DEFAULT_POLICIES: Final[Mapping[str, ControllerPolicy]] = {
    "ManagerController": ControllerPolicy(permitip=PRIVATE_NETWORKS),
    "AccountingController": ControllerPolicy(permitip=PRIVATE_NETWORKS),
    "KeyController": ControllerPolicy(permitip=PRIVATE_NETWORKS),
    "StoreController": ControllerPolicy(),
}


class Policies(Kind[Mapping[str, ControllerPolicy]]):
    """Class name -> policy, completed with the default policies."""

    record: Final = Record(ControllerPolicy)

    def parse(self, value: object, at: Place) -> Mapping[str, ControllerPolicy]:
        items = text_keys(value, at, "a dict: controller class name -> dict", 100)
        policies = dict(DEFAULT_POLICIES)
        good = True
        for name, item in items.items():
            place = at.child(name)
            if name not in CONTROLLER_NAMES:
                place.warn(unknown_text(name, CONTROLLER_NAMES).replace("key", "controller", 1))
            if not isinstance(item, Mapping) and name in ("ManagerController", "StoreController"):
                place.warn(f"{place.shown(item)} is no dict, the default is used")
                continue
            try:
                policy = self.record.parse(item, place)
            except Rejected:
                good = False
                continue
            if name in PRIVATE_BY_DEFAULT and isinstance(item, Mapping) and "permitip" not in item:
                policy = dataclasses.replace(policy, permitip=PRIVATE_NETWORKS)
            policies[name] = policy
        if not good:
            raise Rejected
        return policies

    def dump(self, value: Mapping[str, ControllerPolicy]) -> object:
        return {name: self.record.dump(policy) for name, policy in value.items()}

    @property
    def name(self) -> str:
        return "dict controller class -> dict"

    def nested(self) -> type[Any]:
        return ControllerPolicy
