"""What every kind of login does at its end: secrets, token, counters, history (spec auth.md 9.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oc.auth.logmein import ForeignNetworkError
from oc.auth.prelogin import PreloginMismatchError
from oc.auth.preloginpage import PreloginDeniedError
from oc.auth.redirectpage import CONTENT_TYPE, Page
from oc.errors import AuthenticationError, AuthenticationFailureError, InvalidCredentialsError, ODError
from oc.od.base_controller import BaseController
from oc.web import Call, Content, SoftError, Success

if TYPE_CHECKING:
    from oc.model.identity import Login

_CHARGED = (InvalidCredentialsError, PreloginMismatchError, PreloginDeniedError, ForeignNetworkError)


class LoginAnswers(BaseController):
    """Shared by the routes that log somebody in."""

    def _with_secrets(self, login: Login, call: Call, message: str) -> object:
        """Prepare the user's secrets and answer with the token."""
        try:
            self.services.composer.prepare_resources(login)
        except ODError as error:
            self.services.accounting.increment("login", "failed")
            self.services.accounting.metrics.login(login.identity.provider, "failed")
            self.logger.error("login of %s: the secrets cannot be written: %s", login.identity.userid, error)
            return SoftError(f"failed to prepare ressources {error.message}", status=401)
        return Success(self._admitted(login, call), message)

    def _page_with_token(self, login: Login, call: Call) -> Content:
        """The page that hands the token over. Raises ODError."""
        return page_content(self.services.redirectpage.render(self._token_with_secrets(login, call)))

    def _token_with_secrets(self, login: Login, call: Call) -> str:
        """Prepare the user's secrets, issue the token. Raises ODError."""
        try:
            self.services.composer.prepare_resources(login)
        except ODError as error:
            self.logger.error("login of %s: the secrets cannot be written: %s", login.identity.userid, error)
            raise AuthenticationError(f"failed to prepare ressources {error.message}", doing="log in") from error
        token: str = self._admitted(login, call)["jwt_user_token"]
        return token

    def _refused(self, error: ODError, call: Call, provider: object = None) -> None:
        """Count a login that failed; a refused credential also counts for the ban of the address."""
        self.services.accounting.increment("login", "failed")
        decided = isinstance(error, AuthenticationError) and not isinstance(error, AuthenticationFailureError)
        self.services.accounting.metrics.login(provider, "refused" if decided else "failed")
        if isinstance(error, _CHARGED) and call.address.chargeable:
            self.services.fail2ban.fail_ip(call.address.ip)

    def _admitted(self, login: Login, call: Call) -> dict[str, Any]:
        """Issue the token, count and remember the login."""
        identity, tokens, accounting = login.identity, self.services.usertokens, self.services.accounting
        token = tokens.issue(identity)
        accounting.increment("login", "success")
        accounting.increment("login", identity.providertype)
        accounting.metrics.login(identity.provider, "success")
        self.services.history.login(identity, call.client, login.attributes)
        self.logger.info("login of %s by provider %s", identity.userid, identity.provider)
        return {
            "userid": identity.userid,
            "jwt_user_token": token,
            "name": identity.name,
            "provider": identity.providertype,
            "expire_in": tokens.expire_in,
        }


def page_content(page: Page, status: int = 200) -> Content:
    """A page with its headers."""
    return Content(page.body, CONTENT_TYPE, status, page.headers)
