"""``/API/manager/ban``: banned addresses and logins (http-api.md 4.6)."""

from __future__ import annotations

from typing import Any

from controllers.schemas import BanEntry, BanState
from oc.errors import BadRequestError
from oc.od.base_controller import BaseController
from oc.web import Call, expose


class BanRoutes(BaseController):
    """Mixed into the ManagerController. ``collection`` is ``ipaddr`` or ``login``."""

    @expose(path="ban/{collection}", methods=("GET",), auth="manager", envelope=False, answer=list[BanEntry])
    def list_bans(self, call: Call, *, collection: str) -> list[dict[str, Any]]:
        """Who is banned."""
        return self.services.fail2ban.list(collection)

    @expose(path="ban/{collection}", methods=("DELETE",), auth="manager", envelope=False)
    def drop_bans(self, call: Call, *, collection: str) -> None:
        """Forget all bans and failures of a collection."""
        self.services.fail2ban.drop(collection)

    @expose(path="ban/{collection}", methods=("POST",), auth="manager", envelope=False)
    def ban_nothing(self, call: Call, *, collection: str) -> None:
        """A value is needed."""
        raise BadRequestError("a value to ban is required")

    @expose(path="ban/{collection}/{value}", methods=("GET",), auth="manager", envelope=False, answer=BanState)
    def find_ban(self, call: Call, *, collection: str, value: str) -> dict[str, Any]:
        """What is counted for one address or login."""
        return self.services.fail2ban.find(collection, value)

    @expose(path="ban/{collection}/{value}", methods=("POST",), auth="manager", envelope=False)
    def ban(self, call: Call, *, collection: str, value: str) -> dict[str, Any]:
        """Ban an address or a login."""
        return self.services.fail2ban.ban(collection, value)

    @expose(path="ban/{collection}/{value}", methods=("DELETE",), auth="manager", envelope=False)
    def unban(self, call: Call, *, collection: str, value: str) -> dict[str, Any]:
        """Lift a ban."""
        return self.services.fail2ban.unban(collection, value)

    @expose(path="ban/{collection}/{value}/{more*}", methods=("GET", "POST"), auth="manager", envelope=False)
    def malformed_ban(self, call: Call, *, collection: str, value: str, more: str) -> None:
        """A value with a slash must be percent-encoded."""
        raise BadRequestError("Invalid parameters Bad Request")
