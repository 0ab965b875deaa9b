"""The rights of pyos's service account: what it needs, and what the cluster says it has.

The list is that of deploy/10-rbac.yaml and deploy/11-rbac-optional.yaml; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.resources import Resource

REVIEWS: Final = Resource("selfsubjectaccessreviews", "authorization.k8s.io", namespaced=False)


@dataclass(frozen=True, slots=True)
class Need:
    """Verbs on a kind. ``lost``: what does not work without them; ``optional``: the rest does."""

    resource: str
    verbs: tuple[str, ...]
    lost: str
    subresource: str = ""
    namespaced: bool = True
    optional: bool = False


NEEDS: Final = (
    Need("pods", ("get", "list", "watch", "create", "patch", "delete"), "desktops"),
    Need("pods", ("get", "create"), "readiness of desktops", "exec"),
    Need("pods", ("patch",), "applications as ephemeral containers", "ephemeralcontainers"),
    Need("pods", ("get",), "logs of applications", "log"),
    Need("events", ("list", "watch"), "progress texts"),
    Need("secrets", ("get", "list", "create", "patch", "delete"), "logins"),
    Need("configmaps", ("list", "delete"), "removal of desktops"),
    Need("persistentvolumeclaims", ("get", "list", "watch", "create", "delete"), "home volumes"),
    Need("nodes", ("list",), "images pulled in advance", namespaced=False, optional=True),
    Need(
        "persistentvolumes",
        ("get", "list", "create", "patch", "delete"),
        "desktop.persistentvolume",
        namespaced=False,
        optional=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Right:
    """One verb of a need, and whether the cluster allows it."""

    need: Need
    verb: str
    allowed: bool

    def __str__(self) -> str:
        kind = f"{self.need.resource}/{self.need.subresource}" if self.need.subresource else self.need.resource
        return f"{self.verb} {kind}"


def rights(client: KubernetesClient) -> Iterator[Right]:
    """Ask the API for each right (SelfSubjectAccessReview). Raises KubernetesError when it cannot be asked."""
    for need in NEEDS:
        for verb in need.verbs:
            attributes = {"verb": verb, "resource": need.resource, "subresource": need.subresource}
            if need.namespaced:
                attributes["namespace"] = client.namespace
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
            }
            answer = client.create(REVIEWS, review)
            yield Right(need, verb, (answer.get("status") or {}).get("allowed") is True)
