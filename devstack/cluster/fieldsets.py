"""Who set which field: metadata.managedFields (structured-merge-diff, FieldsV1).

A set of fields is a set of paths; a path is a tuple of elements as FieldsV1 writes them: `f:NAME`, `k:{KEYS}` for an
item of a list with keys, `v:VALUE` for a member of a set.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import msgspec

from devstack.cluster import schema
from devstack.cluster.objects import Object, encode, timestamp
from devstack.cluster.resources import Resource
from devstack.cluster.schema import Field, Type
from devstack.cluster.store import Store

Path = tuple[str, ...]
APPLY, UPDATE = "Apply", "Update"
# Fields nobody manages.
_STRIPPED: frozenset[Path] = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields",
            "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds",
        )
    }
)  # fmt: skip
_METADATA: Path = ("f:metadata",)
_STATUS: Path = ("f:status",)
# Keys of list items that have a default when left out.
_KEY_DEFAULTS = {"protocol": "TCP"}


# -- FieldsV1 --------------------------------------------------------------------------------------------------------
def to_fields(paths: set[Path]) -> Object:
    root: Object = {}
    for path in sorted(paths):
        at = root
        for element in path:
            at = at.setdefault(element, {})
        at["."] = {}
    _collapse(root)
    return root


def _collapse(node: Object) -> None:
    for child in node.values():
        if set(child) == {"."}:
            child.clear()
        else:
            _collapse(child)


def from_fields(fields: Object, prefix: Path = ()) -> set[Path]:
    found: set[Path] = set()
    for element, child in fields.items():
        if element == ".":
            found.add(prefix)
        elif child:
            found |= from_fields(child, (*prefix, element))
        else:
            found.add((*prefix, element))
    return found


# Objects of one making have the same fields: their sets are held once, as JSON text (msgspec.Raw is written as it is).
@functools.lru_cache(maxsize=256)
def _written(paths: frozenset[Path]) -> msgspec.Raw:
    return msgspec.Raw(encode(to_fields(set(paths))))


@functools.lru_cache(maxsize=256)
def _read_text(text: bytes) -> frozenset[Path]:
    return frozenset(from_fields(msgspec.json.decode(text)))


def _read(fields: Any) -> frozenset[Path]:
    return _read_text(bytes(fields)) if isinstance(fields, msgspec.Raw) else frozenset(from_fields(fields))


# -- walking objects -------------------------------------------------------------------------------------------------
def item_element(item: Any, field: Field) -> str:
    """The path element of an item of a list with keys or of a set."""
    if field.list_type == "map" and isinstance(item, dict):
        keys = {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in sorted(field.map_keys)}
        return "k:" + json.dumps(keys, separators=(",", ":"))
    return "v:" + json.dumps(item, separators=(",", ":"))


def _children(value: Any, type_: Type | None, field: Field | None) -> dict[str, tuple[Any, Type | None, Field | None]]:
    """What lies below a value, by path element; nothing below what is taken as a whole."""
    if isinstance(value, dict) and value and not (field and field.atomic) and not (type_ and type_.atomic):
        if type_ is not None and type_.form == "object":
            return {
                f"f:{name}": (item, known.type if known else None, known)
                for name, item in value.items()
                for known in [type_.fields.get(name)]
            }
        if type_ is not None and type_.form == "map":
            return {f"f:{name}": (item, type_.items, None) for name, item in value.items()}
    if isinstance(value, list) and value and field is not None and field.list_type in ("map", "set"):
        items = field.type.items
        return {item_element(item, field): (item, items, None) for item in value}
    return {}


def applied_paths(value: Any, type_: Type, path: Path = (), field: Field | None = None) -> set[Path]:
    """The fields an applied configuration names: leaves, and the items of lists with keys."""
    below = _children(value, type_, field)
    if not below:
        return {path} if path else set()
    found: set[Path] = set()
    for element, (item, inner, known) in below.items():
        here = (*path, element)
        if element.startswith("k:"):
            found.add(here)
        found |= applied_paths(item, inner or _ANY, here, known)
    return found - _STRIPPED


_ANY = Type("any", "any")


def compare(old: Any, new: Any, type_: Type) -> tuple[set[Path], set[Path]]:
    """(paths added or modified, paths removed) between two states."""
    changed: set[Path] = set()
    removed: set[Path] = set()
    _compare(old, new, type_, None, (), changed, removed)
    return changed - _STRIPPED, removed - _STRIPPED


def _compare(
    old: Any, new: Any, type_: Type | None, field: Field | None, path: Path, changed: set[Path], removed: set[Path]
) -> None:
    before, after = _children(old, type_, field), _children(new, type_, field)
    if not before and not after:
        if old != new:
            changed.add(path)
        return
    for element, (item, inner, known) in after.items():
        here = (*path, element)
        if here in _STRIPPED and here != ("f:metadata",):
            continue
        if element in before:
            previous = before[element][0]
            if previous is not item and previous != item:
                _compare(previous, item, inner, known, here, changed, removed)
        else:
            _add_all(item, inner, known, here, changed)
    for element, (item, inner, known) in before.items():
        if element not in after:
            _add_all(item, inner, known, (*path, element), removed)


def _add_all(value: Any, type_: Type | None, field: Field | None, path: Path, found: set[Path]) -> None:
    found.add(path)
    for element, (item, inner, known) in _children(value, type_, field).items():
        _add_all(item, inner, known, (*path, element), found)


def created_fields(skeleton: Any, new: Any, type_: Type) -> Object:
    """FieldsV1 of a new object: what `compare` with the skeleton gives, in one walk. Nobody manages its status."""
    fields = _created(skeleton, new, type_, None, ())
    return {} if fields is None else fields


def _created(old: Any, new: Any, type_: Type | None, field: Field | None, path: Path) -> Object | None:
    """What lies below a value the skeleton has too; None: nothing that anybody manages."""
    before, after = _children(old, type_, field), _children(new, type_, field)
    node: Object = {}
    for element, (item, inner, known) in sorted(after.items(), key=itemgetter(0)):
        here = (*path, element)
        if (here in _STRIPPED and here != _METADATA) or here == _STATUS:
            continue
        if element not in before:
            node[element] = _all(item, inner, known)
        elif before[element][0] != item:
            below = _created(before[element][0], item, inner, known, here)
            if (below is not None and here != _METADATA) or below:
                node[element] = below
    return None if (before or after) and not node else node


def _all(value: Any, type_: Type | None, field: Field | None) -> Object:
    below = _children(value, type_, field)
    if not below:
        return {}
    found: Object = {".": {}}
    for element, (item, inner, known) in sorted(below.items(), key=itemgetter(0)):
        found[element] = _all(item, inner, known)
    return found


# -- managers --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Manager:
    """One entry of managedFields; `paths` empty: it goes."""

    name: str
    operation: str
    version: str
    subresource: str
    time: str
    paths: frozenset[Path]

    def same_as(self, other: Manager) -> bool:
        mine = (self.name, self.operation, self.version, self.subresource)
        return mine == (other.name, other.operation, other.version, other.subresource)

    def describe(self, fields: msgspec.Raw | None = None) -> Object:
        """The entry; `fields` instead of the paths, when they are known as FieldsV1."""
        entry: Object = {"manager": self.name, "operation": self.operation, "apiVersion": self.version}
        if self.time:
            entry["time"] = self.time
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": _written(self.paths) if fields is None else fields}
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


def managers_of(obj: Object | None) -> list[Manager]:
    entries = (obj or {}).get("metadata", {}).get("managedFields") or ()
    return [
        Manager(
            entry.get("manager", ""),
            entry.get("operation", UPDATE),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
            entry.get("time", ""),
            _read(entry.get("fieldsV1") or {}),
        )
        for entry in entries
    ]


def write_managers(obj: Object, managers: list[Manager]) -> None:
    kept = [manager for manager in managers if manager.paths]
    kept.sort(key=lambda m: (m.operation, m.time, m.name, m.version, m.subresource))
    metadata = obj["metadata"]
    if kept:
        metadata["managedFields"] = [manager.describe() for manager in kept]
    else:
        metadata.pop("managedFields", None)


def _empty(resource: Resource) -> Object:
    """A new object as Go makes it: its parts are there before anyone sets something."""
    skeleton: Object = {"metadata": {}}
    for part in ("spec", "status"):
        if part in schema.type_of(resource.definition).fields:
            skeleton[part] = {}
    if resource.storage == "pods":
        skeleton["spec"] = {"containers": []}
    return skeleton


def track_update(
    store: Store, resource: Resource, subresource: str, old: Object | None, new: Object, manager: str
) -> None:
    """Write managedFields of `new` after a create, update or patch by `manager`; no change: they stay."""
    type_ = schema.type_of(resource.definition)
    mine = Manager(manager, UPDATE, resource.group_version, subresource, timestamp(store.clock()), frozenset())
    if old is None:
        fields = created_fields(_empty(resource), new, type_)
        if fields:
            new["metadata"]["managedFields"] = [mine.describe(msgspec.Raw(encode(fields)))]
        return
    changed, removed = compare(old, new, type_)
    if not changed and not removed:
        return
    rest: list[Manager] = []
    for entry in managers_of(old):
        if entry.same_as(mine):
            mine = replace(mine, paths=entry.paths)
        else:
            rest.append(replace(entry, paths=entry.paths - changed - removed))
    mine = replace(mine, paths=(mine.paths | changed) - removed)
    write_managers(new, [*rest, mine])
