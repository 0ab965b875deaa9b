"""``/API/accounting``: counters of this process (http-api.md 5.5)."""

from __future__ import annotations

import os
import socket

from controllers.schemas import Counters
from oc.od.base_controller import BaseController
from oc.od.metrics import CONTENT_TYPE
from oc.web import Bare, Call, Content, Query, expose


class AccountingController(BaseController):
    """What a scraper reads."""

    @expose(
        methods=("GET",),
        auth="manager",
        trace=False,
        answer=Counters,
        content=("text/plain",),
        query=(Query("format", str, "json, prometheus, or ebnf, which anything else stands for"),),
    )
    def metrics(self, call: Call) -> Content | Bare:
        """All counters. ``format``: ``ebnf`` (default), ``json``, or ``prometheus`` with durations and states too."""
        accounting, wanted = self.services.accounting, call.query.get("format")
        if wanted == "json":
            return Bare(accounting.snapshot())
        if wanted == "prometheus":
            orchestrator = self.services.orchestrator
            age = orchestrator.watch_age if orchestrator is not None else None
            text = accounting.metrics.text(replica_name(), accounting.snapshot(), self.root.lanes, age)
            return Content(text, content_type=CONTENT_TYPE)
        return Content(accounting.text())


def replica_name() -> str:
    """What tells replicas apart in a scrape: the name of the pod, else of the host."""
    return os.environ.get("POD_NAME") or socket.gethostname()
