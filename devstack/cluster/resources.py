"""The kinds the cluster serves: names, groups, verbs, subresources, schema."""

from __future__ import annotations

from dataclasses import dataclass, field

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STATUS_VERBS = ("get", "patch", "update")


@dataclass(frozen=True)
class Subresource:
    """A subresource as discovery lists it; `group_version` is set when its kind is of another group."""

    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


@dataclass(frozen=True)
class Resource:
    """One plural of one API version.  `storage` is its kind in the store."""

    group: str
    version: str
    plural: str
    kind: str
    definition: str
    singular: str = ""
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL_VERBS
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: dict[str, Subresource] = field(default_factory=dict, hash=False)
    storage: str = ""

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        return self.kind + "List"

    @property
    def qualified(self) -> str:
        """The name in messages: pods, deployments.apps."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_STATUS = "status"


def _define(
    group: str,
    version: str,
    package: str,
    plural: str,
    kind: str,
    *,
    namespaced: bool = True,
    verbs: tuple[str, ...] = ALL_VERBS,
    short: str = "",
    categories: tuple[str, ...] = (),
    status: bool = False,
    subresources: dict[str, Subresource] | None = None,
) -> Resource:
    parts = dict(subresources or {})
    if status:
        parts[_STATUS] = Subresource(kind, STATUS_VERBS)
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        definition=f"io.k8s.api.{package}.{version}.{kind}",
        singular=kind.lower(),
        namespaced=namespaced,
        verbs=verbs,
        short_names=(short,) if short else (),
        categories=categories,
        subresources=dict(sorted(parts.items())),
        storage=plural,
    )


_ALL = ("all",)
_CREATE = ("create",)
_CONNECT = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")
_NAMESPACE_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")
_SCALE = {"scale": Subresource("Scale", STATUS_VERBS, "autoscaling", "v1")}

RESOURCES: tuple[Resource, ...] = (
    _define("", "v1", "core", "bindings", "Binding", verbs=_CREATE),
    _define("", "v1", "core", "configmaps", "ConfigMap", short="cm"),
    _define("", "v1", "core", "endpoints", "Endpoints", short="ep"),
    _define("", "v1", "core", "events", "Event", short="ev"),
    _define("", "v1", "core", "limitranges", "LimitRange", short="limits"),
    _define(
        "",
        "v1",
        "core",
        "namespaces",
        "Namespace",
        namespaced=False,
        verbs=_NAMESPACE_VERBS,
        short="ns",
        status=True,
        subresources={"finalize": Subresource("Namespace", ("update",))},
    ),
    _define(
        "",
        "v1",
        "core",
        "nodes",
        "Node",
        namespaced=False,
        short="no",
        status=True,
        subresources={"proxy": Subresource("NodeProxyOptions", _PROXY)},
    ),
    _define("", "v1", "core", "persistentvolumeclaims", "PersistentVolumeClaim", short="pvc", status=True),
    _define("", "v1", "core", "persistentvolumes", "PersistentVolume", namespaced=False, short="pv", status=True),
    _define(
        "",
        "v1",
        "core",
        "pods",
        "Pod",
        short="po",
        categories=_ALL,
        status=True,
        subresources={
            "attach": Subresource("PodAttachOptions", _CONNECT),
            "binding": Subresource("Binding", _CREATE),
            "ephemeralcontainers": Subresource("Pod", STATUS_VERBS),
            "eviction": Subresource("Eviction", _CREATE, "policy", "v1"),
            "exec": Subresource("PodExecOptions", _CONNECT),
            "log": Subresource("Pod", ("get",)),
            "portforward": Subresource("PodPortForwardOptions", _CONNECT),
            "proxy": Subresource("PodProxyOptions", _PROXY),
            "resize": Subresource("Pod", STATUS_VERBS),
        },
    ),
    _define("", "v1", "core", "podtemplates", "PodTemplate"),
    _define("", "v1", "core", "replicationcontrollers", "ReplicationController", short="rc", categories=_ALL),
    _define("", "v1", "core", "resourcequotas", "ResourceQuota", short="quota", status=True),
    _define("", "v1", "core", "secrets", "Secret"),
    _define(
        "",
        "v1",
        "core",
        "serviceaccounts",
        "ServiceAccount",
        short="sa",
        subresources={"token": Subresource("TokenRequest", _CREATE, "authentication.k8s.io", "v1")},
    ),
    _define(
        "",
        "v1",
        "core",
        "services",
        "Service",
        short="svc",
        categories=_ALL,
        status=True,
        subresources={"proxy": Subresource("ServiceProxyOptions", _PROXY)},
    ),
    _define("apps", "v1", "apps", "controllerrevisions", "ControllerRevision"),
    _define("apps", "v1", "apps", "daemonsets", "DaemonSet", short="ds", categories=_ALL, status=True),
    _define(
        "apps",
        "v1",
        "apps",
        "deployments",
        "Deployment",
        short="deploy",
        categories=_ALL,
        status=True,
        subresources=_SCALE,
    ),
    _define(
        "apps",
        "v1",
        "apps",
        "replicasets",
        "ReplicaSet",
        short="rs",
        categories=_ALL,
        status=True,
        subresources=_SCALE,
    ),
    _define(
        "apps",
        "v1",
        "apps",
        "statefulsets",
        "StatefulSet",
        short="sts",
        categories=_ALL,
        status=True,
        subresources=_SCALE,
    ),
    _define("events.k8s.io", "v1", "events", "events", "Event", short="ev"),
    _define(
        "authentication.k8s.io",
        "v1",
        "authentication",
        "selfsubjectreviews",
        "SelfSubjectReview",
        namespaced=False,
        verbs=_CREATE,
    ),
    _define(
        "authentication.k8s.io", "v1", "authentication", "tokenreviews", "TokenReview", namespaced=False, verbs=_CREATE
    ),
    _define(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "localsubjectaccessreviews",
        "LocalSubjectAccessReview",
        verbs=_CREATE,
    ),
    _define(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        namespaced=False,
        verbs=_CREATE,
    ),
    _define(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        namespaced=False,
        verbs=_CREATE,
    ),
    _define(
        "authorization.k8s.io",
        "v1",
        "authorization",
        "subjectaccessreviews",
        "SubjectAccessReview",
        namespaced=False,
        verbs=_CREATE,
    ),
    _define("batch", "v1", "batch", "cronjobs", "CronJob", short="cj", categories=_ALL, status=True),
    _define("batch", "v1", "batch", "jobs", "Job", categories=_ALL, status=True),
    _define("networking.k8s.io", "v1", "networking", "ingressclasses", "IngressClass", namespaced=False),
    _define("networking.k8s.io", "v1", "networking", "ingresses", "Ingress", short="ing", status=True),
    _define("networking.k8s.io", "v1", "networking", "ipaddresses", "IPAddress", namespaced=False, short="ip"),
    _define("networking.k8s.io", "v1", "networking", "networkpolicies", "NetworkPolicy", short="netpol"),
    _define("networking.k8s.io", "v1", "networking", "servicecidrs", "ServiceCIDR", namespaced=False, status=True),
    _define("policy", "v1", "policy", "poddisruptionbudgets", "PodDisruptionBudget", short="pdb", status=True),
    _define("rbac.authorization.k8s.io", "v1", "rbac", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _define("rbac.authorization.k8s.io", "v1", "rbac", "clusterroles", "ClusterRole", namespaced=False),
    _define("rbac.authorization.k8s.io", "v1", "rbac", "rolebindings", "RoleBinding"),
    _define("rbac.authorization.k8s.io", "v1", "rbac", "roles", "Role"),
    _define("storage.k8s.io", "v1", "storage", "csidrivers", "CSIDriver", namespaced=False),
    _define("storage.k8s.io", "v1", "storage", "csinodes", "CSINode", namespaced=False),
    _define("storage.k8s.io", "v1", "storage", "csistoragecapacities", "CSIStorageCapacity"),
    _define("storage.k8s.io", "v1", "storage", "storageclasses", "StorageClass", namespaced=False, short="sc"),
    _define("storage.k8s.io", "v1", "storage", "volumeattachments", "VolumeAttachment", namespaced=False, status=True),
    _define(
        "storage.k8s.io",
        "v1",
        "storage",
        "volumeattributesclasses",
        "VolumeAttributesClass",
        namespaced=False,
        short="vac",
    ),
    _define("scheduling.k8s.io", "v1", "scheduling", "priorityclasses", "PriorityClass", namespaced=False, short="pc"),
    _define("node.k8s.io", "v1", "node", "runtimeclasses", "RuntimeClass", namespaced=False),
    _define("coordination.k8s.io", "v1", "coordination", "leases", "Lease"),
    _define("discovery.k8s.io", "v1", "discovery", "endpointslices", "EndpointSlice"),
)

# Singular names that are not the kind in lower case.
BY_PATH: dict[tuple[str, str, str], Resource] = {(r.group, r.version, r.plural): r for r in RESOURCES}
BY_PLURAL: dict[str, Resource] = {r.plural: r for r in reversed(RESOURCES)}
BY_KIND: dict[tuple[str, str], Resource] = {(r.group_version, r.kind): r for r in RESOURCES}
GROUPS: tuple[tuple[str, str], ...] = tuple(dict.fromkeys((r.group, r.version) for r in RESOURCES if r.group))


def of_kind(kind: str) -> Resource:
    """The resource stored under this plural name."""
    return BY_PLURAL[kind]
