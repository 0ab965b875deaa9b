"""Server-side apply: merge what a manager wants into the object, remove what it wants no longer, refuse conflicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from devstack.cluster import defaults, documents, jsontext, schema, writing
from devstack.cluster.calls import Api, Call, Reply, object_reply
from devstack.cluster.decoding import Decoder, DecodingError
from devstack.cluster.errors import ApiError, bad_request, server_error
from devstack.cluster.fieldsets import (
    APPLY,
    Manager,
    Path,
    applied_paths,
    compare,
    item_element,
    managers_of,
    write_managers,
)
from devstack.cluster.objects import Object, copy_json, timestamp
from devstack.cluster.options import WriteOptions
from devstack.cluster.rbac import Attributes, denied
from devstack.cluster.resources import Resource
from devstack.cluster.schema import Field, Type
from devstack.cluster.store import Item


def apply(api: Api, call: Call, wanted: WriteOptions) -> Reply:
    """PATCH with an apply configuration.  Raises ApiError 400, 409, 422 or 500."""
    config = _read(call)
    info, resource = call.info, call.resource
    item = api.store.item(resource.storage, info.namespace, info.name)
    type_ = schema.type_of(resource.definition)
    paths = frozenset(applied_paths(config, type_))
    if item is None:
        return _create(api, call, config, paths, wanted)
    mine, others = _managers(item, resource, info.subresource, wanted.manager)
    merged = _merge(item.obj, config, type_, None)
    gone = set(mine.paths - paths) - {path for other in others for path in other.paths}
    _prune(merged, gone, type_)
    changed, removed = compare(item.obj, merged, type_)
    if not wanted.force:
        _check_conflicts(others, changed)
    others = [replace(other, paths=other.paths - changed - removed) for other in others]
    new = _decoded(merged, resource)
    new["metadata"]["resourceVersion"] = (config.get("metadata") or {}).get("resourceVersion", "")
    writing.check_identity(call, {"metadata": {**new["metadata"], "name": _named(config, info.name)}})
    writing.check_version(call, item, new)
    differs = bool(changed or removed)
    time = timestamp(api.store.clock()) if differs else mine.time
    mine = replace(mine, paths=paths, time=time)

    def track(obj: Object) -> None:
        if differs or mine.paths != _managers(item, resource, info.subresource, wanted.manager)[0].paths:
            write_managers(obj, [*others, mine])

    return object_reply(call, writing.store_update(api, call, item, new, wanted, track=track))


def _named(config: Object, name: str) -> str:
    return str((config.get("metadata") or {}).get("name", name))


def _read(call: Call) -> Object:
    """The configuration.  Raises ApiError 400 or 500."""
    try:
        document = jsontext.read_yaml(call.body)
    except jsontext.JsonSyntaxError as error:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: {error}") from error
    resource = call.resource
    if not isinstance(document, dict):
        raise bad_request("error decoding YAML: a map is expected")
    version, kind = document.get("apiVersion", ""), document.get("kind", "")
    group, _, short = version.rpartition("/")
    shown = f"{group}/{short}, Kind={kind}"
    if not version or not kind:
        raise bad_request(f"invalid object type: {shown}")
    documents.check_kind(document, resource)
    if (document.get("metadata") or {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    decoder = Decoder()
    metadata = document.get("metadata") or {}
    title = f"failed to create typed patch object ({metadata.get('namespace', '')}/{metadata.get('name', '')}; {shown})"
    try:
        config = decoder.decode(document, schema.type_of(resource.definition))
    except DecodingError as error:
        raise server_error(f"{title}: {error}") from error
    if decoder.unknown:
        faults = [f".{path}: field not declared in schema" for path in decoder.unknown]
        text = faults[0] if len(faults) == 1 else "errors:\n" + "\n".join(f"  {fault}" for fault in faults)
        raise server_error(f"{title}: {text}")
    return config


def _managers(item: Item, resource: Resource, subresource: str, name: str) -> tuple[Manager, list[Manager]]:
    mine = Manager(name, APPLY, resource.group_version, subresource, "", frozenset())
    others: list[Manager] = []
    for entry in managers_of(item.obj):
        if entry.same_as(mine):
            mine = entry
        else:
            others.append(entry)
    return mine, others


def _create(api: Api, call: Call, config: Object, paths: frozenset[Path], wanted: WriteOptions) -> Reply:
    info = call.info
    if not api.authorizer.allows(call.user, Attributes("create", info.namespace, info.group, info.resource, "")):
        raise denied(call.user, replace(info, verb="create"))
    if info.subresource:
        raise ApiError(
            404, "NotFound", f'{info.resource} "{info.name}" not found', {"name": info.name, "kind": info.resource}
        )
    new = _decoded(config, call.resource)
    writing.check_identity(call, new)
    new["metadata"]["name"] = info.name
    if new["metadata"].get("resourceVersion"):
        raise ApiError(409, "Conflict", "resourceVersion is set for an object that does not exist")
    now = timestamp(api.store.clock())
    mine = Manager(wanted.manager, APPLY, call.resource.group_version, "", now, paths)
    stored = writing.create_object(api, call, new, wanted, track=lambda obj: write_managers(obj, [mine]))
    return object_reply(call, stored, 201)


def _decoded(document: Object, resource: Resource) -> Object:
    new, _ = documents.decode(document, resource)
    defaults.apply_defaults(resource.storage, new)
    return new


def _check_conflicts(others: list[Manager], changed: set[Path]) -> None:
    causes: list[Object] = []
    for other in sorted(others, key=lambda m: (m.name, m.operation)):
        title = f'conflict with "{other.name}"'
        if other.subresource:
            title += f' with subresource "{other.subresource}"'
        if other.operation != APPLY:
            title += f" using {other.version}"
        causes += [
            {"reason": "FieldManagerConflict", "message": title, "field": dotted(path)}
            for path in sorted(other.paths & changed)
        ]
    if causes:
        plural = "conflict" if len(causes) == 1 else "conflicts"
        lines = [f"{cause['message']}: {cause['field']}" for cause in causes]
        text = lines[0] if len(lines) == 1 else "conflicts:\n" + "\n".join(f"- {line}" for line in lines)
        message = f"Apply failed with {len(causes)} {plural}: {text}"
        raise ApiError(409, "Conflict", message, {"causes": causes})


def dotted(path: Path) -> str:
    """A path as conflicts show it: .spec.containers[name="c"].image."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            keys = jsontext.read_json(rest.encode())
            text += "[" + ",".join(f"{key}={jsontext_value(value)}" for key, value in keys.items()) + "]"
        else:
            text += f"[={rest}]"
    return text


