"""The scheduler: finds a node for each new pod, or says honestly why there is none."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from devstack.cluster.node.demand import pod_requests
from devstack.cluster.node.host import Host
from devstack.cluster.objects import Object, copy_json, timestamp
from devstack.cluster.quantity import value_of
from devstack.cluster.store import MissingError, Subscription

NO_CLAIMS = "no new claims to deallocate"
BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")
DEFAULT_SCHEDULER = "default-scheduler"


class UnschedulableError(Exception):
    """No node takes the pod; the text is that of its PodScheduled condition."""


class Scheduler:
    """Places pods; keeps account of what each node has promised. Pods without a node are tried again on changes."""

    def __init__(self, host: Host, provision: Callable[[Object, str], None]) -> None:
        self._host = host
        self._provision = provision
        self._promised: dict[str, dict[str, Decimal]] = {}
        self._placed: dict[str, tuple[str, dict[str, Decimal]]] = {}
        self._waiting: dict[str, tuple[str, str]] = {}
        self._retry: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Try the waiting pods again when a node, claim or volume changes; until cancelled."""
        subscriptions = [self._host.store.subscribe(kind) for kind in ("nodes", "persistentvolumeclaims")]

        async def one(subscription: Subscription) -> None:
            async for _ in subscription:
                self.retry_soon()

        try:
            async with asyncio.TaskGroup() as group:
                for subscription in subscriptions:
                    group.create_task(one(subscription))
        finally:
            for subscription in subscriptions:
                subscription.close()

    # -- account -------------------------------------------------------------------------------------------------
    def account(self, pod: Object) -> None:
        """The pod has a node: its requests are promised there."""
        uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
        self._waiting.pop(uid, None)
        if uid in self._placed:
            return
        requests = {**pod_requests(pod["spec"]), "pods": Decimal(1)}
        self._placed[uid] = (node, requests)
        promised = self._promised.setdefault(node, {})
        for name, value in requests.items():
            promised[name] = promised.get(name, Decimal(0)) + value

    def release(self, uid: str) -> None:
        """The pod has ended or is gone."""
        self._waiting.pop(uid, None)
        placed = self._placed.pop(uid, None)
        if placed is None:
            return
        promised = self._promised[placed[0]]
        for name, value in placed[1].items():
            promised[name] -= value
        self.retry_soon()

    # -- placing -------------------------------------------------------------------------------------------------
    def consider(self, pod: Object) -> None:
        """A pod without a node has come or changed."""
        spec, metadata = pod["spec"], pod["metadata"]
        if spec.get("nodeName") or metadata.get("deletionTimestamp"):
            return
        if spec.get("schedulerName", DEFAULT_SCHEDULER) != DEFAULT_SCHEDULER or spec.get("schedulingGates"):
            return
        delay = self._host.options.delays.schedule
        if delay and metadata["uid"] not in self._waiting:
            task = asyncio.get_running_loop().create_task(self._later(delay, metadata["namespace"], metadata["name"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._place(pod)

    async def _later(self, delay: float, namespace: str, name: str) -> None:
        await asyncio.sleep(delay)
        pod = self._host.store.get("pods", namespace, name)
        if pod is not None and not pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp"):
            self._place(pod)

    def retry_soon(self) -> None:
        """Something changed that may help a waiting pod."""
        if self._waiting and self._retry is None:
            self._retry = asyncio.get_running_loop().call_soon(self._retry_all)

    def _retry_all(self) -> None:
        self._retry = None
        for uid, (namespace, name) in list(self._waiting.items()):
            pod = self._host.store.get("pods", namespace, name)
            if pod is None or pod["metadata"]["uid"] != uid:
                self._waiting.pop(uid, None)
            elif not pod["spec"].get("nodeName"):
                self._place(pod)

    def close(self) -> None:
        """Place nothing any more."""
        if self._retry is not None:
            self._retry.cancel()
        for task in self._tasks:
            task.cancel()

    def _place(self, pod: Object) -> None:
        metadata = pod["metadata"]
        try:
            node = self._choose(pod)
        except UnschedulableError as error:
            self._waiting[metadata["uid"]] = (metadata["namespace"], metadata["name"])
            self._refuse(pod, str(error))
            return
        for claim in self._unbound_claims(pod):
            self._provision(claim, node)
        item = self._host.store.item("pods", metadata["namespace"], metadata["name"])
        if item is None or item.obj["metadata"]["uid"] != metadata["uid"]:
            return
        status = copy_json(item.obj.get("status") or {})
        bound = {**item.obj, "metadata": dict(item.obj["metadata"]), "status": status}
        bound["spec"] = {**item.obj["spec"], "nodeName": node}
        set_scheduled(bound, {"status": "True"}, timestamp(self._host.store.clock()))
        bound = self._host.store.replace("pods", item, bound)
        self.account(bound)
        name = f"{metadata['namespace']}/{metadata['name']}"
        message = f"Successfully assigned {name} to {node}"
        self._host.events.scheduler(bound, "Normal", "Scheduled", "Binding", message)

    def _refuse(self, pod: Object, message: str) -> None:
        metadata = pod["metadata"]
        now = timestamp(self._host.store.clock())
        condition = {"status": "False", "reason": "Unschedulable", "message": message}
        try:
            self._host.store.update(
                "pods", metadata["namespace"], metadata["name"], lambda obj: set_scheduled(obj, condition, now)
            )
        except MissingError:
            return
        self._host.events.scheduler(pod, "Warning", "FailedScheduling", "Scheduling", message)

    def _choose(self, pod: Object) -> str:
        """The fitting node with most room. Raises UnschedulableError."""
        nodes = self._host.store.list("nodes")
        total = len(nodes)
        if self._host.behaviours.behaviour_of(pod).unschedulable:
            raise UnschedulableError(_explain(total, Counter({"Insufficient cpu": total})))
        self._check_claims(pod, total)
        requests = {**pod_requests(pod["spec"]), "pods": Decimal(1)}
        reasons: Counter[str] = Counter()
        fitting: list[tuple[tuple[int, Decimal], str]] = []
        for node in nodes:
            found = list(self._objections(pod, node, requests))
            reasons.update(found)
            if not found:
                name = node["metadata"]["name"]
                room = self._room(node, "cpu") / max(
                    value_of(node["status"]["allocatable"].get("cpu", "1")), Decimal(1)
                )
                fitting.append(((_preference(pod, node), room), name))
        if not fitting:
            raise UnschedulableError(_explain(total, reasons))
        best = max(rank for rank, _ in fitting)
        return min(name for rank, name in fitting if rank == best)

    def _room(self, node: Object, resource: str) -> Decimal:
        allocatable = value_of(node["status"]["allocatable"].get(resource, "0"))
        return allocatable - self._promised.get(node["metadata"]["name"], {}).get(resource, Decimal(0))

    def _objections(self, pod: Object, node: Object, requests: dict[str, Decimal]) -> Iterable[str]:
        """Why this node does not take the pod: the first failing check speaks, resources speak together."""
        spec = pod["spec"]
        if node["spec"].get("unschedulable"):
            return ["node(s) were unschedulable"]
        for taint in node["spec"].get("taints") or ():
            if taint["effect"] in BLOCKING_EFFECTS and not tolerates(spec.get("tolerations") or (), taint):
                return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"]
        if not _ready(node):
            return ["node(s) were not ready"]
        if not matches_node(spec, node):
            return ["node(s) didn't match Pod's node affinity/selector"]
        short = []
        for name, value in requests.items():
            if value > self._room(node, name):
                short.append("Too many pods" if name == "pods" else f"Insufficient {name}")
        return short

    def _check_claims(self, pod: Object, total: int) -> None:
        for volume in pod["spec"].get("volumes") or ():
            source = volume.get("persistentVolumeClaim")
            if source is None:
                continue
            claim = self._host.store.get("persistentvolumeclaims", pod["metadata"]["namespace"], source["claimName"])
            what = f'persistentvolumeclaim "{source["claimName"]}"'
            prefix = f"0/{total} nodes are available: "
            if claim is None:
                raise UnschedulableError(f"{prefix}{what} not found. not found")
            if claim["metadata"].get("deletionTimestamp"):
                raise UnschedulableError(f"{prefix}{what} is being deleted. not found")
            if not claim["spec"].get("volumeName") and not self._waits_for_consumer(claim):
                raise UnschedulableError(f"{prefix}pod has unbound immediate PersistentVolumeClaims. not found")

    def _unbound_claims(self, pod: Object) -> list[Object]:
        found = []
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            claim = name and self._host.store.get("persistentvolumeclaims", pod["metadata"]["namespace"], name)
            if claim and not claim["spec"].get("volumeName"):
                found.append(claim)
        return found

    def _waits_for_consumer(self, claim: Object) -> bool:
        name = claim["spec"].get("storageClassName")
        storage_class = self._host.store.get("storageclasses", None, name) if name else None
        return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def set_scheduled(pod: Object, condition: Object, now: str) -> None:
    """Put the PodScheduled condition into a pod's status."""
    status = pod.setdefault("status", {})
    conditions = status.setdefault("conditions", [])
    before = next((entry for entry in conditions if entry["type"] == "PodScheduled"), None)
    entry = {
        "type": "PodScheduled",
        "observedGeneration": pod["metadata"].get("generation", 1),
        "lastProbeTime": None,
        "lastTransitionTime": now,
        **condition,
    }
    if before is None:
        conditions.append(entry)
        return
    if before["status"] == entry["status"]:
        entry["lastTransitionTime"] = before["lastTransitionTime"]
        if before.get("message") == entry.get("message"):
            return
    conditions[conditions.index(before)] = entry


def tolerates(tolerations: Iterable[Object], taint: Object) -> bool:
    """Whether one of the tolerations covers the taint."""
    for toleration in tolerations:
        if toleration.get("effect") and toleration["effect"] != taint["effect"]:
            continue
        if toleration.get("key") and toleration["key"] != taint["key"]:
            continue
        if toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def matches_node(spec: Object, node: Object) -> bool:
    """nodeSelector and required node affinity."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(_matches_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _matches_term(term: Object, node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    expressions = term.get("matchExpressions") or []
    fields = term.get("matchFields") or []
    if not expressions and not fields:
        return False
    names = {"metadata.name": node["metadata"]["name"]}
    return all(_matches(entry, labels) for entry in expressions) and all(_matches(entry, names) for entry in fields)


def _matches(expression: Object, labels: dict[str, str]) -> bool:
    value = labels.get(expression["key"])
    values: list[Any] = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            try:
                number, bound = int(value or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return number > bound if expression["operator"] == "Gt" else number < bound
    return False


def _preference(pod: Object, node: Object) -> int:
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(term["weight"] for term in terms if _matches_term(term["preference"], node))


def _ready(node: Object) -> bool:
    for condition in node["status"].get("conditions") or ():
        if condition["type"] == "Ready":
            return bool(condition["status"] == "True")
    return False


def _explain(total: int, reasons: Counter[str]) -> str:
    """The scheduler's sentence: reasons with their numbers of nodes, then what preemption could do (nothing)."""
    if not total:
        return "no nodes available to schedule pods"
    parts = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    helpless = not any(reason.startswith(("Insufficient", "Too many")) for reason in reasons)
    why = "Preemption is not helpful for scheduling" if helpless else "No preemption victims found for incoming pod"
    available = f"0/{total} nodes are available"
    return f"{available}: {parts}. {NO_CLAIMS}, preemption: {available}: {total} {why}."
