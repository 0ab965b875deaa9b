"""Paths that are no resources: discovery, version, health, OpenAPI."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from devstack.cluster import openapi
from devstack.cluster.calls import Api, Reply
from devstack.cluster.errors import method_not_allowed, no_such_resource
from devstack.cluster.objects import Object, encode
from devstack.cluster.options import Query
from devstack.cluster.requestinfo import RequestInfo
from devstack.cluster.resources import GROUPS, RESOURCES, Resource, Subresource

PLAIN = "text/plain; charset=utf-8"
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION: Object = {
    "major": "1",
    "minor": "34",
    "emulationMajor": "1",
    "emulationMinor": "34",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "33",
    "gitVersion": "v1.34.9+devstack",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
_HEALTH = ("healthz", "livez", "readyz")
_CHECKS = ("ping", "log", "etcd")


def page_not_found() -> Reply:
    return Reply(404, b"404 page not found\n", PLAIN)


def unknown(info: RequestInfo) -> Reply:
    """The answer for a resource the server does not have.  Raises ApiError 404."""
    if info.group and not any(group == info.group for group, _ in GROUPS):
        return page_not_found()
    raise no_such_resource()


def answer(api: Api, method: str, path: str, accept: str | None, query: Query) -> Reply:
    """The answer to a path that is no resource."""
    parts = path.strip("/").split("/")
    reply = _find(parts, accept, query)
    if reply is not None and method != "GET":
        raise method_not_allowed()
    return reply or page_not_found()


def _find(parts: list[str], accept: str | None, query: Query) -> Reply | None:
    head = parts[0]
    if head == "":
        return _json({"paths": _paths()})
    if head in _HEALTH:
        return _health(parts, query)
    if head == "version" and len(parts) == 1:
        return _json(VERSION)
    if head == "openapi":
        return openapi.answer(parts[1:], accept)
    if head == "metrics" and len(parts) == 1:
        return Reply(200, b"", "text/plain; version=0.0.4; charset=utf-8")
    if head == "api":
        return _core(parts, accept)
    if head == "apis":
        return _groups(parts, accept)
    return None


def _json(value: Any) -> Reply:
    return Reply(200, encode(value))


def _paths() -> list[str]:
    found = ["/api", "/api/v1", "/apis", "/metrics", "/openapi/v2", "/openapi/v3", "/version"]
    found += [f"/{name}" for name in _HEALTH]
    for group, version in GROUPS:
        found += [f"/apis/{group}", f"/apis/{group}/{version}"]
    return sorted(set(found))


def _health(parts: list[str], query: Query) -> Reply | None:
    if len(parts) > 2 or (len(parts) == 2 and parts[1] not in _CHECKS):
        return None
    if "verbose" in query:
        lines = [f"[+]{check} ok\n" for check in _CHECKS] + [f"{parts[0]} check passed\n"]
        return Reply(200, "".join(lines).encode(), PLAIN)
    return Reply(200, b"ok", PLAIN)


def _aggregated(accept: str | None) -> bool:
    """Whether the client prefers the aggregated form, version v2."""
    for clause in (accept or "").split(","):
        options = {part.strip() for part in clause.split(";")}
        if {"as=APIGroupDiscoveryList", "g=apidiscovery.k8s.io"} <= options:
            if "v=v2" in options:
                return True
        elif "application/json" in options or "*/*" in options:
            return False
    return False


def _core(parts: list[str], accept: str | None) -> Reply | None:
    if len(parts) == 1:
        if _aggregated(accept):
            return _discovery_list([("", ["v1"])])
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}]
        return _json({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses})
    if len(parts) == 2:
        return _resource_list("", parts[1])
    raise no_such_resource()


def _groups(parts: list[str], accept: str | None) -> Reply | None:
    names = list(dict.fromkeys(group for group, _ in GROUPS))
    if len(parts) == 1:
        if _aggregated(accept):
            return _discovery_list([(name, _versions(name)) for name in names])
        return _json({"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in names]})
    if parts[1] not in names:
        return None
    if len(parts) == 2:
        return _json({"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])})
    return _resource_list(parts[1], parts[2])


def _versions(group: str) -> list[str]:
    return [version for name, version in GROUPS if name == group]


def _group(name: str) -> Object:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in _versions(name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _of(group: str, version: str) -> list[Resource]:
    return sorted((r for r in RESOURCES if (r.group, r.version) == (group, version)), key=lambda r: r.plural)


def _resource_list(group: str, version: str) -> Reply:
    found = _of(group, version)
    if not found:
        raise no_such_resource()
    entries: list[Object] = []
    for resource in found:
        entries.append(_entry(resource))
        entries.extend(_part_entry(resource, name, part) for name, part in resource.subresources.items())
    head: Object = {"kind": "APIResourceList"}
    if group:
        head["apiVersion"] = "v1"
    return _json({**head, "groupVersion": found[0].group_version, "resources": entries})


def _entry(resource: Resource) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "list" in resource.verbs:
        digest = hashlib.sha256(_stored_as(resource).encode()).digest()[:8]
        entry["storageVersionHash"] = base64.b64encode(digest).decode()
    return entry


def _stored_as(resource: Resource) -> str:
    """group/version/kind of what is stored, of which the hash is made."""
    if resource.plural == "events":
        return "/v1/Event"
    version = "v1beta1" if resource.plural == "volumeattributesclasses" else resource.version
    return f"{resource.group}/{version}/{resource.kind}"


def _part_entry(resource: Resource, name: str, part: Subresource) -> Object:
    entry: Object = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    if part.version:
        entry |= {"group": part.group, "version": part.version}
    return entry | {"kind": part.kind, "verbs": list(part.verbs)}


def _discovery_list(groups: list[tuple[str, list[str]]]) -> Reply:
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {
                    "version": version,
                    "resources": [_discovered(resource) for resource in _of(name, version)],
                    "freshness": "Current",
                }
                for version in versions
            ],
        }
        for name, versions in groups
    ]
    body = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }
    return Reply(200, encode(body), _AGGREGATED)


def _discovered(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {
                "subresource": name,
                "responseKind": {"group": part.group, "version": part.version, "kind": part.kind},
                "verbs": list(part.verbs),
            }
            for name, part in resource.subresources.items()
        ]
    return entry
