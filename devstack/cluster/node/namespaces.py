"""Namespaces: what every one has, and how one goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from devstack.cluster.deletion import DeleteOptions, delete
from devstack.cluster.node.following import follow, ignore
from devstack.cluster.objects import Object, timestamp
from devstack.cluster.resources import RESOURCES
from devstack.cluster.store import AlreadyExistsError, Store

ROOT_CA = "kube-root-ca.crt"
ROOT_CA_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
FINALIZER = "kubernetes"
RETRY_SECONDS = (0.02, 0.5)


class NamespaceController:
    """Gives each namespace its service account and CA, empties those that are deleted."""

    def __init__(self, store: Store, ca_pem: str) -> None:
        self._store = store
        self._ca_pem = ca_pem
        self._emptying: dict[str, asyncio.Task[None]] = {}
        storages = {resource.storage: resource for resource in RESOURCES if resource.namespaced}
        self._kinds = [(kind, resource.group) for kind, resource in storages.items() if kind]

    async def follow(self) -> None:
        """Follow the namespaces until cancelled."""
        try:
            await follow(self._store, "namespaces", self._see, ignore)
        finally:
            for task in self._emptying.values():
                task.cancel()

    def _see(self, space: Object) -> None:
        name = space["metadata"]["name"]
        if space["metadata"].get("deletionTimestamp"):
            if name not in self._emptying:
                task = asyncio.get_running_loop().create_task(self._empty(name))
                self._emptying[name] = task
                task.add_done_callback(lambda _: self._emptying.pop(name, None))
            return
        self._furnish(name)

    def _furnish(self, name: str) -> None:
        config_map: Object = {
            "metadata": {
                "name": ROOT_CA,
                "namespace": name,
                "annotations": {"kubernetes.io/description": ROOT_CA_DESCRIPTION},
            },
            "data": {"ca.crt": self._ca_pem},
        }
        account: Object = {"metadata": {"name": "default", "namespace": name}}
        for kind, obj in (("configmaps", config_map), ("serviceaccounts", account)):
            with contextlib.suppress(AlreadyExistsError):
                self._store.create(kind, obj)

    async def _empty(self, name: str) -> None:
        pause, longest = RETRY_SECONDS
        while True:
            space = self._store.get("namespaces", None, name)
            if space is None:
                return
            self._delete_content(name)
            left = self._remaining(name)
            if not left:
                self._store.update("namespaces", None, name, _finalize)
                return
            self._report(name, left)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    def _delete_content(self, name: str) -> None:
        for kind, _ in self._kinds:
            for obj in self._store.list(kind, name):
                if not obj["metadata"].get("deletionTimestamp"):
                    item = self._store.item(kind, name, obj["metadata"]["name"])
                    if item is not None:
                        delete(self._store, kind, item, DeleteOptions())

    def _remaining(self, name: str) -> list[tuple[str, str, Object]]:
        return [(kind, group, obj) for kind, group in self._kinds for obj in self._store.list(kind, name)]

    def _report(self, name: str, left: list[tuple[str, str, Object]]) -> None:
        kinds = Counter(f"{kind}.{group}" for kind, group, _ in left)
        finalizers = Counter(finalizer for _, _, obj in left for finalizer in obj["metadata"].get("finalizers") or ())
        conditions = [
            (
                "NamespaceDeletionDiscoveryFailure",
                "False",
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            (
                "NamespaceDeletionGroupVersionParsingFailure",
                "False",
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            (
                "NamespaceDeletionContentFailure",
                "False",
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
            (
                "NamespaceContentRemaining",
                "True",
                "SomeResourcesRemain",
                "Some resources are remaining: " + _counts(kinds, "has {} resource instances"),
            ),
        ]
        if finalizers:
            message = "Some content in the namespace has finalizers remaining: "
            message += _counts(finalizers, "in {} resource instances")
            conditions.append(("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", message))
        else:
            message = "All content-preserving finalizers finished"
            conditions.append(("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", message))
        now = timestamp(self._store.clock())

        def write(obj: Object) -> None:
            status = obj.setdefault("status", {})
            status["phase"] = "Terminating"
            before = {entry["type"]: entry for entry in status.get("conditions") or ()}
            status["conditions"] = [
                {
                    "type": type_,
                    "status": state,
                    "lastTransitionTime": before[type_]["lastTransitionTime"]
                    if type_ in before and before[type_]["status"] == state
                    else now,
                    "reason": reason,
                    "message": text,
                }
                for type_, state, reason, text in conditions
            ]

        self._store.update("namespaces", None, name, write)


def _counts(counter: Counter[str], form: str) -> str:
    return ", ".join(f"{name} {form.format(count)}" for name, count in sorted(counter.items()))


def _finalize(space: Object) -> None:
    spec = space.setdefault("spec", {})
    spec["finalizers"] = [finalizer for finalizer in spec.get("finalizers") or () if finalizer != FINALIZER]
    if not spec["finalizers"]:
        del spec["finalizers"]
