"""Persistent volumes: binding claims, provisioning, release, and the finalizers that protect what is in use."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from devstack.cluster.node.following import follow
from devstack.cluster.node.host import Host
from devstack.cluster.node.status import TERMINAL_PHASES
from devstack.cluster.objects import Object, timestamp
from devstack.cluster.quantity import value_of
from devstack.cluster.store import AlreadyExistsError, MissingError

PROVISIONER = "devstack.local/hostpath"
CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
COMPONENT = "persistentvolume-controller"
# The default class binds at once; the other waits until a pod that uses the claim is placed.
CLASSES = (("hostpath", "Immediate", True), ("hostpath-wait", "WaitForFirstConsumer", False))


def create_classes(host: Host) -> None:
    """The storage classes of the cluster; one that is there is left as it is."""
    for name, mode, default in CLASSES:
        metadata: Object = {"name": name}
        if default:
            metadata["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
        try:
            host.store.create(
                "storageclasses",
                {
                    "metadata": metadata,
                    "provisioner": PROVISIONER,
                    "reclaimPolicy": "Delete",
                    "volumeBindingMode": mode,
                },
            )
        except AlreadyExistsError:
            continue


class ClaimController:
    """Follows claims, volumes and (for protection) the end of pods."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._store = host.store
        self._pending: set[tuple[str, str]] = set()
        self._going: set[tuple[str, str]] = set()

    async def follow(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(self._store, "persistentvolumes", self._see_volume, self._volume_gone))
            group.create_task(follow(self._store, "persistentvolumeclaims", self._see_claim, self._claim_gone))
            group.create_task(follow(self._store, "pods", self._see_pod, self._pod_ended))

    def _see_pod(self, pod: Object) -> None:
        if self._going and (pod.get("status") or {}).get("phase") in TERMINAL_PHASES:
            self._pod_ended(pod)

    def _pod_ended(self, pod: Object) -> None:
        """Only the end of a pod counts, and only while a deleted claim waits for it."""
        for namespace, name in list(self._going):
            if namespace == pod["metadata"]["namespace"]:
                self._release_claim(namespace, name)

    def _volume_gone(self, volume: Object) -> None:
        if _provisioned_here(volume):
            self._host.volumes.remove_persistent(volume["metadata"]["name"])

    # -- claims --------------------------------------------------------------------------------------------------
    def _see_claim(self, claim: Object) -> None:
        metadata = claim["metadata"]
        key = (metadata["namespace"], metadata["name"])
        current = self._store.get("persistentvolumeclaims", *key)
        if current is None or current["metadata"]["uid"] != metadata["uid"]:
            return
        if current["metadata"].get("deletionTimestamp"):
            self._pending.discard(key)
            self._going.add(key)
            self._release_claim(*key)
        elif (current.get("status") or {}).get("phase") != "Bound":
            self._pending.add(key)
            self._bind(current, node="")

    def _release_claim(self, namespace: str, name: str) -> None:
        """Take the protection off a deleted claim that no pod uses."""
        for pod in self._store.list("pods", namespace):
            if (pod.get("status") or {}).get("phase") in TERMINAL_PHASES or not pod["spec"].get("nodeName"):
                continue
            for volume in pod["spec"].get("volumes") or ():
                if (volume.get("persistentVolumeClaim") or {}).get("claimName") == name:
                    return
        self._going.discard((namespace, name))
        self._take_off("persistentvolumeclaims", namespace, name, CLAIM_FINALIZER)

    def _take_off(self, kind: str, namespace: str, name: str, finalizer: str) -> None:
        def cut(obj: Object) -> None:
            rest = [entry for entry in obj["metadata"].get("finalizers") or () if entry != finalizer]
            if rest:
                obj["metadata"]["finalizers"] = rest
            else:
                obj["metadata"].pop("finalizers", None)

        try:
            self._store.update(kind, namespace, name, cut)
        except MissingError:
            return

    def provision(self, claim: Object, node: str) -> None:
        """A pod that uses the claim is about to be placed: bind it now."""
        self._bind(claim, node=node)

    def _bind(self, claim: Object, node: str) -> None:
        volume = self._find(claim)
        if volume is None:
            volume = self._make(claim, node)
        if volume is None:
            return
        metadata = claim["metadata"]
        self._pending.discard((metadata["namespace"], metadata["name"]))
        by_controller = not claim["spec"].get("volumeName")
        now = timestamp(self._store.clock())

        def take(obj: Object) -> None:
            if not (obj["spec"].get("claimRef") or {}).get("uid"):
                if "claimRef" not in obj["spec"]:
                    obj["metadata"].setdefault("annotations", {})[BOUND_BY_CONTROLLER] = "yes"
                obj["spec"]["claimRef"] = {
                    "kind": "PersistentVolumeClaim",
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "apiVersion": "v1",
                    "resourceVersion": metadata["resourceVersion"],
                }
            if obj.setdefault("status", {}).get("phase") != "Bound":
                obj["status"] = {"phase": "Bound", "lastPhaseTransitionTime": now}

        bound = self._store.update("persistentvolumes", None, volume["metadata"]["name"], take)

        def give(obj: Object) -> None:
            annotations = obj["metadata"].setdefault("annotations", {})
            annotations[BIND_COMPLETED] = "yes"
            if by_controller:
                annotations[BOUND_BY_CONTROLLER] = "yes"
            obj["spec"]["volumeName"] = bound["metadata"]["name"]
            obj["status"] = {
                "phase": "Bound",
                "accessModes": bound["spec"]["accessModes"],
                "capacity": bound["spec"]["capacity"],
            }

        self._store.update("persistentvolumeclaims", metadata["namespace"], metadata["name"], give)

    def _find(self, claim: Object) -> Object | None:
        """The smallest volume that fits, or the one the claim names."""
        named = claim["spec"].get("volumeName")
        if named:
            volume = self._store.get("persistentvolumes", None, named)
            return volume if volume is not None and _is_free_for(volume, claim) else None
        wanted = value_of(claim["spec"]["resources"]["requests"]["storage"])
        best: tuple[bool, Decimal, str] | None = None
        found: Object | None = None
        for volume in self._store.list("persistentvolumes"):
            if not _is_free_for(volume, claim) or not _fits(volume, claim, wanted):
                continue
            reserved = bool(volume["spec"].get("claimRef"))
            rank = (not reserved, _capacity(volume), volume["metadata"]["name"])
            if best is None or rank < best:
                best, found = rank, volume
        return found

    def _make(self, claim: Object, node: str) -> Object | None:
        """Provision a volume, if the claim's class is ours and does not have to wait."""
        name = claim["spec"].get("storageClassName")
        storage_class = self._store.get("storageclasses", None, name) if name else None
        if claim["spec"].get("volumeName") or claim["spec"].get("selector"):
            return None
        if storage_class is None:
            if name:
                message = f'storageclass.storage.k8s.io "{name}" not found'
                self._event(claim, "Warning", "ProvisioningFailed", message)
            else:
                message = "no persistent volumes available for this claim and no storage class is set"
                self._event(claim, "Normal", "FailedBinding", message)
            return None
        if storage_class.get("provisioner") != PROVISIONER:
            return None
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and not node:
            message = "waiting for first consumer to be created before binding"
            self._event(claim, "Normal", "WaitForFirstConsumer", message)
            return None
        uid = claim["metadata"]["uid"]
        volume = self._store.create(
            "persistentvolumes",
            {
                "metadata": {
                    "name": f"pvc-{uid}",
                    "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
                    "finalizers": [VOLUME_FINALIZER],
                },
                "spec": {
                    "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
                    "hostPath": {"path": f"/var/lib/devstack/pvc-{uid}", "type": ""},
                    "accessModes": claim["spec"]["accessModes"],
                    "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
                    "storageClassName": name,
                    "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
                },
                "status": {"phase": "Pending", "lastPhaseTransitionTime": timestamp(self._store.clock())},
            },
        )
        message = f"Successfully provisioned volume pvc-{uid}"
        self._event(claim, "Normal", "ProvisioningSucceeded", message)
        return volume

    def _event(self, claim: Object, type_: str, reason: str, message: str) -> None:
        self._host.events.controller("PersistentVolumeClaim", claim, COMPONENT, type_, reason, message)

    # -- volumes -------------------------------------------------------------------------------------------------
    def _see_volume(self, volume: Object) -> None:
        name = volume["metadata"]["name"]
        current = self._store.get("persistentvolumes", None, name)
        if current is None or current["metadata"]["uid"] != volume["metadata"]["uid"]:
            return
        phase = (current.get("status") or {}).get("phase")
        if current["metadata"].get("deletionTimestamp"):
            if phase != "Bound":
                self._take_off("persistentvolumes", "", name, VOLUME_FINALIZER)
            return
        if phase in (None, "Pending", "Released") and not (current["spec"].get("claimRef") or {}).get("uid"):
            self._set_phase(name, "Available")
        if self._pending:
            for namespace, claim_name in list(self._pending):
                claim = self._store.get("persistentvolumeclaims", namespace, claim_name)
                if claim is None:
                    self._pending.discard((namespace, claim_name))
                elif _is_free_for(current, claim):
                    self._bind(claim, node="")

    def _set_phase(self, name: str, phase: str) -> None:
        now = timestamp(self._store.clock())

        def write(obj: Object) -> None:
            obj["status"] = {"phase": phase, "lastPhaseTransitionTime": now}

        self._store.update("persistentvolumes", None, name, write)

    def _claim_gone(self, claim: Object) -> None:
        metadata = claim["metadata"]
        self._pending.discard((metadata["namespace"], metadata["name"]))
        self._going.discard((metadata["namespace"], metadata["name"]))
        name = claim["spec"].get("volumeName")
        volume = self._store.get("persistentvolumes", None, name) if name else None
        if volume is None or (volume["spec"].get("claimRef") or {}).get("uid") != metadata["uid"]:
            return
        self._set_phase(volume["metadata"]["name"], "Released")
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            self._store.remove("persistentvolumes", None, volume["metadata"]["name"])


