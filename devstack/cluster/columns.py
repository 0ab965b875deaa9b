"""The columns kubectl shows of each kind, and how a cell is made of an object (printers/internalversion)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devstack.cluster import schema
from devstack.cluster.objects import Object, utcnow
from devstack.cluster.resources import Resource

Cell = Callable[[Object], Any]


@dataclass(frozen=True)
class Column:
    """`described_by`: "Definition.field" whose description the column has; `text`: a description of its own."""

    name: str
    cell: Cell
    described_by: str = ""
    text: str = ""
    wide: bool = False
    type: str = "string"


def describe(column: Column, resource: Resource) -> str:
    """The description of a column, from the schema where it is a field's."""
    if column.text or not column.described_by:
        return column.text
    name, _, field = column.described_by.rpartition(".")
    package = resource.definition.rpartition(".")[0]
    full = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" if name == "ObjectMeta" else f"{package}.{name}"
    fields = schema.type_of(full).fields
    return fields[field].description if field in fields else ""


def human_duration(seconds: float) -> str:
    """As kubectl writes ages: 5s, 3m20s, 2h, 4d3h, 1y10d (duration.HumanDuration)."""
    s = int(seconds)
    if s < 0:
        return "0s" if s >= -1 else "<invalid>"
    if s < 120:
        return f"{s}s"
    minutes, hours, days = s // 60, s // 3600, s // 86400
    if minutes < 10:
        return f"{minutes}m{s % 60}s" if s % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if hours < 24 * 365 * 2:
        return f"{days}d"
    years = days // 365
    if years < 8:
        return f"{years}y{days % 365}d" if days % 365 else f"{years}y"
    return f"{years}y"


def since(text: str | None) -> str:
    if not text:
        return "<unknown>"
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return human_duration((utcnow() - moment).total_seconds())


def _age(obj: Object) -> str:
    return since(obj["metadata"].get("creationTimestamp"))


def _at(path: str, default: Any = "") -> Cell:
    parts = path.split(".")

    def read(obj: Object) -> Any:
        value: Any = obj
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        return default if value is None else value

    return read


def _size(*parts: str) -> Cell:
    return lambda obj: sum(len(obj.get(part) or ()) for part in parts)


def _pairs(values: Object | None) -> str:
    return ",".join(f"{key}={values[key]}" for key in sorted(values)) if values else "<none>"


# -- pods ------------------------------------------------------------------------------------------------------------
def _pod_statuses(pod: Object) -> list[Object]:
    return list((pod.get("status") or {}).get("containerStatuses") or ())


def _pod_ready(pod: Object) -> str:
    ready = sum(1 for status in _pod_statuses(pod) if status.get("ready"))
    return f"{ready}/{len(pod['spec'].get('containers') or ())}"


def _init_reason(pod: Object) -> str | None:
    """What an init container that is not done stands at."""
    statuses = (pod.get("status") or {}).get("initContainerStatuses") or ()
    total = len(pod["spec"].get("initContainers") or ())
    for number, status in enumerate(statuses):
        state = status.get("state") or {}
        ended = state.get("terminated")
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if status.get("started") and status.get("restartPolicy") == "Always":
            continue
        if ended is not None:
            return f"Init:{_ended_reason(ended)}"
        waiting = (state.get("waiting") or {}).get("reason", "")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{number}/{total}"
    return None


