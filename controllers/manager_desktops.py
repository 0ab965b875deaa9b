"""``/API/manager/desktop``: desktops as operators see them (http-api.md 4.4, 4.5)."""

from __future__ import annotations

from typing import Any

from controllers.schemas import DesktopEntry, RunningApplication, Usage
from oc.errors import BadRequestError
from oc.od.base_controller import BaseController
from oc.od.orchestrator import LaunchFailedError
from oc.web import Call, expose


class DesktopRoutes(BaseController):
    """Mixed into the ManagerController. ``name`` is a desktop's, ``cid`` a container's and ``pid`` an application
    pod's; what is not there, or not that desktop's, is answered with 404.
    """

    @expose(path="desktop", methods=("GET",), auth="manager", envelope=False, answer=list[DesktopEntry])
    def list_desktops(self, call: Call) -> list[dict[str, Any]]:
        """Desktops that run or are being started."""
        return [desktop.public_dict() for desktop in self.services.orchestrator.list_desktops()]

    @expose(methods=("GET", "POST"), auth="user", body=dict, envelope=False, lane="work", answer=dict[str, Any])
    def dry_run_desktop(self, call: Call, body: dict[str, Any]) -> object:
        """The pod the caller would get, checked by the cluster; nothing is written. Needs a user token too."""
        try:
            return self.services.orchestrator.dry_run_desktop(call.identity, call.client)
        except LaunchFailedError as error:
            raise BadRequestError(error.message, doing=error.doing) from error

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
        return self.services.composer.administration.remove_desktop(name, call.client)

    @expose(
        path="desktop/{name}/resources_usage",
        methods=("GET",),
        auth="manager",
        envelope=False,
        trace=False,
        lane="work",
        answer=Usage,
    )
    def desktop_usage(self, call: Call, *, name: str) -> dict[str, Any]:
        """Processor and memory of the desktop's graphical container; the console asks every five seconds."""
        return self.services.composer.administration.usage(name)

    @expose(
        path="desktop/{name}/container",
        methods=("GET",),
        auth="manager",
        envelope=False,
        answer=list[RunningApplication],
    )
    def list_containers(self, call: Call, *, name: str) -> list[dict[str, Any]]:
        """The applications inside a desktop."""
        return self.services.composer.administration.containers(name)

    @expose(path="desktop/{name}/container/{cid}", methods=("GET",), auth="manager", envelope=False)
    def get_container(self, call: Call, *, name: str, cid: str) -> dict[str, Any]:
        """One container of a desktop, of any sort: list entry, spec and status."""
        return self.services.composer.administration.container(name, cid)

    @expose(path="desktop/{name}/container/{cid}", methods=("DELETE",), auth="manager", envelope=False, lane="work")
    def stop_container(self, call: Call, *, name: str, cid: str) -> bool:
        """End an application inside a desktop."""
        return self.services.composer.administration.stop_container(name, cid)

    @expose(
        path="desktop/{name}/container/{cid}/resources_usage",
        methods=("GET",),
        auth="manager",
        envelope=False,
        trace=False,
        lane="work",
        answer=Usage,
    )
    def container_usage(self, call: Call, *, name: str, cid: str) -> dict[str, Any]:
        """Processor and memory of one container of a desktop."""
        return self.services.composer.administration.container_usage(name, cid)

    @expose(
        path="desktop/{name}/pod", methods=("GET",), auth="manager", envelope=False, answer=list[RunningApplication]
    )
    def list_pods(self, call: Call, *, name: str) -> list[dict[str, Any]]:
        """The application pods of a desktop's user."""
        return self.services.composer.administration.pods(name)

    @expose(path="desktop/{name}/pod/{pid}", methods=("GET",), auth="manager", envelope=False)
    def get_pod(self, call: Call, *, name: str, pid: str) -> dict[str, Any]:
        """One application pod, as Kubernetes has it."""
        return self.services.composer.administration.pod(name, pid)

    @expose(path="desktop/{name}/pod/{pid}", methods=("DELETE",), auth="manager", envelope=False, lane="work")
    def delete_pod(self, call: Call, *, name: str, pid: str) -> bool:
        """Delete an application pod."""
        return self.services.composer.administration.delete_pod(name, pid)

    @expose(
        path="desktop/{name}/pod/{pid}/resources_usage",
        methods=("GET",),
        auth="manager",
        envelope=False,
        trace=False,
        lane="work",
        answer=Usage,
    )
    def pod_usage(self, call: Call, *, name: str, pid: str) -> dict[str, Any]:
        """Processor and memory of an application pod."""
        return self.services.composer.administration.pod_usage(name, pid)
