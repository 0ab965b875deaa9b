"""``/API/manager/updateactivedirectorysite``: the sites of Active Directory, read again (http-api.md 4)."""

from __future__ import annotations

from types import NoneType

from oc.od.base_controller import BaseController
from oc.web import Call, expose


class SiteRoutes(BaseController):
    """What operators do about sites."""

    @expose(methods=("GET",), auth="manager", envelope=False, trace=False, lane="work", answer=NoneType)
    def updateactivedirectorysite(self, call: Call) -> object:
        """Read the subnets of the sites of every Active Directory provider again; answers null."""
        self.services.locatorPrivateActiveDirectory.refresh()
        return None
