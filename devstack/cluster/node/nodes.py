"""The Node objects."""

from __future__ import annotations

import platform
import uuid
from pathlib import Path

from devstack.cluster.node.options import DEFAULT_CAPACITY, NodeOptions, NodeRule
from devstack.cluster.objects import Object, timestamp
from devstack.cluster.store import AlreadyExistsError, Store

KUBELET_VERSION = "v1.34.9"
RUNTIME_VERSION = "containerd://2.1.0"
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def create_nodes(store: Store, options: NodeOptions) -> None:
    """Register the nodes; one that is there is left as it is."""
    for rule in options.nodes:
        try:
            store.create("nodes", _node(rule, options, timestamp(store.clock())))
        except AlreadyExistsError:
            continue


def _node(rule: NodeRule, options: NodeOptions, now: str) -> Object:
    capacity = {**DEFAULT_CAPACITY, **rule.capacity}
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    labels = {
        "beta.kubernetes.io/arch": machine,
        "beta.kubernetes.io/os": system,
        "kubernetes.io/arch": machine,
        "kubernetes.io/hostname": rule.name,
        "kubernetes.io/os": system,
        **rule.labels,
    }
    spec: Object = {"podCIDR": options.pod_network, "podCIDRs": [options.pod_network]}
    if rule.taints:
        spec["taints"] = rule.taints
    if rule.unschedulable:
        spec["unschedulable"] = True
    return {
        "metadata": {"name": rule.name, "labels": labels},
        "spec": spec,
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {
                    "type": type_,
                    "status": status,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                    "reason": reason,
                    "message": message,
                }
                for type_, status, reason, message in _CONDITIONS
            ],
            "addresses": [
                {"type": "InternalIP", "address": options.host_ip},
                {"type": "Hostname", "address": rule.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": uuid.uuid5(uuid.NAMESPACE_DNS, rule.name).hex,
                "systemUUID": str(uuid.uuid5(uuid.NAMESPACE_OID, rule.name)),
                "bootID": _boot_id(),
                "kernelVersion": platform.release(),
                "osImage": "devstack simulated node",
                "containerRuntimeVersion": RUNTIME_VERSION,
                "kubeletVersion": KUBELET_VERSION,
                "kubeProxyVersion": "",
                "operatingSystem": system,
                "architecture": machine,
            },
        },
    }


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(uuid.UUID(int=0))
