"""``/API/accounting``: counters of this process (http-api.md 5.5)."""

from __future__ import annotations

from oc.od.base_controller import BaseController
from oc.web import Bare, Call, Content, expose


class AccountingController(BaseController):
    """What a scraper reads."""

    @expose(methods=("GET",), auth="manager", trace=False)
    def metrics(self, call: Call) -> Content | Bare:
        """All counters: ``?format=json``, else the Prometheus text format."""
        if call.query.get("format") == "json":
            return Bare(self.services.accounting.snapshot())
        return Content(self.services.accounting.text())
