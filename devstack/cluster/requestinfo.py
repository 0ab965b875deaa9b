"""What a request asks for, read from its method and path (RequestInfo in apiserver)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
TRUE_TEXTS_OFF = ("false", "0", "")


@dataclass(frozen=True)
class RequestInfo:
    """`resource` is empty for a path that is no resource (then `verb` is the method in lower case)."""

    verb: str
    path: str
    prefix: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    extra: tuple[str, ...] = ()

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def flag(values: list[str]) -> bool:
    """A boolean query parameter as Kubernetes converts it: anything but false, 0 and nothing is true."""
    return bool(values) and values[0].lower() not in TRUE_TEXTS_OFF


def parse(method: str, raw_path: str, query: dict[str, list[str]]) -> RequestInfo:
    """Read a percent-encoded path."""
    path = unquote(raw_path)
    parts = [unquote(part) for part in raw_path.strip("/").split("/")]
    plain = RequestInfo(method.lower(), path)
    if parts[0] not in ("api", "apis") or len(parts) < (3 if parts[0] == "api" else 4) or "" in parts:
        return plain
    group, rest = ("", parts[1:]) if parts[0] == "api" else (parts[1], parts[2:])
    version, rest = rest[0], rest[1:]
    verb = _VERBS.get(method, method.lower())
    watching = False
    if rest[0] == "watch" and len(rest) > 1:
        watching, rest = True, rest[1:]
    elif rest[0] == "proxy":
        return plain
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if verb == "get" and (watching or (not name and flag(query.get("watch", [])))):
        verb = "watch"
    elif verb == "get" and not name:
        verb = "list"
    elif verb == "delete" and not name:
        verb = "deletecollection"
    return RequestInfo(verb, path, parts[0], group, version, namespace, resource, name, subresource, tuple(rest[3:]))
