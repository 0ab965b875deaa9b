"""``/API/desktop``: addresses of desktops for a name server (spec http-api.md 5.9). Switched off as shipped."""

from __future__ import annotations

from controllers.schemas import DesktopAddress
from oc.errors import AccessDeniedError, AuthenticationError, ODResourceNotFoundError
from oc.od.base_controller import BaseController
from oc.web import Call, Content, expose
from oc.web.policy import SITE_DENIED, is_one_of

KEY_HEADER = "authdnskey"
MAX_USERID = 256


class DesktopController(BaseController):
    """Needs ``requestsallowed.dns`` True and ``authdnskey`` in the controller's policy."""

    @expose(
        path="dns/{userid}",
        methods=("GET",),
        auth="none",
        envelope=False,
        trace=False,
        answer=DesktopAddress,
        content=("text/plain",),
    )
    def dns(self, call: Call, *, userid: str) -> object:
        """The address of a user's desktop, ``{"ipaddr": ..}`` or plain text as ``Accept`` says."""
        policy = self.policy
        if policy is None or policy.requestsallowed.get("dns") is not True:
            raise AccessDeniedError(SITE_DENIED)
        given = call.headers.get(KEY_HEADER)
        if policy.authdnskey is None or given is None or not is_one_of(given, (policy.authdnskey,)):
            raise AuthenticationError("invalid authdnskey")
        address = self.services.composer.desktop_address(userid) if len(userid) <= MAX_USERID else None
        if address is None:
            raise ODResourceNotFoundError("desktop not found")
        if "text/plain" in call.headers.get("Accept", ""):
            return Content(address)
        return {"ipaddr": address}
