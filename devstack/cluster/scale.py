"""The scale subresource of workloads."""

from __future__ import annotations

from collections.abc import Callable

from devstack.cluster import negotiation, options
from devstack.cluster.calls import Api, Call, Reply, value_reply
from devstack.cluster.errors import conflict, invalid, invalid_object, not_found
from devstack.cluster.jsontext import read_json
from devstack.cluster.objects import Object
from devstack.cluster.patching import MERGE_PATCH, STRATEGIC_PATCH, json_patch, merge_patch
from devstack.cluster.store import Item


def _item(api: Api, call: Call) -> Item:
    item = api.store.item(call.resource.storage, call.info.namespace, call.info.name)
    if item is None:
        raise not_found(call.info.resource, call.info.group, call.info.name)
    return item


def _scale_of(obj: Object) -> Object:
    metadata, spec = obj["metadata"], obj["spec"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    selector = ",".join(f"{k}={v}" for k, v in sorted(((spec.get("selector") or {}).get("matchLabels") or {}).items()))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": spec.get("replicas", 1)},
        "status": {"replicas": (obj.get("status") or {}).get("replicas", 0), "selector": selector},
    }


def get(api: Api, call: Call) -> Reply:
    return value_reply(call, _scale_of(_item(api, call).obj))


def update(api: Api, call: Call) -> Reply:
    item = _item(api, call)
    document, _ = negotiation.read_object(call.body, call.content_type, "Scale")
    return _store(api, call, item, document or {})


def patch(api: Api, call: Call) -> Reply:
    item = _item(api, call)
    current, document = _scale_of(item.obj), read_json(call.body)
    if negotiation.media_type(call.content_type) in (MERGE_PATCH, STRATEGIC_PATCH):
        return _store(api, call, item, merge_patch(current, document))
    return _store(api, call, item, json_patch(current, document))


def _store(api: Api, call: Call, item: Item, scale: Object) -> Reply:
    wanted = options.write_options(call.query, "UpdateOptions")
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version and version != item.obj["metadata"]["resourceVersion"]:
        raise conflict(call.info.resource, call.info.group, call.info.name)
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        fault = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid_object("Scale", "autoscaling", call.info.name, [fault])
    if wanted.dry_run:
        return value_reply(call, _scale_of({**item.obj, "spec": {**item.obj["spec"], "replicas": replicas}}))

    def mutate(obj: Object) -> None:
        obj["spec"]["replicas"] = replicas

    return value_reply(call, _scale_of(api.store.update(call.resource.storage, item.namespace, item.name, mutate)))


HANDLERS: dict[str, Callable[[Api, Call], Reply]] = {"get": get, "update": update, "patch": patch}
