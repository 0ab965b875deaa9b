"""``/API`` itself: liveness, readiness, version, and the description of this API."""

from __future__ import annotations

from typing import Any

from controllers.schemas import Version
from oc.od.base_controller import BaseController
from oc.od.health import readiness
from oc.od.version import BLANK
from oc.web import Call, Content, expose
from oc.web.docspage import PAGE, PAGE_HEADERS


class Root(BaseController):
    """Routes directly below ``/API``. Open, and touching no service."""

    @expose(methods=("GET", "POST"), trace=False, json=False, content=("text/html",))
    def healthz(self, call: Call) -> Content:
        """Liveness: OK as long as the process serves requests."""
        return Content("OK", content_type="text/html;charset=utf-8")

    @expose(methods=("GET",), trace=False, json=False, content=("text/plain",))
    def readyz(self, call: Call) -> Content:
        """Readiness: ``ready``, ``degraded: `` and the parts that are away, or 503 and ``starting: `` with what lacks.

        Asks nobody; it tells what the last use of each part has shown.
        """
        ready, text = readiness(self.services)
        return Content(f"{text}\n", status=200 if ready else 503, headers={"Cache-Control": "no-store"})

    @expose(methods=("GET", "POST"), envelope=False, answer=Version)
    def version(self, call: Call) -> object:
        """Date, commit and number of the build."""
        return self.services.version if self.settings.http.version_public else BLANK

    @expose(path="openapi.json", methods=("GET",), envelope=False, trace=False, answer=dict[str, Any])
    def openapi_json(self, call: Call) -> object:
        """This API as an OpenAPI 3.1 document."""
        if not self.settings.http.openapi_public:
            self.root.require_operator(call.address.ip, call.headers.get("X-API-Key"))
        return self.root.openapi()

    @expose(methods=("GET",), envelope=False, trace=False, answer=dict[str, Any])
    def openapi(self, call: Call) -> object:
        """Another name of ``openapi.json``."""
        return self.openapi_json(call)

    @expose(methods=("GET",), trace=False, json=False, content=("text/html",))
    def docs(self, call: Call) -> Content:
        """The document above as a page for people; it fetches it, with an API key when one is needed."""
        return Content(PAGE, content_type="text/html;charset=utf-8", headers=PAGE_HEADERS)
