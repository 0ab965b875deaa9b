"""Subresources of pods that write: status, ephemeralcontainers and resize (as updates), binding, eviction."""

from __future__ import annotations

from devstack.cluster import negotiation, options
from devstack.cluster.calls import Api, Call, Reply, value_reply
from devstack.cluster.deletion import DeleteOptions, delete
from devstack.cluster.errors import bad_request, conflict, not_found
from devstack.cluster.objects import Object, timestamp

_CREATED: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _read(call: Call, kind: str) -> Object:
    document, _ = negotiation.read_object(call.body, call.content_type, kind)
    return document or {}


def bind(api: Api, call: Call) -> Reply:
    """POST of a Binding: the pod gets its node."""
    wanted = options.write_options(call.query, "CreateOptions")
    binding = _read(call, "Binding")
    info = call.info
    name = info.name or (binding.get("metadata") or {}).get("name", "")
    item = api.store.item("pods", info.namespace, name)
    if item is None:
        raise not_found("pods", "", name)
    node = (binding.get("target") or {}).get("name", "")
    present = item.obj["spec"].get("nodeName")
    if present:
        raise conflict("pods/binding", "", name, f'pod {name} is already assigned to node "{present}"')
    if not wanted.dry_run:
        assign(api, info.namespace, name, node)
    return value_reply(call, _CREATED, 201)


def assign(api: Api, namespace: str, name: str, node: str) -> None:
    """Give a pod its node and the PodScheduled condition."""
    now = timestamp(api.store.clock())

    def mutate(pod: Object) -> None:
        pod["spec"]["nodeName"] = node
        conditions = pod["status"].setdefault("conditions", [])
        conditions[:] = [c for c in conditions if c["type"] != "PodScheduled"]
        conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now})

    api.store.update("pods", namespace, name, mutate)


def evict(api: Api, call: Call) -> Reply:
    """POST of an Eviction: a deletion that a PodDisruptionBudget may refuse."""
    wanted = options.write_options(call.query, "CreateOptions")
    body, info = _read(call, "Eviction"), call.info
    if (body.get("metadata") or {}).get("name", info.name) != info.name:
        raise bad_request("name in URL does not match name in Eviction object")
    item = api.store.item("pods", info.namespace, info.name)
    if item is None:
        raise not_found("pods", "", info.name)
    deletion = body.get("deleteOptions") or {}
    dry = wanted.dry_run or bool(deletion.get("dryRun"))
    delete(api.store, "pods", item, DeleteOptions(grace_s=deletion.get("gracePeriodSeconds"), dry_run=dry))
    return value_reply(call, _CREATED, 201)
