"""``/API/auth``: logging in and out, tokens, labels (spec auth.md 2)."""

from __future__ import annotations

import time
from typing import Any, Final

from controllers.auth_answers import page_content
from controllers.auth_front import FrontRoutes
from controllers.schemas import LoginManagers, LoginResult, Place, UserToken
from oc.auth import LoginRequest, success_message
from oc.auth.external import Callback
from oc.auth.redirectpage import error_page, wants_page
from oc.auth.requests import MAX_CREDENTIAL
from oc.errors import AuthenticationError, BadRequestError, ODError
from oc.web import Bare, Call, Query, SoftError, Success, expose

CALLBACK: Final = tuple(
    Query(name, str, "as the authorization server sends it") for name in ("code", "state", "error", "iss")
)
HOME: Final = {"url": "/"}


class AuthController(FrontRoutes):
    """Logins, and what a user may do with the token."""

    @expose(auth="none", body=dict, envelope=False, no_cache=True, answer=LoginManagers)
    def getauthconfig(self, call: Call, body: dict[str, Any]) -> object:
        """The managers and providers the login page offers."""
        page = self.services.auth.login_page(call.headers.get("Cookie", ""))
        if page.set_cookie is not None:
            call.response_headers["Set-Cookie"] = page.set_cookie
            call.notrace = True  # the states of links
        return page.config

    @expose(auth="login", body=LoginRequest, lane="login", no_cache=True, answer=LoginResult)
    def auth(self, call: Call, body: LoginRequest) -> object:
        """Log in and get a user token."""
        started = time.monotonic()
        try:
            login = self.services.auth.login(body, call.client, call.headers)
        except AuthenticationError as error:
            self._refused(error, call, body.provider)
            raise
        seconds = time.monotonic() - started
        return self._with_secrets(login, call, success_message(login, seconds))

    @expose(
        methods=("GET",), auth="login", lane="login", no_cache=True, json=False, content=("text/html",), query=CALLBACK
    )
    def oauth(self, call: Call) -> object:
        """Where external providers send a browser back to; answers the page that hands over the token."""
        call.notrace = True
        spent = self.services.auth.external.spent_cookie
        if spent is not None:
            call.response_headers["Set-Cookie"] = spent
        try:
            login = self.services.auth.external_login(Callback.from_query(call.query), call.client, call.headers)
            return self._page_with_token(login, call)
        except ODError as error:
            self._refused(error, call)
            self.logger.warning("login by an external provider failed: %s: %s", error.doing, error.message)
            if not wants_page(call.headers.get("Accept", "")):
                raise
            return page_content(error_page(error.message), error.status)

    @expose(auth="login", body=dict, form=True, lane="login", no_cache=True, json=False, content=("text/html",))
    def autologin(self, call: Call, body: dict[str, Any]) -> object:
        """Log in with a form of another site; answers the page that hands over the token."""
        call.notrace = True
        if self.settings.http.denied("autologin"):
            raise BadRequestError("request is denied by configfile")
        request = _autologin_request(body)
        try:
            login = self.services.auth.explicit_login(request, call.client, call.headers)
            return self._page_with_token(login, call)
        except ODError as error:
            self._refused(error, call, request.provider)
            raise

    @expose(auth="user", body=dict, lane="login", no_cache=True, answer=LoginResult)
    def buildsecret(self, call: Call, body: dict[str, Any]) -> object:
        """Log a user who came without a password in to a directory too, and write the secrets that gives."""
        password = body.get("password")
        if not isinstance(password, str) or len(password) > MAX_CREDENTIAL:
            raise BadRequestError("Bad request invalid password parameter")
        try:
            login = self.services.auth.approved_login(call.identity, password, call.client, call.headers)
        except AuthenticationError as error:
            self._refused(error, call)
            raise
        return self._with_secrets(login, call, "Authentication successful")

    @expose(auth="user", body=object, no_cache=True, answer=UserToken)
    def refreshtoken(self, call: Call, body: object) -> object:
        """Exchange a valid user token for a new one."""
        tokens = self.services.usertokens
        answer = {"expire_in": tokens.expire_in, "jwt_user_token": tokens.issue(call.identity)}
        return Success(answer, "Refresh token success")

    @expose(auth="optional", body=dict, answer=Place)
    def disconnect(self, call: Call, body: dict[str, Any]) -> object:
        """Leave; the desktop stays."""
        if call.optional_identity is None:
            return _failed("invalid user credentials")
        return HOME

    @expose(auth="optional", body=dict, lane="work", answer=Place)
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

    @expose(auth="optional", body=dict, answer=dict[str, str])
    def labels(self, call: Call, body: dict[str, Any]) -> object:
        """The caller's labels."""
        if call.optional_identity is None:
            return SoftError("invalid user credentials")
        return call.optional_identity.labels

    @expose(auth="optional", body=dict, answer=bool)
    def isauthenticated(self, call: Call, body: dict[str, Any]) -> object:
        """Whether the request carries a valid user token."""
        return call.optional_identity is not None


def _autologin_request(body: dict[str, Any]) -> LoginRequest:
    """Raises BadRequestError naming the parameter that is missing, no text or too long."""
    values = {name: body.get(name) for name in ("login", "provider", "password")}
    for name, value in values.items():
        absent = value is None and name != "login"
        if not absent and (not isinstance(value, str) or len(value) > MAX_CREDENTIAL):
            raise BadRequestError(f"Bad request invalid {name} parameter")
    if not values["login"]:
        raise BadRequestError("Bad request invalid login parameter")
    return LoginRequest(userid=values["login"], provider=values["provider"], password=values["password"])


def _failed(reason: str) -> Bare:
    """A failure that still tells the page where to go."""
    return Bare({"status": 500, "result": HOME, "error": reason})
