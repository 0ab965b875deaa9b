"""Admission: what the cluster adds to objects, and why it refuses them, beyond their own validity."""

from __future__ import annotations

import secrets
from typing import Any

from devstack.cluster import limits, quantity
from devstack.cluster.errors import ApiError, forbidden
from devstack.cluster.objects import Object
from devstack.cluster.resources import Resource
from devstack.cluster.store import Store

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  (a path)
_ROOT_CA = "kube-root-ca.crt"
# One hour and seven seconds: the kubelet tells by it that the volume was put in by admission.
_BOUND_TOKEN_LIFE_S = 3607
_NOT_READY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def random_suffix(length: int = 5) -> str:
    """As generateName makes it."""
    return "".join(secrets.choice(NAME_LETTERS) for _ in range(length))


def check_namespace(store: Store, resource: Resource, namespace: str, name: str) -> None:
    """Nothing is made in a missing namespace (404) or one that goes (403)."""
    space = store.get("namespaces", None, namespace)
    if space is None:
        raise ApiError(
            404, "NotFound", f'namespaces "{namespace}" not found', {"name": namespace, "kind": "namespaces"}
        )
    if space["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        error = forbidden(resource.plural, resource.group, name, why)
        assert error.details is not None
        error.details["causes"] = [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
        ]
        raise error


def mutate_new(store: Store, resource: Resource, obj: Object, namespace: str) -> None:
    """Fill in what admission fills in on creation.  Raises ApiError 403."""
    if resource.plural == "pods":
        _admit_pod(store, obj, namespace)
    elif resource.plural == "persistentvolumeclaims":
        _default_class(store, obj)
        _protect(obj, "kubernetes.io/pvc-protection")
    elif resource.plural == "persistentvolumes":
        _protect(obj, "kubernetes.io/pv-protection")
    elif resource.plural == "services":
        _cluster_ip(store, obj)


def check_update(store: Store, resource: Resource, old: Object, new: Object) -> None:
    """Refuse a change that admission does not allow.  Raises ApiError 403."""
    if resource.plural != "persistentvolumeclaims" or not new["spec"].get("volumeName"):
        return
    before, after = _requested(old), _requested(new)
    if quantity.value_of(after) <= quantity.value_of(before):
        return
    storage_class = store.get("storageclasses", None, new["spec"].get("storageClassName") or "")
    if storage_class is None or not storage_class.get("allowVolumeExpansion"):
        why = (
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
            "support resize"
        )
        raise forbidden(resource.plural, resource.group, new["metadata"]["name"], why)


def _requested(claim: Object) -> str:
    return str(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def _protect(obj: Object, finalizer: str) -> None:
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)


def _default_class(store: Store, obj: Object) -> None:
    spec = obj.get("spec") or {}
    if "storageClassName" in spec:
        return
    for storage_class in store.list("storageclasses"):
        if (storage_class["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true":
            spec["storageClassName"] = storage_class["metadata"]["name"]
            return


def _cluster_ip(store: Store, obj: Object) -> None:
    spec = obj.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return
    if not spec.get("clusterIP"):
        used = {other["spec"].get("clusterIP") for other in store.list("services")}
        number = next(n for n in range(10, 65_000) if f"10.96.{n // 250}.{n % 250 + 1}" not in used)
        spec["clusterIP"] = f"10.96.{number // 250}.{number % 250 + 1}"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        taken = {port.get("nodePort") for other in store.list("services") for port in other["spec"].get("ports") or ()}
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                port["nodePort"] = next(n for n in range(30_000, 32_768) if n not in taken)
                taken.add(port["nodePort"])


# -- pods ------------------------------------------------------------------------------------------------------------
def _admit_pod(store: Store, pod: Object, namespace: str) -> None:
    limits.apply_limit_ranges(store, pod, namespace)
    _service_account(store, pod, namespace)
    _tolerations(pod["spec"])
    _priority(store, pod)
    _runtime_class(store, pod)


def _refuse(pod: Object, why: str) -> ApiError:
    return forbidden("pods", "", pod["metadata"].get("name", ""), why)


def _service_account(store: Store, pod: Object, namespace: str) -> None:
    spec = pod["spec"]
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = store.get("serviceaccounts", namespace, name)
    if account is None:
        raise _refuse(pod, f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found')
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(reference) for reference in account["imagePullSecrets"]]
    wanted = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    if wanted:
        _mount_token(spec)


def _mount_token(spec: Object) -> None:
    volume = next((v["name"] for v in spec.get("volumes") or () if v["name"].startswith("kube-api-access-")), None)
    name = volume or f"kube-api-access-{random_suffix()}"
    used = False
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        mounts = container.setdefault("volumeMounts", [])
        if any(mount.get("mountPath") == TOKEN_PATH for mount in mounts):
            continue
        mounts.append({"name": name, "readOnly": True, "mountPath": TOKEN_PATH})
        used = True
    if used and volume is None:
        spec.setdefault("volumes", []).append(_token_volume(name))


def _token_volume(name: str) -> Object:
    token: Any = {"expirationSeconds": _BOUND_TOKEN_LIFE_S, "path": "token"}
    certificate = {"name": _ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    where = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [{"serviceAccountToken": token}, {"configMap": certificate}, {"downwardAPI": {"items": [where]}}]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}


def _tolerations(spec: Object) -> None:
    tolerations = spec.setdefault("tolerations", [])
    for key in _NOT_READY:
        covered = any(t.get("key", "") in ("", key) and t.get("effect", "") in ("", "NoExecute") for t in tolerations)
        if not covered:
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})


def _priority(store: Store, pod: Object) -> None:
    spec = pod["spec"]
    name = spec.get("priorityClassName")
    found: Object | None = None
    if name:
        found = store.get("priorityclasses", None, name)
        if found is None:
            raise _refuse(pod, f"no PriorityClass with name {name} was found")
    else:
        found = next((c for c in store.list("priorityclasses") if c.get("globalDefault")), None)
        if found:
            spec["priorityClassName"] = found["metadata"]["name"]
    value = found["value"] if found else 0
    if spec.get("priority", value) != value:
        why = f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
        raise _refuse(pod, why + f"priority admission controller computed {value} from the given PriorityClass name")
    spec["priority"] = value
    policy = found.get("preemptionPolicy", "PreemptLowerPriority") if found else "PreemptLowerPriority"
    spec.setdefault("preemptionPolicy", policy)


def _runtime_class(store: Store, pod: Object) -> None:
    spec = pod["spec"]
    name = spec.get("runtimeClassName")
    if not name:
        if spec.get("overhead"):
            raise _refuse(pod, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
        return
    runtime = store.get("runtimeclasses", None, name)
    if runtime is None:
        raise _refuse(pod, f'pod rejected: RuntimeClass "{name}" not found')
    fixed = (runtime.get("overhead") or {}).get("podFixed")
    if fixed:
        spec["overhead"] = dict(fixed)
    scheduling = runtime.get("scheduling") or {}
    if scheduling.get("nodeSelector"):
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **scheduling["nodeSelector"]}
    for toleration in scheduling.get("tolerations") or ():
        if toleration not in spec["tolerations"]:
            spec["tolerations"].append(dict(toleration))
