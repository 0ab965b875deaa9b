"""``/API/manager/desktop``: desktops as operators see them (http-api.md 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oc.errors import BadRequestError, ODError
from oc.model.identity import Identity
from oc.od.base_controller import BaseController
from oc.web import Call, expose


class DesktopRoutes(BaseController):
    """Mixed into the ManagerController."""

    @expose(path="desktop", methods=("GET",), auth="manager", envelope=False)
    def list_desktops(self, call: Call) -> list[dict[str, Any]]:
        """Desktops that run or are being started."""
        return [desktop.public_dict() for desktop in self.services.orchestrator.list_desktops()]

    @expose(path="desktop", methods=("DELETE",), auth="manager", envelope=False)
    def delete_no_desktop(self, call: Call) -> object:
        """A name is needed: removing every desktop is not offered."""
        raise BadRequestError("a desktop name is required")

    @expose(path="desktop/{name}", methods=("GET",), auth="manager", envelope=False)
    def get_desktop(self, call: Call, *, name: str) -> dict[str, Any]:
        """The pod of a desktop, as Kubernetes has it."""
        return self.services.orchestrator.get_desktop_pod(name)

    @expose(path="desktop/{name}", methods=("DELETE",), auth="manager", envelope=False, lane="work")
    def delete_desktop(self, call: Call, *, name: str) -> bool:
        """Remove a desktop with all that belongs to it."""
        pod = self.services.orchestrator.get_desktop_pod(name)
        if not self.services.orchestrator.remove_desktop_by_name(name):
            raise ODError("the desktop could not be removed")
        node = str(pod.get("spec", {}).get("nodeName") or "")
        owner = identity_of(pod.get("metadata", {}).get("labels", {}))
        self.services.history.desktop(owner, call.client, "stop", name, node, isgarbaged=False)
        self.services.accounting.increment("desktop", "remove")
        return True


def identity_of(labels: Mapping[str, str]) -> Identity:
    """Whose desktop it is, as far as its labels tell: ids that are no label values appear in their cleaned form."""
    return Identity(
        provider=labels.get("access_provider", ""),
        providertype=labels.get("access_providertype", ""),
        userid=labels.get("access_userid", ""),
        name=labels.get("access_username", ""),
    )
