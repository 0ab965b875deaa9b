"""OpenAPI v2 and v3 documents, made from the schemas the validation uses.

They hold what clients need of them: every definition with its types and x-kubernetes- extensions, and for each
resource the paths with their actions, so that kubectl validates, explains, diffs and applies.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from devstack.cluster import schema
from devstack.cluster.calls import Reply
from devstack.cluster.errors import ApiError
from devstack.cluster.objects import Object, encode
from devstack.cluster.resources import GROUPS, RESOURCES, Resource

_INFO = {"title": "Kubernetes", "version": "1.34"}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2"
_VERBS = {"create": "post", "get": "get", "list": "get", "update": "put", "patch": "patch", "delete": "delete"}
_ACTIONS = {"create": "post", "update": "put"}
# Refs that become plain types: nobody resolves them.
_QUERY = ("dryRun", "fieldManager", "fieldValidation")


def answer(parts: list[str], accept: str | None) -> Reply | None:
    """The answer to /openapi/...; None: no such page.  Raises ApiError 406."""
    if parts == ["v2"]:
        if accept and _PROTOBUF_V2 in accept and "application/json" not in accept and "*/*" not in accept:
            raise ApiError(406, "NotAcceptable", "only application/json is acceptable", {})
        return Reply(200, _v2())
    if parts == ["v3"]:
        return Reply(200, _index(), "text/plain; charset=utf-8")
    if parts[:1] == ["v3"]:
        body = _v3("/".join(parts[1:]))
        return Reply(200, body) if body is not None else Reply(404, b"", "")
    return None


def _plain(value: Any, prefix: str, *, v3: bool) -> Any:
    """A JSON schema of the package in the form of an OpenAPI document."""
    if isinstance(value, list):
        return [_plain(item, prefix, v3=v3) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        target = prefix + reference.rsplit("/", 1)[1]
        rest = {key: _plain(item, prefix, v3=v3) for key, item in value.items() if key != "$ref"}
        if v3 and rest:
            return {**rest, "default": {}, "allOf": [{"$ref": target}]}
        return {**rest, "$ref": target}
    result: Object = {}
    for key, item in value.items():
        if key == "properties" and isinstance(item, dict):
            result[key] = {name: _plain(part, prefix, v3=v3) for name, part in item.items()}
        elif key == "type" and isinstance(item, list):
            result[key] = next(kind for kind in item if kind != "null")
        elif key in ("enum", "additionalProperties") and (key == "enum" or item is False):
            continue
        else:
            result[key] = _plain(item, prefix, v3=v3)
    return result


def _definition(name: str, prefix: str, *, v3: bool) -> Object:
    if name.endswith(".Quantity"):
        return {"type": "string"} if not v3 else {"oneOf": [{"type": "string"}, {"type": "number"}]}
    if name.endswith(".IntOrString"):
        text: Object = {"type": "string", "format": "int-or-string"}
        return text if not v3 else {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"}
    plain: Object = _plain(schema.definitions()[name], prefix, v3=v3)
    return plain


def _gvk(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _base(resource: Resource) -> str:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    return f"{root}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"{root}/{resource.plural}"


def _operation_id(verb: str, resource: Resource) -> str:
    group = (resource.group.split(".")[0] or "core").capitalize()
    version = resource.version.capitalize()
    scope = "Namespaced" if resource.namespaced else ""
    word = {"get": "read", "update": "replace", "deletecollection": "deleteCollection"}.get(verb, verb)
    return f"{word}{group}{version}{scope}{resource.kind}"


def _parameters(*, v3: bool) -> list[Object]:
    if v3:
        return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _QUERY]
    return [{"name": name, "in": "query", "type": "string"} for name in _QUERY]


def _operation(verb: str, resource: Resource, prefix: str, *, v3: bool) -> Object:
    reference: Object = {"$ref": prefix + resource.definition}
    operation: Object = {
        "operationId": _operation_id(verb, resource),
        "tags": [(resource.group.split(".")[0] or "core") + "_" + resource.version],
        "x-kubernetes-action": _ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    content = {"content": {"application/json": {"schema": reference}}} if v3 else {"schema": reference}
    operation["responses"] = {"200": {"description": "OK", **content}}
    if verb in ("create", "update", "patch"):
        operation["parameters"] = _parameters(v3=v3)
    if verb in ("create", "update"):
        if v3:
            operation["requestBody"] = {"content": {"*/*": {"schema": reference}}, "required": True}
        else:
            operation["parameters"].append({"name": "body", "in": "body", "required": True, "schema": reference})
    return operation


def _paths(resources: list[Resource], prefix: str, *, v3: bool) -> Object:
    paths: Object = {}
    for resource in resources:
        collection: Object = {}
        single: Object = {}
        for verb, method in _VERBS.items():
            if verb in resource.verbs:
                at = collection if verb in ("create", "list") else single
                at[method] = _operation(verb, resource, prefix, v3=v3)
        base = _base(resource)
        if collection:
            paths[base] = collection
        if single:
            paths[f"{base}/{{name}}"] = single
    return paths


@functools.cache
def _v2() -> bytes:
    prefix = "#/definitions/"
    definitions = {name: _definition(name, prefix, v3=False) for name in schema.definitions()}
    document = {
        "swagger": "2.0",
        "info": _INFO,
        "paths": _paths(list(RESOURCES), prefix, v3=False),
        "definitions": definitions,
    }
    return encode(document)


def _documents() -> dict[str, tuple[str, str]]:
    found = {"api/v1": ("", "v1")}
    found |= {f"apis/{group}/{version}": (group, version) for group, version in GROUPS}
    return found


@functools.cache
def _index() -> bytes:
    paths: Object = {}
    for name in ["api", "apis", "version", *_documents()]:
        digest = hashlib.sha256(f"{schema.VERSION}/{name}".encode()).hexdigest().upper()
        paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
    return encode({"paths": paths})


@functools.cache
def _v3(name: str) -> bytes | None:
    if name in ("api", "apis", "version"):
        return encode({"openapi": "3.0.0", "info": _INFO, "paths": {}})
    place = _documents().get(name)
    if place is None:
        return None
    prefix = "#/components/schemas/"
    resources = [r for r in RESOURCES if (r.group, r.version) == place]
    schemas: Object = {}
    pending = [r.definition for r in resources] + [f"{r.definition}List" for r in resources]
    pending += [_META + kind for kind in ("DeleteOptions", "Status", "WatchEvent", "APIResourceList")]
    while pending:
        wanted = pending.pop()
        if wanted in schemas or wanted not in schema.definitions():
            continue
        schemas[wanted] = _definition(wanted, prefix, v3=True)
        pending.extend(_references(schemas[wanted]))
    document = {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": _paths(resources, prefix, v3=True),
        "components": {"schemas": schemas},
    }
    return encode(document)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        found = [value["$ref"].rsplit("/", 1)[1]] if isinstance(value.get("$ref"), str) else []
        return found + [name for item in value.values() for name in _references(item)]
    if isinstance(value, list):
        return [name for item in value for name in _references(item)]
    return []