def jsontext_value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


# -- merging ---------------------------------------------------------------------------------------------------------
def _merge(live: Any, config: Any, type_: Type | None, field: Field | None) -> Any:
    """The live value with the configuration merged in by the list and map types of the schema."""
    if isinstance(config, dict) and isinstance(live, dict):
        if (field and field.atomic) or (type_ and (type_.atomic or type_.form == "any")):
            return copy_json(config)
        result = dict(live)
        for name, value in config.items():
            known = type_.fields.get(name) if type_ is not None and type_.form == "object" else None
            inner = known.type if known else type_.items if type_ is not None and type_.form == "map" else None
            result[name] = _merge(live.get(name), value, inner, known) if name in live else copy_json(value)
        return result
    if isinstance(config, list) and isinstance(live, list) and field is not None and field.list_type in ("map", "set"):
        return _merge_list(live, config, field)
    return copy_json(config)


def _merge_list(live: list[Any], config: list[Any], field: Field) -> list[Any]:
    wanted = {item_element(item, field): item for item in config}
    items = field.type.items
    result = [
        _merge(item, wanted.pop(element), items, None) if element in wanted else item
        for item in live
        for element in [item_element(item, field)]
    ]
    return result + [copy_json(item) for item in wanted.values()]


def _prune(obj: Object, paths: set[Path], type_: Type) -> None:
    """Take out what nobody wants any longer, the deepest first."""
    for path in sorted(paths, key=len, reverse=True):
        _remove(obj, path, type_, None)


def _remove(value: Any, path: Path, type_: Type | None, field: Field | None) -> None:
    element, rest = path[0], path[1:]
    if isinstance(value, dict) and element.startswith("f:"):
        name = element[2:]
        if name not in value:
            return
        known = type_.fields.get(name) if type_ is not None and type_.form == "object" else None
        inner = known.type if known else type_.items if type_ is not None and type_.form == "map" else None
        if not rest:
            del value[name]
        else:
            value[name] = copy_json(value[name])
            _remove(value[name], rest, inner, known)
    elif isinstance(value, list) and field is not None:
        at = next((n for n, item in enumerate(value) if item_element(item, field) == element), None)
        if at is not None and not rest:
            del value[at]
        elif at is not None:
            _remove(value[at], rest, field.type.items, None)
