"""Which parts of an object a write may set: what creation, update and each subresource reset or keep."""

from __future__ import annotations

from devstack.cluster.objects import Object, copy_json
from devstack.cluster.pod_defaults import qos_class
from devstack.cluster.resources import Resource

_SYSTEM_FIELDS = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)
_NEW_STATUS: dict[str, Object] = {
    "persistentvolumeclaims": {"phase": "Pending"},
    "persistentvolumes": {"phase": "Pending"},
    "namespaces": {"phase": "Active"},
    "services": {"loadBalancer": {}},
    "ingresses": {"loadBalancer": {}},
    "deployments": {},
    "jobs": {},
    "cronjobs": {},
    "resourcequotas": {},
    "replicasets": {"replicas": 0},
    "statefulsets": {"replicas": 0, "availableReplicas": 0},
    "daemonsets": {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    "poddisruptionbudgets": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
}


def prepare_new(resource: Resource, obj: Object, namespace: str) -> None:
    """Reset what the client may not set on creation."""
    metadata = obj["metadata"]
    for field in (*_SYSTEM_FIELDS, "managedFields"):
        metadata.pop(field, None)
    if resource.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    if resource.storage == "pods":
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj["spec"])}
        if obj["spec"].get("schedulingGates"):
            obj["status"]["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "lastProbeTime": None,
                    "lastTransitionTime": None,
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                }
            ]
    elif resource.storage in _NEW_STATUS:
        obj["status"] = copy_json(_NEW_STATUS[resource.storage])
    if resource.storage == "namespaces":
        spec = obj["spec"]
        if "kubernetes" not in spec["finalizers"]:
            spec["finalizers"].append("kubernetes")
    if resource.storage in ("jobs",):
        _label_job(obj)


def _label_job(obj: Object) -> None:
    """A job's pods are selected by its uid, which is only known later; the name does for the stand-in."""
    spec = obj["spec"]
    if "selector" not in spec:
        name = obj["metadata"].get("name", "")
        labels = spec["template"]["metadata"].setdefault("labels", {})
        labels["batch.kubernetes.io/job-name"] = labels["job-name"] = name
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/job-name": name}}


def prepare_update(resource: Resource, subresource: str, old: Object, new: Object) -> None:
    """Take from the stored object what this write may not change."""
    before, after = old["metadata"], new["metadata"]
    for field in _SYSTEM_FIELDS:
        if field == "uid":
            after.setdefault("uid", before["uid"])
        elif field in before:
            after[field] = before[field]
        else:
            after.pop(field, None)
    after["name"] = before["name"]
    if "namespace" in before:
        after["namespace"] = before["namespace"]
    if "generateName" in before:
        after.setdefault("generateName", before["generateName"])
    after["resourceVersion"] = before["resourceVersion"]
    after.pop("managedFields", None)
    if "managedFields" in before:
        after["managedFields"] = before["managedFields"]
    if subresource == "status":
        for part in set(old) | set(new):
            if part not in ("metadata", "status"):
                _keep(part, old, new)
        _mend_status(resource, old, new)
    elif subresource in ("ephemeralcontainers", "resize"):
        _prepare_pod_part(subresource, old, new)
    elif "status" in resource.subresources:
        _keep("status", old, new)
    if resource.storage == "namespaces" and subresource != "finalize":
        _keep("spec", old, new)
    if resource.storage == "services":
        _keep_addresses(old, new)
    if resource.storage == "pods" and not subresource:
        _fill_account(old, new)


def _keep(part: str, old: Object, new: Object) -> None:
    if part in old:
        new[part] = old[part]
    else:
        new.pop(part, None)


def _fill_account(old: Object, new: Object) -> None:
    """What admission had put in stays when a PUT leaves it out."""
    for field in ("priority", "preemptionPolicy"):
        if field in old["spec"]:
            new["spec"].setdefault(field, old["spec"][field])


def _keep_addresses(old: Object, new: Object) -> None:
    before, after = old["spec"], new["spec"]
    for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if not after.get(field) and field in before:
            after[field] = before[field]
    if after.get("clusterIP") != before.get("clusterIP") and after.get("clusterIPs") == before.get("clusterIPs"):
        after["clusterIPs"] = [after.get("clusterIP", "")]


def _mend_status(resource: Resource, old: Object, new: Object) -> None:
    """Zero times that Go writes as null, and what a status never loses."""
    if resource.storage == "pods":
        status = new.setdefault("status", {})
        if "qosClass" in (old.get("status") or {}):
            status.setdefault("qosClass", old["status"]["qosClass"])
        for condition in (new.get("status") or {}).get("conditions") or ():
            condition.setdefault("lastProbeTime", None)
            condition.setdefault("lastTransitionTime", None)


def _prepare_pod_part(subresource: str, old: Object, new: Object) -> None:
    """Of the ephemeralcontainers and resize subresources only their own part of the spec counts."""
    wanted = new["spec"]
    spec = copy_json(old["spec"])
    if subresource == "ephemeralcontainers":
        spec["ephemeralContainers"] = wanted.get("ephemeralContainers") or []
        for container in spec["ephemeralContainers"]:
            container.pop("restartPolicy", None)
        if not spec["ephemeralContainers"]:
            del spec["ephemeralContainers"]
    else:
        by_name = {container.get("name"): container for container in wanted.get("containers") or ()}
        for container in spec["containers"]:
            other = by_name.get(container["name"])
            if other is not None:
                container["resources"] = other.get("resources") or {}
                _keep("resizePolicy", other, container)
    new["spec"] = spec
    metadata = old["metadata"]
    new["metadata"] = {**metadata}
    _keep("status", old, new)