def _provisioned_here(volume: Object) -> bool:
    return (volume["metadata"].get("annotations") or {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER


def _is_free_for(volume: Object, claim: Object) -> bool:
    if volume["metadata"].get("deletionTimestamp") or (volume.get("status") or {}).get("phase") == "Released":
        return False
    reference = volume["spec"].get("claimRef")
    if not reference:
        return True
    metadata = claim["metadata"]
    if (reference.get("namespace"), reference.get("name")) != (metadata["namespace"], metadata["name"]):
        return False
    return not reference.get("uid") or bool(reference["uid"] == metadata["uid"])


def _fits(volume: Object, claim: Object, wanted: Decimal) -> bool:
    spec, claimed = volume["spec"], claim["spec"]
    if (spec.get("storageClassName") or "") != (claimed.get("storageClassName") or ""):
        return False
    if spec.get("volumeMode", "Filesystem") != claimed.get("volumeMode", "Filesystem"):
        return False
    if not set(claimed["accessModes"]) <= set(spec["accessModes"]):
        return False
    labels = volume["metadata"].get("labels") or {}
    selector = claimed.get("selector") or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return _capacity(volume) >= wanted


def _capacity(volume: Object) -> Decimal:
    return value_of((volume["spec"].get("capacity") or {}).get("storage", "0"))
