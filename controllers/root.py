"""``/API`` itself: liveness and version."""

from __future__ import annotations

from oc.od.base_controller import BaseController
from oc.od.version import BLANK
from oc.web import Call, Content, expose


class Root(BaseController):
    """Routes directly below ``/API``. Open, and touching no service."""

    @expose(methods=("GET", "POST"), trace=False)
    def healthz(self, call: Call) -> Content:
        """Liveness: OK as long as the process serves requests."""
        return Content("OK", content_type="text/html;charset=utf-8")

    @expose(methods=("GET", "POST"), envelope=False)
    def version(self, call: Call) -> object:
        """Date, commit and number of the build."""
        return self.services.version if self.settings.http.version_public else BLANK

    @expose(methods=("GET",), envelope=False, trace=False)
    def openapi(self, call: Call) -> object:
        """This API as an OpenAPI 3.1 document."""
        return self.root.openapi()
