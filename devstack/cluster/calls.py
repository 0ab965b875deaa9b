"""What the handlers share: the server's parts, one request, one answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devstack.cluster import negotiation, newevents, tables
from devstack.cluster.authentication import Authenticator, User
from devstack.cluster.negotiation import Answer
from devstack.cluster.objects import Object, encode
from devstack.cluster.options import Query
from devstack.cluster.rbac import Authorizer
from devstack.cluster.requestinfo import RequestInfo
from devstack.cluster.resources import Resource
from devstack.cluster.runtime import PodRuntime
from devstack.cluster.store import Item, Store


@dataclass
class Api:
    """The parts of one cluster that the handlers use."""

    store: Store
    authenticator: Authenticator
    authorizer: Authorizer
    state_dir: Path
    runtime: PodRuntime | None = None


@dataclass
class Call:
    """One request for a resource."""

    info: RequestInfo
    resource: Resource
    user: User
    query: Query
    body: bytes
    content_type: str | None
    answer: Answer
    manager: str
    warnings: list[str] = field(default_factory=list)


@dataclass
class Reply:
    """One answer."""

    status: int
    body: bytes
    content_type: str = negotiation.JSON
    headers: dict[str, str] = field(default_factory=dict)


def typed(resource: Resource, encoded: bytes) -> bytes:
    """The JSON text of an object with its kind and apiVersion in front."""
    return b'{"kind":"%b","apiVersion":"%b",%b' % (
        resource.kind.encode(),
        resource.group_version.encode(),
        encoded[1:],
    )


def with_type(resource: Resource, obj: Object) -> Object:
    return {"kind": resource.kind, "apiVersion": resource.group_version, **obj}


def object_reply(call: Call, obj: Object | Item, status: int = 200, resource: Resource | None = None) -> Reply:
    """The object in the form the client asked for."""
    resource = resource or call.resource
    answer = call.answer
    if newevents.is_new_form(resource) and not answer.view:
        obj = newevents.to_new(obj.obj if isinstance(obj, Item) else obj)
    if answer.view == "Table":
        plain = obj.obj if isinstance(obj, Item) else obj
        return Reply(status, answer.write(tables.of_objects(resource, [plain], answer, call.query, None)), answer.media)
    if answer.view == "PartialObjectMetadata":
        plain = obj.obj if isinstance(obj, Item) else obj
        return Reply(status, answer.write(tables.partial(plain, answer.view_version)), answer.media)
    if answer.media == negotiation.JSON:
        return Reply(status, typed(resource, obj.encoded if isinstance(obj, Item) else encode(obj)))
    plain = obj.obj if isinstance(obj, Item) else obj
    return Reply(status, answer.write(with_type(resource, plain)), answer.media)


def list_reply(call: Call, items: Iterable[Item], metadata: Object) -> Reply:
    """A list in the form the client asked for."""
    resource, answer = call.resource, call.answer
    if newevents.is_new_form(resource) and not answer.view:
        items = [Item(newevents.to_new(item.obj), item.version) for item in items]
    if answer.view == "Table":
        table = tables.of_objects(resource, [item.obj for item in items], answer, call.query, metadata)
        return Reply(200, answer.write(table), answer.media)
    if answer.view == "PartialObjectMetadataList":
        listed: Object = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{answer.view_version}",
            "metadata": metadata,
            "items": [tables.partial(item.obj, answer.view_version) for item in items],
        }
        return Reply(200, answer.write(listed), answer.media)
    if answer.media != negotiation.JSON:
        whole = {
            "kind": resource.list_kind,
            "apiVersion": resource.group_version,
            "metadata": metadata,
            "items": [item.obj for item in items],
        }
        return Reply(200, answer.write(whole), answer.media)
    head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        resource.list_kind.encode(),
        resource.group_version.encode(),
        encode(metadata),
    )
    return Reply(200, head + b",".join([item.encoded for item in items]) + b"]}")


def value_reply(call: Call, value: Any, status: int = 200) -> Reply:
    return Reply(status, call.answer.write(value), call.answer.media)
