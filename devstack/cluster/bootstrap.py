"""What every cluster has from the start: namespaces, roles, classes."""

from __future__ import annotations

from typing import Any

from devstack.cluster.defaults import apply_defaults
from devstack.cluster.objects import Object
from devstack.cluster.store import Store

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_GROUP = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_WORK = {
    "": ["configmaps", "endpoints", "persistentvolumeclaims", "pods", "pods/attach", "pods/exec", "pods/portforward",
         "pods/proxy", "pods/ephemeralcontainers", "secrets", "serviceaccounts", "services", "services/proxy",
         "events"],
    "apps": ["daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
             "statefulsets/scale"],
    "batch": ["cronjobs", "jobs"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
}  # fmt: skip
_VIEWED = {
    "": ["configmaps", "endpoints", "persistentvolumeclaims", "pods", "pods/log", "pods/status", "serviceaccounts",
         "services", "events", "limitranges", "resourcequotas", "namespaces"],
    **{group: names for group, names in _WORK.items() if group},
}  # fmt: skip
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
              "/version", "/version/"]  # fmt: skip
_ISSUER = ["/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks",
           "/openid/v1/jwks/"]  # fmt: skip


def _rules(resources: dict[str, list[str]], verbs: list[str]) -> list[Object]:
    return [{"verbs": verbs, "apiGroups": [group], "resources": names} for group, names in resources.items()]


def _paths(paths: list[str]) -> Object:
    return {"verbs": ["get"], "nonResourceURLs": paths}


def _cluster_roles() -> dict[str, list[Object]]:
    everything: list[Object] = [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]
    view = _rules(_VIEWED, _READ)
    edit = _rules(_WORK, _READ + _WRITE) + view
    grants: Object = {"verbs": _READ + _WRITE, "apiGroups": [_GROUP], "resources": ["rolebindings", "roles"]}
    return {
        "admin": [*edit, grants],
        "cluster-admin": everything,
        "edit": edit,
        "system:basic-user": [
            {
                "verbs": ["create"],
                "apiGroups": ["authorization.k8s.io"],
                "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            },
            {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
        ],
        "system:certificates-discovery": [_paths(["/.well-known", "/.well-known/*"])],
        "system:discovery": [_paths(_DISCOVERY)],
        "system:public-info-viewer": [_paths(["/healthz", "/livez", "/readyz", "/version", "/version/"])],
        "system:service-account-issuer-discovery": [_paths(_ISSUER)],
        "view": view,
    }


_BOUND = {
    "cluster-admin": ["system:masters"],
    "system:basic-user": ["system:authenticated"],
    "system:certificates-discovery": ["system:authenticated"],
    "system:discovery": ["system:authenticated"],
    "system:public-info-viewer": ["system:authenticated", "system:unauthenticated"],
    "system:service-account-issuer-discovery": ["system:serviceaccounts"],
}


def fill(store: Store, *, storage_class: str = "hostpath") -> None:
    """Put in the objects of a fresh cluster; `storage_class`: name of the default class, "" for none."""

    def put(kind: str, obj: Object) -> None:
        apply_defaults(kind, obj)
        store.create(kind, obj)

    for name in NAMESPACES:
        put("namespaces", {"metadata": {"name": name}})
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    for name, rules in _cluster_roles().items():
        put("clusterroles", {"metadata": {"name": name, "labels": labels}, "rules": rules})
    for name, groups in _BOUND.items():
        subjects: list[Any] = [{"kind": "Group", "apiGroup": _GROUP, "name": group} for group in groups]
        reference = {"apiGroup": _GROUP, "kind": "ClusterRole", "name": name}
        put(
            "clusterrolebindings",
            {"metadata": {"name": name, "labels": labels}, "roleRef": reference, "subjects": subjects},
        )
    for name, value in (("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)):
        put("priorityclasses", {"metadata": {"name": name}, "value": value})
    if storage_class:
        annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
        metadata = {"name": storage_class, "annotations": annotations}
        put("storageclasses", {"metadata": metadata, "provisioner": f"devstack.local/{storage_class}"})
    put(
        "services",
        {
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver"}},
            "spec": {
                "clusterIP": "10.96.0.1",
                "clusterIPs": ["10.96.0.1"],
                "ports": [{"name": "https", "port": 443, "targetPort": 6443}],
            },
        },
    )
