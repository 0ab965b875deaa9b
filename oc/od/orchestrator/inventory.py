"""One desktop as operators take it apart: containers and application pods by name (spec orchestration.md 8.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from oc.errors import BadRequestError, ODResourceNotFoundError
from oc.model.deadline import Deadline
from oc.od.orchestrator.client import Json, KubernetesClient
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.inspection import ApplicationInspector, Target
from oc.od.orchestrator.listing import RunningApplication, container_state, ephemeral_applications, pod_application
from oc.od.orchestrator.masking import masked_pod
from oc.od.orchestrator.owner import owner_in
from oc.od.orchestrator.podmodel import APPLICATION, POD_LIST, ContainerStatus, Pod, pod_from
from oc.od.orchestrator.resources import PODS
from oc.od.orchestrator.usage import read_usage

CONTAINER_LISTS = (
    ("containers", "containerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
    ("initContainers", "initContainerStatuses"),
)


@dataclass(frozen=True, slots=True)
class FoundContainer:
    """A container of a pod. ``shown_spec``: its spec, cookies masked. ``status``: as the API has it, or None."""

    listed: RunningApplication
    shown_spec: Json = field(repr=False)
    status: Json | None
    ephemeral: bool


class DesktopInventory:
    """What belongs to the desktop whose pod the API has just shown as ``manifest``. Made for one request."""

    def __init__(
        self,
        client: KubernetesClient,
        inspector: ApplicationInspector,
        usage_files: Mapping[str, str] | None,
        manifest: Json,
    ) -> None:
        self._client = client
        self._inspector = inspector
        self._usage_files = usage_files
        self._manifest = manifest
        self._pod = pod_from(manifest)

    # -- containers of the desktop's pod ---------------------------------------------------------------------------

    def ephemeral(self) -> list[RunningApplication]:
        """The applications inside the pod."""
        return ephemeral_applications(self._pod)

    def container(self, name: str) -> FoundContainer:
        """A container of any sort. Raises ODResourceNotFoundError."""
        shown = masked_pod(self._manifest)
        for specs, statuses in CONTAINER_LISTS:
            spec = _named(shown["spec"].get(specs), name)
            if spec is not None:
                status = _named((shown.get("status") or {}).get(statuses), name)
                return FoundContainer(self._listed(spec, status), spec, status, specs == "ephemeralContainers")
        raise ODResourceNotFoundError("container not found")

    def _listed(self, spec: Json, status: Json | None) -> RunningApplication:
        application = next((one for one in self.ephemeral() if one.id == spec["name"]), None)
        if application is not None:
            return application
        found = msgspec.convert(status, ContainerStatus) if status else None
        state, reason = container_state(found)
        command = spec.get("command")
        return RunningApplication(
            podname=self._pod.name,
            id=spec["name"],
            short_id=found.container_id if found else "",
            status=state,
            type="container",
            image=spec.get("image", ""),
            command=tuple(command) if command is not None else None,
            node=self._pod.spec.node_name,
            reason=reason,
        )

    def stop_container(self, name: str, deadline: Deadline) -> None:
        """End an application inside the pod. Raises BadRequestError for a container that is part of the desktop."""
        if not self.container(name).ephemeral:
            raise BadRequestError("this container is a part of the desktop and no application")
        self._inspector.stop(Target(self._pod, name, ephemeral=True), deadline)

    def usage(self, name: str | None = None) -> dict[str, Any]:
        """Usage of a container, of the graphical one without a name. Raises ODResourceNotFoundError."""
        wanted = name or self._pod.graphical
        if wanted is None:
            raise ODResourceNotFoundError("container not found")
        self.container(wanted)
        return self._usage(self._manifest, wanted)

    # -- application pods --------------------------------------------------------------------------------------------

    def pods(self) -> list[RunningApplication]:
        """The application pods of the desktop's user, by age."""
        selector = f"{owner_in(self._pod.labels).selector},type={APPLICATION}"
        pods = self._client.page(PODS, selector, POD_LIST).items
        return [pod_application(pod) for pod in sorted(pods, key=lambda pod: (pod.created, pod.name))]

    def shown_pod(self, name: str) -> Json:
        """An application pod, cookies masked. Raises ODResourceNotFoundError."""
        return masked_pod(self._application(name))

    def delete_pod(self, name: str, deadline: Deadline) -> None:
        """Delete an application pod. Raises ODResourceNotFoundError."""
        pod: Pod = pod_from(self._application(name))
        self._inspector.stop(Target(pod, pod.name, ephemeral=False), deadline)

    def pod_usage(self, name: str) -> dict[str, Any]:
        """Usage of an application pod's first container. Raises ODResourceNotFoundError."""
        manifest = self._application(name)
        return self._usage(manifest, manifest["spec"]["containers"][0]["name"])

    def _application(self, name: str) -> Json:
        try:
            found = self._client.get(PODS, name)
        except KubernetesError as error:
            if error.code in (400, 404):
                raise ODResourceNotFoundError("pod not found") from error
            raise
        labels = found["metadata"].get("labels") or {}
        if labels.get("type") != APPLICATION or not owner_in(self._pod.labels).has(labels):
            raise ODResourceNotFoundError("pod not found")
        return found

    def _usage(self, manifest: Json, container: str) -> dict[str, Any]:
        spec = manifest["spec"]
        own = next((found for key, _ in CONTAINER_LISTS if (found := _named(spec.get(key), container))), Json())
        limits = {**_limits(spec), **_limits(own)}
        return read_usage(self._client, manifest["metadata"]["name"], container, self._usage_files, limits)


def _named(found: list[Json] | None, name: str) -> Json | None:
    return next((one for one in found or () if one["name"] == name), None)


def _limits(spec: Json) -> Json:
    return (spec.get("resources") or {}).get("limits") or {}
