"""``/API/manager/garbagecollector``: desktops nobody uses are removed (http-api.md 4.8)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from oc.errors import BadRequestError
from oc.od.base_controller import BaseController
from oc.od.composer.garbage import Collection
from oc.web import Call, Query, expose

QUERY = (
    Query("expirein", Annotated[int, msgspec.Meta(ge=0)], "seconds since the last login", required=True),
    Query("force", str, "true also removes desktops with a connected user"),
    Query("nodename", str, "only desktops of this node"),
    Query("dryrun", str, "true removes nothing"),
    Query("verbose", str, "true tells of every desktop what was decided and why"),
    Query("snapshot", str, "accepted without effect"),
)


class GarbageRoutes(BaseController):
    """Mixed into the ManagerController."""

    @expose(
        methods=("GET",),
        auth="manager",
        envelope=False,
        trace=False,
        lane="work",
        answer=list[str | dict[str, Any]],
        query=QUERY,
    )
    def garbagecollector(self, call: Call) -> object:
        """Remove desktops idle for ``expirein`` seconds; the names of those removed.

        ``force``: connected users or not. ``nodename``: of one node only. ``dryrun``: the names of those it would
        remove, nothing is done. ``verbose``: every desktop with the reason instead of names. ``snapshot`` and its
        old misspelling are accepted without effect.
        """
        for name in ("snapshot", "snaphot"):
            call.flag(name)
        wanted = Collection(
            expirein=_seconds(call.query.get("expirein")),
            force=call.flag("force"),
            nodename=call.query.get("nodename", ""),
            dryrun=call.flag("dryrun"),
        )
        verdicts = self.services.composer.garbage.collect(wanted, call.client)
        if call.flag("verbose"):
            return [verdict.as_dict() for verdict in verdicts]
        return [verdict.name for verdict in verdicts if verdict.removed]


def _seconds(text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 10:
        raise BadRequestError("invalid parameter expirein: a number of seconds is expected")
    return int(text)
