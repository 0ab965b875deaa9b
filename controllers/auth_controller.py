"""``/API/auth``: logging in and out, tokens, labels (spec auth.md 2)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from oc.auth import LoginRequest, success_message
from oc.auth.prelogin import PreloginMismatchError
from oc.errors import AuthenticationError, InvalidCredentialsError, ODError
from oc.od.base_controller import BaseController
from oc.web import Bare, Call, SoftError, Success, expose

if TYPE_CHECKING:
    from oc.model.identity import Login

HOME: Final = {"url": "/"}


class AuthController(BaseController):
    """Logins, and what a user may do with the token."""

    @expose(auth="none", body=dict, envelope=False)
    def getauthconfig(self, call: Call, body: dict[str, Any]) -> object:
        """The managers and providers the login page offers."""
        return self.services.auth.getauthconfig()

    @expose(auth="login", body=LoginRequest, lane="login", no_cache=True)
    def auth(self, call: Call, body: LoginRequest) -> object:
        """Log in and get a user token."""
        started = time.monotonic()
        try:
            login = self.services.auth.login(body, call.client, call.headers)
        except AuthenticationError as error:
            self.services.accounting.increment("login", "failed")
            if isinstance(error, (InvalidCredentialsError, PreloginMismatchError)) and call.address.chargeable:
                self.services.fail2ban.fail_ip(call.address.ip)
            raise
        seconds = time.monotonic() - started
        try:
            self.services.composer.prepare_resources(login)
        except ODError as error:
            self.services.accounting.increment("login", "failed")
            self.logger.error("login of %s: the secrets cannot be written: %s", login.identity.userid, error)
            return SoftError(f"failed to prepare ressources {error.message}", status=401)
        return Success(self._admitted(login, call), success_message(login, seconds))

    def _admitted(self, login: Login, call: Call) -> dict[str, Any]:
        """Issue the token, count and remember the login."""
        identity, tokens, accounting = login.identity, self.services.usertokens, self.services.accounting
        token = tokens.issue(identity)
        accounting.increment("login", "success")
        accounting.increment("login", identity.providertype)
        self.services.history.login(identity, call.client, login.attributes)
        self.logger.info("login of %s by provider %s", identity.userid, identity.provider)
        return {
            "userid": identity.userid,
            "jwt_user_token": token,
            "name": identity.name,
            "provider": identity.providertype,
            "expire_in": tokens.expire_in,
        }

    @expose(auth="user", body=object, no_cache=True)
    def refreshtoken(self, call: Call, body: object) -> object:
        """Exchange a valid user token for a new one."""
        tokens = self.services.usertokens
        answer = {"expire_in": tokens.expire_in, "jwt_user_token": tokens.issue(call.identity)}
        return Success(answer, "Refresh token success")

    @expose(auth="optional", body=dict)
    def disconnect(self, call: Call, body: dict[str, Any]) -> object:
        """Leave; the desktop stays."""
        if call.optional_identity is None:
            return _failed("invalid user credentials")
        return HOME

    @expose(auth="optional", body=dict, lane="work")
    def logout(self, call: Call, body: dict[str, Any]) -> object:
        """Leave and remove the desktop with everything that belongs to it."""
        identity = call.optional_identity
        if identity is None:
            return _failed("invalid user credentials")
        try:
            self.services.composer.remove_desktop(identity, call.client)  # none there: nothing is left to do
        except ODError as error:
            self.logger.error("logout of %s: the desktop cannot be removed: %s", identity.userid, error)
            return _failed("removedesktop failed")
        return HOME

    @expose(auth="optional", body=dict)
    def labels(self, call: Call, body: dict[str, Any]) -> object:
        """The caller's labels."""
        if call.optional_identity is None:
            return SoftError("invalid user credentials")
        return call.optional_identity.labels

    @expose(auth="optional", body=dict)
    def isauthenticated(self, call: Call, body: dict[str, Any]) -> object:
        """Whether the request carries a valid user token."""
        return call.optional_identity is not None


def _failed(reason: str) -> Bare:
    """A failure that still tells the page where to go."""
    return Bare({"status": 500, "result": HOME, "error": reason})
