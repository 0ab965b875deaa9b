"""Events as scheduler, kubelet and controllers write them."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Any

from devstack.cluster.objects import Object, micro_timestamp, timestamp
from devstack.cluster.store import AlreadyExistsError, MissingError, Store

MAX_MESSAGE = 1024
MAX_NAME = 253 - 17
AGGREGATED = 4096


class EventRecorder:
    """Writes Events; the same one again counts up. At most `kept` stay in the store, the oldest goes first."""

    def __init__(self, store: Store, kept: int) -> None:
        self._store = store
        self._kept = kept
        self._names: deque[tuple[str, str]] = deque()
        self._recent: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()
        self._serial = time.time_ns()

    def kubelet(self, pod: Object, node: str, type_: str, reason: str, message: str, field_path: str = "") -> None:
        """An Event of the kubelet about a pod, or about one of its containers (`field_path`)."""
        self._record("Pod", pod, "kubelet", node, type_, reason, message, field_path)

    def controller(self, kind: str, obj: Object, component: str, type_: str, reason: str, message: str) -> None:
        """An Event of a controller about any object."""
        self._record(kind, obj, component, "", type_, reason, message, "")

    def scheduler(self, pod: Object, type_: str, reason: str, action: str, message: str) -> None:
        """An Event of the scheduler, which uses the newer form (eventTime, action)."""
        reference = self._reference("Pod", pod, "")
        key = (pod["metadata"]["uid"], "", reason, message)
        if reason == "FailedScheduling" and self._count(key):
            return
        namespace = pod["metadata"]["namespace"]
        name = self._name(pod["metadata"]["name"])
        event = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": reference,
            "reason": reason,
            "message": message[:MAX_MESSAGE],
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "type": type_,
            "eventTime": micro_timestamp(self._store.clock()),
            "action": action,
            "reportingComponent": "default-scheduler",
            "reportingInstance": "default-scheduler-devstack",
        }
        self._create(event, key)

    def _record(
        self,
        kind: str,
        obj: Object,
        component: str,
        host: str,
        type_: str,
        reason: str,
        message: str,
        field_path: str,
    ) -> None:
        key = (obj["metadata"]["uid"], field_path, reason, message)
        if self._count(key):
            return
        now = timestamp(self._store.clock())
        event: Object = {
            "metadata": {
                "name": self._name(obj["metadata"]["name"]),
                "namespace": obj["metadata"].get("namespace") or "default",
            },
            "involvedObject": self._reference(kind, obj, field_path),
            "reason": reason,
            "message": message[:MAX_MESSAGE],
            "source": {"component": component, **({"host": host} if host else {})},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": type_,
            "eventTime": None,
            "reportingComponent": component,
            "reportingInstance": host,
        }
        self._create(event, key)

    def _reference(self, kind: str, obj: Object, field_path: str) -> dict[str, Any]:
        metadata = obj["metadata"]
        reference = {
            "kind": kind,
            "namespace": metadata.get("namespace"),
            "name": metadata["name"],
            "uid": metadata["uid"],
            "apiVersion": "v1",
            "resourceVersion": metadata["resourceVersion"],
            "fieldPath": field_path,
        }
        return {name: value for name, value in reference.items() if value}

    def _name(self, base: str) -> str:
        self._serial += 1
        return f"{base[:MAX_NAME]}.{self._serial:x}"

    def _count(self, key: tuple[str, ...]) -> bool:
        """Count the same Event up, if it is still there."""
        where = self._recent.get(key)
        if where is None:
            return False
        now = self._store.clock()

        def again(event: Object) -> None:
            if event.get("eventTime") is None:
                event["count"] = event.get("count", 1) + 1
                event["lastTimestamp"] = timestamp(now)
            else:
                seen = event.get("series", {}).get("count", 1)
                event["series"] = {"count": seen + 1, "lastObservedTime": micro_timestamp(now)}

        try:
            self._store.update("events", where[0], where[1], again)
        except MissingError:
            del self._recent[key]
            return False
        return True

    def _create(self, event: Object, key: tuple[str, ...]) -> None:
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        space = self._store.get("namespaces", None, namespace)
        if space is None or space["metadata"].get("deletionTimestamp"):
            return  # nothing can be made in a namespace that goes
        try:
            self._store.create("events", event)
        except AlreadyExistsError:
            return
        self._recent[key] = (namespace, name)
        if len(self._recent) > AGGREGATED:
            self._recent.popitem(last=False)
        self._names.append((namespace, name))
        while len(self._names) > self._kept:
            self._store.remove("events", *self._names.popleft())
