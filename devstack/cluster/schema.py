"""The types of the API, compiled from the JSON schemas of Kubernetes 1.34 in the package kubernetes-validate."""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

import msgspec

from devstack.cluster.objects import Object

VERSION = "1.34.0"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    _META + "Time": "time",
    _META + "MicroTime": "microtime",
    _META + "FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
}


class Type:
    """A Go type behind a JSON value.

    `form`: object, map, array, string, integer, number, boolean, bytes, quantity, intorstring, time, microtime, any.
    `go`: its name in Go's messages.
    """

    __slots__ = ("atomic", "fields", "form", "go", "items", "name")

    def __init__(self, form: str, go: str, *, name: str = "", items: Type | None = None) -> None:
        self.form = form
        self.go = go
        self.name = name
        self.items = items
        self.atomic = False
        self.fields: dict[str, Field] = {}


class Field:
    """A field of an object; `list_type`, `map_keys`, `merge_key`, `strategy`: its x-kubernetes- extensions."""

    __slots__ = ("atomic", "description", "list_type", "map_keys", "merge_key", "name", "required", "strategy", "type")

    def __init__(self, name: str, type_: Type, schema: Object, *, required: bool) -> None:
        self.name = name
        self.type = type_
        self.required = required
        self.description: str = schema.get("description", "")
        self.list_type: str = schema.get("x-kubernetes-list-type", "")
        self.map_keys: tuple[str, ...] = tuple(schema.get("x-kubernetes-list-map-keys", ()))
        self.atomic = schema.get("x-kubernetes-map-type") == "atomic" or type_.atomic
        self.merge_key: str = schema.get("x-kubernetes-patch-merge-key", "")
        self.strategy: tuple[str, ...] = tuple(filter(None, schema.get("x-kubernetes-patch-strategy", "").split(",")))


@functools.cache
def definitions() -> dict[str, Object]:
    """Every definition by its full name."""
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}-local"
    document: Object = msgspec.json.decode((folder / "_definitions.json").read_bytes())
    found: dict[str, Object] = document["$defs"]
    return found


def _short(name: str) -> str:
    return ".".join(name.rsplit(".", 2)[1:])


@functools.cache
def type_of(name: str) -> Type:
    """The type of a definition.  Raises KeyError when there is none of this name."""
    if name in _SPECIAL:
        return Type(_SPECIAL[name], _short(name), name=name)
    schema = definitions()[name]
    if "properties" not in schema:
        return Type("any", _short(name), name=name)
    compiled = Type("object", _short(name), name=name)
    compiled.atomic = schema.get("x-kubernetes-map-type") == "atomic"
    _PENDING[name] = compiled
    try:
        needed = set(schema.get("required", ()))
        for field, part in schema["properties"].items():
            compiled.fields[field] = Field(field, _compile(part, field), part, required=field in needed)
    finally:
        del _PENDING[name]
    return compiled


# Definitions under construction: some refer to themselves (JSONSchemaProps).
_PENDING: dict[str, Type] = {}


def _compile(schema: Object, field: str) -> Type:
    reference = schema.get("$ref")
    if reference:
        name = reference.rsplit("/", 1)[1]
        return _PENDING.get(name) or type_of(name)
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else next(k for k in kinds if k != "null")
    return _compile_kind(kind, schema, field)


def _compile_kind(kind: str, schema: Object, field: str) -> Type:
    if kind == "array":
        items = _compile(schema.get("items", {}), field)
        return Type("array", "[]" + items.go, items=items)
    if kind == "object":
        extra: Any = schema.get("additionalProperties")
        if not isinstance(extra, dict):
            return Type("any", "object")
        items = _compile(extra, field)
        return Type("map", "v1.ResourceList" if items.form == "quantity" else "map[string]" + items.go, items=items)
    if kind == "string":
        return Type("bytes", "[]uint8") if schema.get("format") == "byte" else Type("string", "string")
    if kind == "integer":
        return Type("integer", str(schema.get("format", "int64")))
    if kind == "number":
        return Type("number", "float64")
    if kind == "boolean":
        return Type("boolean", "bool")
    return Type("any", kind)
