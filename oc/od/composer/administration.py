"""What operators see of and do to single desktops and their applications (spec http-api.md 4.4, 4.5)."""

from __future__ import annotations

from typing import Any

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo
from oc.od.accounting import Accounting
from oc.od.composer.applications import Applications
from oc.od.composer.ending import Endings
from oc.od.orchestrator import Orchestrator
from oc.od.orchestrator.owner import identity_in

STOP_SECONDS = 15.0


class Administration:
    """By names of pods and containers. Everything raises ODResourceNotFoundError for what is not there, or not that
    desktop's: a pod that is no desktop, an application pod of another user.
    """

    def __init__(
        self, orchestrator: Orchestrator, applications: Applications, accounting: Accounting, endings: Endings
    ) -> None:
        self._orchestrator = orchestrator
        self._applications = applications
        self._accounting = accounting
        self._endings = endings

    def remove_desktop(self, name: str, client: ClientInfo) -> bool:
        """Remove a desktop with all that belongs to it. Raises ODError when it could not be removed completely."""
        desktop = self._orchestrator.get_desktop_pod(name)
        metadata = desktop["metadata"]
        with self._endings.caused(metadata["uid"]) as ours:
            if not self._orchestrator.remove_desktop_by_name(name):
                raise ODError("the desktop could not be removed")
        if ours:
            node = str(desktop.get("spec", {}).get("nodeName") or "")
            self._endings.record(identity_in(metadata.get("labels") or {}), client, name, node)
        self._accounting.increment("desktop", "remove")
        return True

    def containers(self, name: str) -> list[dict[str, Any]]:
        """The applications inside the desktop's pod, of any state."""
        return [self._applications.entry(one) for one in self._orchestrator.inventory(name).ephemeral()]

    def pods(self, name: str) -> list[dict[str, Any]]:
        """The application pods of the desktop's user, of any state."""
        return [self._applications.entry(one) for one in self._orchestrator.inventory(name).pods()]

    def container(self, name: str, container: str) -> dict[str, Any]:
        """Any container of the desktop's pod: its list entry, ``spec`` and ``state`` (its status, None before)."""
        found = self._orchestrator.inventory(name).container(container)
        return self._applications.entry(found.listed) | {"spec": found.shown_spec, "state": found.status}

    def pod(self, name: str, pod: str) -> dict[str, Any]:
        """One application pod, as Kubernetes has it, cookies masked."""
        return self._orchestrator.inventory(name).shown_pod(pod)

    def stop_container(self, name: str, container: str) -> bool:
        """End one application inside the desktop. Raises BadRequestError when that is not possible."""
        self._orchestrator.inventory(name).stop_container(container, Deadline(STOP_SECONDS))
        return True

    def delete_pod(self, name: str, pod: str) -> bool:
        """Delete one application pod."""
        self._orchestrator.inventory(name).delete_pod(pod, Deadline(STOP_SECONDS))
        return True

    def usage(self, name: str) -> dict[str, Any]:
        """Processor and memory of the graphical container."""
        return self._orchestrator.inventory(name).usage()

    def container_usage(self, name: str, container: str) -> dict[str, Any]:
        """The same of any container of the desktop's pod."""
        return self._orchestrator.inventory(name).usage(container)

    def pod_usage(self, name: str, pod: str) -> dict[str, Any]:
        """The same of an application pod."""
        return self._orchestrator.inventory(name).pod_usage(pod)
