"""``/API/manager/desktop``: desktops as operators see them (http-api.md 4.4)."""

from __future__ import annotations

from typing import Any

from oc.errors import BadRequestError, ODError
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
        if not self.services.orchestrator.remove_desktop_by_name(name):
            raise ODError("the desktop could not be removed")
        return True
