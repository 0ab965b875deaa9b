"""``/API/manager``: operators' routes, guarded by the controller policy (http-api.md 4)."""

from __future__ import annotations

from controllers.manager_bans import BanRoutes
from controllers.manager_datastore import DatastoreRoutes
from controllers.manager_desktops import DesktopRoutes
from controllers.manager_garbage import GarbageRoutes
from controllers.manager_images import ImageRoutes
from controllers.manager_rules import RuleRoutes
from controllers.manager_sites import SiteRoutes
from controllers.schemas import Echo, Health
from oc.od.base_controller import BaseController
from oc.od.health import health_report
from oc.web import Call, Query, expose
from oc.web.redaction import redact, redact_headers

HEALTHY = {"controler": "ManagerController", "status": "ok"}


class ManagerController(
    DesktopRoutes, GarbageRoutes, ImageRoutes, BanRoutes, DatastoreRoutes, RuleRoutes, SiteRoutes, BaseController
):
    """Every route here needs the policy of ``ManagerController``: address, then API key."""

    @expose(methods=("GET",), auth="manager", envelope=False, trace=False, answer=Health)
    def healtz(self, call: Call) -> object:
        """Proof that the caller passes the policy; the consoles ask for it on every page."""
        return HEALTHY

    @expose(
        methods=("GET",),
        auth="manager",
        envelope=False,
        trace=False,
        answer=Health,
        query=(Query("verbose", str, "also tell the state of each dependency"),),
    )
    def healthz(self, call: Call) -> object:
        """As healtz; with ``?verbose``, the state of each dependency."""
        if call.query.get("verbose") is not None and (call.query["verbose"] == "" or call.flag("verbose")):
            lanes = {name: (lane.size, lane.queue, *lane.load) for name, lane in self.root.lanes.items()}
            return {**HEALTHY, **health_report(self.services, lanes)}
        return HEALTHY

    @expose(methods=("GET", "POST"), auth="manager", envelope=False, trace=False, answer=Echo)
    def echohttp(self, call: Call) -> object:
        """The request as it arrived here, without its secrets: shows what the proxies made of it."""
        return {
            "headers": redact_headers(call.headers),
            "remote": {"ip": call.peer[0], "port": call.peer[1], "name": call.peer[0]},
            "client": {"ip": call.client.ipaddr, "spoofed": call.address.spoofed},
            "params": redact(call.query),
        }
