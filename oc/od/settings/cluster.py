"""The working namespace and the deadlines of Kubernetes operations."""

from __future__ import annotations

import dataclasses

from oc.od.settings.declaration import derived, option
from oc.od.settings.kinds import Flag, Integer, Nullable, Text

_DNS_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"


@dataclasses.dataclass(frozen=True)
class KubernetesSettings:
    """`domain` is the DNS domain of the namespace's services."""

    namespace: str = option(
        Text("a namespace name", pattern=r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", longest=63),
        "abcdesktop",
        key="namespace",
        meaning="Namespace that holds the desktops and their secrets.",
        env="POD_NAMESPACE",
    )
    service_suffix: str = option(
        Text("a DNS name", pattern=_DNS_NAME, longest=253),
        "svc.cluster.local",
        key="kubernetesdefaultsvcclusterlocal",
        meaning="DNS suffix of services; the domain is `<namespace>.<suffix>`.",
    )
    configured_domain: str | None = option(
        Nullable(Text("a DNS name", pattern=_DNS_NAME, longest=253)),
        None,
        key="kubernetesdefaultabcdesktopsvcclusterlocal",
        meaning="The whole DNS domain of the namespace's services.",
        since="4.0",
        default_text="`<namespace>.<suffix>`",
    )
    bound_pvc_timeout: int = option(
        Integer(1, 86_400, unit="s"),
        60,
        key="K8S_BOUND_PVC_TIMEOUT_SECONDS",
        meaning="Time a persistent volume claim gets to bind.",
        since="3.1",
    )
    bound_pvc_max_event: int = option(
        Integer(1, 10_000),
        5,
        key="K8S_BOUND_PVC_MAX_EVENT",
        meaning="Changes of a claim that are looked at before giving up.",
        since="3.1",
    )
    create_pod_timeout: int = option(
        Integer(1, 86_400, unit="s"),
        300,
        key="K8S_CREATE_POD_TIMEOUT_SECONDS",
        meaning="Time a desktop pod gets to become ready, image pulls included.",
        since="3.1",
    )
    create_ephemeral_container_timeout: int = option(
        Integer(1, 86_400, unit="s"),
        300,
        key="K8S_CREATE_EPHEMERALCONTAINER_TIMEOUT_SECONDS",
        meaning="Time an application container gets to start, image pull included.",
        since="3.3",
        shipped=120,
    )
    notify_pulled_delay: int = option(
        Integer(0, 3600, unit="s"),
        2,
        key="K8S_NOTIFY_USER_APPLICATION_PULLED_DELAY_SECONDS",
        meaning="Quiet time before the user is told that an image was pulled.",
        since="4.0",
    )
    notify_started_delay: int = option(
        Integer(0, 3600, unit="s"),
        5,
        key="K8S_NOTIFY_USER_APPLICATION_STARTED_DELAY_SECONDS",
        meaning="Quiet time before the user is told that an application started.",
        since="4.0",
    )
    orphan_sweep_interval: int = option(
        Integer(0, 86_400, unit="s"),
        900,
        key="K8S_ORPHAN_SWEEP_INTERVAL_SECONDS",
        meaning="Time between two searches for secrets, claims and application pods that a crash left; 0: none.",
        since="4.4, extension",
    )
    orphan_minimum_age: int = option(
        Integer(0, 31_536_000, unit="s"),
        86_400,
        key="K8S_ORPHAN_MIN_AGE_SECONDS",
        meaning="Age of the user's last login below which nothing without a desktop counts as left behind. At least "
        "the life of a user token and the time of a launch.",
        since="4.4, extension",
    )
    developer_instance: bool = option(
        Flag(),
        False,
        key="developer_instance",
        meaning="Accepted for old files, without effect: replicas find each other through the database.",
    )
    domain: str = derived("abcdesktop.svc.cluster.local")