def _ended_reason(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _pod_status(pod: Object) -> str:
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase", "Unknown")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    starting = _init_reason(pod)
    if starting:
        reason = starting
    else:
        running = False
        for container in reversed(_pod_statuses(pod)):
            state = container.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                reason = state["waiting"]["reason"]
            elif "terminated" in state:
                reason = _ended_reason(state["terminated"])
            elif container.get("ready") and "running" in state:
                running = True
        if reason == "Completed" and running:
            reason = "Running"
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _pod_restarts(pod: Object) -> str:
    count, last = 0, ""
    for status in _pod_statuses(pod):
        count += status.get("restartCount", 0)
        ended = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt", "")
        last = max(last, ended)
    return f"{count} ({since(last)} ago)" if count and last else str(count)


def _pod_address(pod: Object) -> str:
    return str((pod.get("status") or {}).get("podIP") or "<none>")


def _gates(pod: Object) -> str:
    gates = pod["spec"].get("readinessGates") or ()
    if not gates:
        return "<none>"
    true = {c["type"] for c in (pod.get("status") or {}).get("conditions") or () if c.get("status") == "True"}
    return f"{sum(1 for gate in gates if gate['conditionType'] in true)}/{len(gates)}"


# -- the rest --------------------------------------------------------------------------------------------------------
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(values: list[str] | None) -> str:
    return ",".join(_MODES.get(value, value) for value in values or ())


def _claim_status(claim: Object) -> str:
    if claim["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str((claim.get("status") or {}).get("phase", ""))


def _claim_held(field: str) -> Cell:
    def read(claim: Object) -> Any:
        if not claim["spec"].get("volumeName"):
            return ""
        status = claim.get("status") or {}
        return (
            _modes(status.get("accessModes")) if field == "modes" else (status.get("capacity") or {}).get("storage", "")
        )

    return read


def _volume_claim(volume: Object) -> str:
    reference = volume["spec"].get("claimRef") or {}
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


def _volume_status(volume: Object) -> str:
    if volume["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str((volume.get("status") or {}).get("phase", ""))


def _ports(service: Object) -> str:
    texts = []
    for port in service["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(texts) or "<none>"


def _node_status(node: Object) -> str:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((c for c in conditions if c.get("type") == "Ready"), None)
    text = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return text + (",SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else "")


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(key[len(prefix) :] for key in labels if key.startswith(prefix))) or "<none>"


def _node_address(kind: str) -> Cell:
    def read(node: Object) -> str:
        for address in (node.get("status") or {}).get("addresses") or ():
            if address.get("type") == kind:
                return str(address["address"])
        return "<none>"

    return read


def _event_object(event: Object) -> str:
    involved = event.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _event_age(event: Object) -> str:
    return since(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))


def _role_of(binding: Object) -> str:
    return f"{binding['roleRef']['kind']}/{binding['roleRef']['name']}"


def _deployment_ready(obj: Object) -> str:
    return f"{(obj.get('status') or {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}"


def _default_class(obj: Object) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    mark = " (default)" if annotations.get("storageclass.kubernetes.io/is-default-class") == "true" else ""
    return str(obj["metadata"]["name"]) + mark


NAME = Column("Name", _at("metadata.name"), "ObjectMeta.name")
AGE = Column("Age", _age, "ObjectMeta.creationTimestamp")
_CREATED = Column("Created At", _at("metadata.creationTimestamp"), "ObjectMeta.creationTimestamp")
_RESTARTS = (
    "The number of times the containers in this pod have been restarted and when the last container in this pod has "
    "restarted."
)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "pods": (
        NAME,
        Column("Ready", _pod_ready, text="The aggregate readiness state of this pod for accepting traffic."),
        Column("Status", _pod_status, text="The aggregate status of the containers in this pod."),
        Column("Restarts", _pod_restarts, text=_RESTARTS),
        AGE,
        Column("IP", _pod_address, "PodStatus.podIP", wide=True),
        Column("Node", _at("spec.nodeName", "<none>"), "PodSpec.nodeName", wide=True),
        Column("Nominated Node", _at("status.nominatedNodeName", "<none>"), "PodStatus.nominatedNodeName", wide=True),
        Column("Readiness Gates", _gates, "PodSpec.readinessGates", wide=True),
    ),
    "secrets": (
        NAME,
        Column("Type", _at("type"), "Secret.type"),
        Column("Data", _size("data"), "Secret.data"),
        AGE,
    ),
    "configmaps": (NAME, Column("Data", _size("data", "binaryData"), "ConfigMap.data"), AGE),
    "persistentvolumeclaims": (
        NAME,
        Column("Status", _claim_status, "PersistentVolumeClaimStatus.phase"),
        Column("Volume", _at("spec.volumeName"), "PersistentVolumeClaimSpec.volumeName"),
        Column("Capacity", _claim_held("capacity"), "PersistentVolumeClaimStatus.capacity"),
        Column("Access Modes", _claim_held("modes"), "PersistentVolumeClaimStatus.accessModes"),
        Column("StorageClass", _at("spec.storageClassName"), text="StorageClass of the pvc"),
        Column(
            "VolumeAttributesClass",
            _at("spec.volumeAttributesClassName", "<unset>"),
            text="VolumeAttributesClass of the pvc",
        ),
        AGE,
        Column("VolumeMode", _at("spec.volumeMode", "<unset>"), "PersistentVolumeClaimSpec.volumeMode", wide=True),
    ),
    "persistentvolumes": (
        NAME,
        Column("Capacity", _at("spec.capacity.storage"), "PersistentVolumeSpec.capacity"),
        Column("Access Modes", lambda o: _modes(o["spec"].get("accessModes")), "PersistentVolumeSpec.accessModes"),
        Column("Reclaim Policy", _at("spec.persistentVolumeReclaimPolicy"), text="What happens when it is released."),
        Column("Status", _volume_status, "PersistentVolumeStatus.phase"),
        Column("Claim", _volume_claim, "PersistentVolumeSpec.claimRef"),
        Column("StorageClass", _at("spec.storageClassName"), text="StorageClass of the pv"),
        Column("VolumeAttributesClass", _at("spec.volumeAttributesClassName", "<unset>"), text="Its class."),
        Column("Reason", _at("status.reason"), "PersistentVolumeStatus.reason"),
        AGE,
        Column("VolumeMode", _at("spec.volumeMode", "<unset>"), "PersistentVolumeSpec.volumeMode", wide=True),
    ),
    "namespaces": (NAME, Column("Status", _at("status.phase"), text="The status of the namespace"), AGE),
    "serviceaccounts": (NAME, Column("Secrets", _size("secrets"), "ServiceAccount.secrets"), AGE),
    "services": (
        NAME,
        Column("Type", _at("spec.type"), "ServiceSpec.type"),
        Column("Cluster-IP", _at("spec.clusterIP", "<none>"), "ServiceSpec.clusterIP"),
        Column("External-IP", lambda _: "<none>", "ServiceSpec.externalIPs"),
        Column("Port(s)", _ports, "ServiceSpec.ports"),
        AGE,
        Column("Selector", lambda o: _pairs(o["spec"].get("selector")), "ServiceSpec.selector", wide=True),
    ),
    "nodes": (
        NAME,
        Column("Status", _node_status, text="The status of the node"),
        Column("Roles", _node_roles, text="The roles of the node"),
        AGE,
        Column("Version", _at("status.nodeInfo.kubeletVersion"), "NodeSystemInfo.kubeletVersion"),
        Column("Internal-IP", _node_address("InternalIP"), "NodeStatus.addresses", wide=True),
        Column("External-IP", _node_address("ExternalIP"), "NodeStatus.addresses", wide=True),
        Column("OS-Image", _at("status.nodeInfo.osImage", "<unknown>"), "NodeSystemInfo.osImage", wide=True),
        Column("Kernel-Version", _at("status.nodeInfo.kernelVersion", "<unknown>"), wide=True),
        Column("Container-Runtime", _at("status.nodeInfo.containerRuntimeVersion", "<unknown>"), wide=True),
    ),
    "events": (
        Column("Last Seen", _event_age, "Event.lastTimestamp"),
        Column("Type", _at("type"), "Event.type"),
        Column("Reason", _at("reason"), "Event.reason"),
        Column("Object", _event_object, "Event.involvedObject"),
        Column("Subobject", _at("involvedObject.fieldPath"), wide=True),
        Column("Source", _at("source.component"), "Event.source", wide=True),
        Column("Message", _at("message"), "Event.message"),
        Column("First Seen", lambda o: since(o.get("firstTimestamp") or o.get("eventTime")), wide=True),
        Column("Count", lambda o: str(o.get("count", 1)), "Event.count", wide=True),
        Column("Name", _at("metadata.name"), "ObjectMeta.name", wide=True),
    ),
    "leases": (NAME, Column("Holder", _at("spec.holderIdentity"), "LeaseSpec.holderIdentity"), AGE),
    "roles": (NAME, _CREATED),
    "clusterroles": (NAME, _CREATED),
    "rolebindings": (NAME, Column("Role", _role_of, "RoleBinding.roleRef"), AGE),
    "clusterrolebindings": (NAME, Column("Role", _role_of, "ClusterRoleBinding.roleRef"), AGE),
    "deployments": (
        NAME,
        Column("Ready", _deployment_ready, text="Number of the pod with ready state"),
        Column("Up-to-date", _at("status.updatedReplicas", 0), "DeploymentStatus.updatedReplicas", type="integer"),
        Column("Available", _at("status.availableReplicas", 0), "DeploymentStatus.availableReplicas", type="integer"),
        AGE,
    ),
    "storageclasses": (
        Column("Name", _default_class, "ObjectMeta.name"),
        Column("Provisioner", _at("provisioner"), "StorageClass.provisioner"),
        Column("ReclaimPolicy", _at("reclaimPolicy"), "StorageClass.reclaimPolicy"),
        Column("VolumeBindingMode", _at("volumeBindingMode"), "StorageClass.volumeBindingMode"),
        Column("AllowVolumeExpansion", lambda o: str(bool(o.get("allowVolumeExpansion"))).lower()),
        AGE,
    ),
    "networkpolicies": (
        NAME,
        Column("Pod-Selector", lambda o: _pairs((o["spec"].get("podSelector") or {}).get("matchLabels"))),
        AGE,
    ),
    "cronjobs": (
        NAME,
        Column("Schedule", _at("spec.schedule"), "CronJobSpec.schedule"),
        Column("Timezone", _at("spec.timeZone", "<none>"), "CronJobSpec.timeZone"),
        Column("Suspend", lambda o: str(bool(o["spec"].get("suspend"))), "CronJobSpec.suspend"),
        Column(
            "Active", lambda o: len((o.get("status") or {}).get("active") or ()), "CronJobStatus.active", type="integer"
        ),
        Column(
            "Last Schedule",
            lambda o: since((o.get("status") or {}).get("lastScheduleTime")).replace("<unknown>", "<none>"),
        ),
        AGE,
    ),
}


def columns_of(kind: str) -> tuple[Column, ...]:
    """The columns of a kind of the store; name and age where there are none of its own."""
    return COLUMNS.get(kind, (NAME, AGE))
