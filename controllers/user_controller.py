"""``/API/user``: who the caller is and where (http-api.md 5.3)."""

from __future__ import annotations

from typing import Any

from controllers.schemas import Locations, NoUser, UserDescription, Version
from oc.auth.whoami import describe_user
from oc.errors import ODError
from oc.od.base_controller import BaseController
from oc.web import Call, expose


class UserController(BaseController):
    """Facts about the caller; nothing here changes anything."""

    # not traced: the answer holds the user's entry of the directory
    @expose(auth="optional", body=object, empty_body=True, envelope=False, trace=False, answer=UserDescription)
    def whoami(self, call: Call, body: object) -> object:
        """The caller as the token, the ldif secret and the desktop tell; nulls without a valid token."""
        identity = call.optional_identity
        if identity is None:
            return describe_user(None)
        desktop = ldif = None
        try:
            desktop = self.services.composer.find_desktop(identity)
            ldif = self.services.composer.userinfo(identity)
        except ODError as error:
            # A page that reloads must find its session even while the cluster is away.
            self.logger.warning("whoami answers without desktop and directory data: %s", error.message)
        return describe_user(identity, ldif, desktop)

    @expose(auth="user", body=object, empty_body=True, answer=Locations)
    def getlocation(self, call: Call, body: object) -> dict[str, Any]:
        """Where the caller's address and the service's public address are."""
        locator = self.services.locatorPublicInternet
        server = self.services.site_address.get()
        sites = self.services.locatorPrivateActiveDirectory
        address = call.client.ipaddr
        user = sites.locate(address, call.identity.domain) if sites is not None else None
        return {"user": user or locator.locate(address), "server": locator.locate(server)}

    @expose(body=object, empty_body=True, envelope=False, answer=NoUser)
    def getinfo(self, call: Call, body: object) -> dict[str, None]:
        """Kept for old clients: never asks an identity provider for somebody unknown."""
        return {"userid": None, "name": None}

    @expose(methods=("GET", "POST"), auth="user", envelope=False, answer=Version)
    def version(self, call: Call) -> object:
        """Date, commit and number of the build, for users."""
        return self.services.version
