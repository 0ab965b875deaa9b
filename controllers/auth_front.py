"""Routes of ``/API/auth`` for sites in front that know the user already (spec auth.md 2.6, 2.7, 2.11, 6)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from controllers.auth_answers import LoginAnswers
from controllers.schemas import OnlyToken
from oc.errors import ODError
from oc.web import Call, Content, expose

if TYPE_CHECKING:
    from oc.model.identity import Login

HTML: Final = "text/html"
JSON: Final = "application/json"
TEXT: Final = "text/plain"
_SAFE_HEADERS: Final = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff"}
_QUALITY: Final = re.compile(r"(?:^|;)\s*q=([01](?:\.[0-9]{0,3})?)\s*(?:;|$)")


class FrontRoutes(LoginAnswers):
    """Asserted users, announced users, and the keys of users for a SSH bastion."""

    @expose(
        path="logmein",
        methods=("GET",),
        auth="login",
        lane="login",
        no_cache=True,
        answer=OnlyToken,
        content=("text/html", "text/text"),
    )
    def logmein_by_link(self, call: Call) -> object:
        """Log in the user whom a trusted site in front names; answers a page, JSON or text, by ``Accept``."""
        return self._logmein(call, call.query)

    @expose(
        path="logmein",
        auth="login",
        body=dict,
        form=True,
        lane="login",
        no_cache=True,
        answer=OnlyToken,
        content=("text/html", "text/text"),
    )
    def logmein(self, call: Call, body: dict[str, Any]) -> object:
        """The same; parameters may be in the body."""
        return self._logmein(call, {**call.query, **body})

    def _logmein(self, call: Call, parameters: Mapping[str, object]) -> object:
        call.notrace = True  # the answer is a token
        headers = {name.lower(): value for name, value in call.headers.items()}
        try:
            asserted = self.services.logmein.user(call.peer[0], headers, parameters)
            provider = parameters.get("provider")
            login = self.services.auth.asserted_login(provider, asserted.userid, call.client, headers)
        except ODError as error:
            self._refused(error, call, parameters.get("provider"))
            raise
        if asserted.authorized_key:
            self.services.authorized_keys.add_key(login.identity.userid, asserted.authorized_key)
        return self._logged_in(login, call)

    def _logged_in(self, login: Login, call: Call) -> Content:
        wanted = preferred(call.headers.get("Accept", ""), (HTML, JSON, TEXT))
        if wanted == HTML:
            return self._page_with_token(login, call)
        token = self._token_with_secrets(login, call)
        if wanted == TEXT:
            return Content(f"{token}\n", "text/text;charset=utf-8", headers=_SAFE_HEADERS)
        document = {"status": 200, "result": {"jwt_user_token": token}, "message": "login success"}
        return Content(json.dumps(document) + "\n", "application/json;charset=utf-8", headers=_SAFE_HEADERS)

    @expose(
        path="prelogin", methods=("GET",), auth="login", lane="login", no_cache=True, json=False, content=("text/html",)
    )
    def prelogin_by_link(self, call: Call) -> object:
        """The login page for a user whom a front service announces."""
        return self._prelogin(call, call.query)

    @expose(
        path="prelogin",
        auth="login",
        body=dict,
        form=True,
        lane="login",
        no_cache=True,
        json=False,
        content=("text/html",),
    )
    def prelogin(self, call: Call, body: dict[str, Any]) -> object:
        """The same; the user may be in the body."""
        return self._prelogin(call, {**call.query, **body})

    def _prelogin(self, call: Call, parameters: Mapping[str, object]) -> object:
        call.notrace = True  # the page holds the session
        headers = {name.lower(): value for name, value in call.headers.items()}
        try:
            page = self.services.prelogin.announce(call.client, headers, parameters)
        except ODError as error:
            self._refused(error, call)
            raise
        return Content(page, "text/html; charset=utf-8", headers=_SAFE_HEADERS)

    @expose(methods=("GET",), auth="login", lane="work", envelope=False, answer=list[str], content=("text/text",))
    def authorizedkeys(self, call: Call) -> object:
        """The public keys of users who came with a client certificate, one a line, or as a JSON list."""
        lines = self.services.authorized_keys.lines()
        if preferred(call.headers.get("Accept", ""), (TEXT, JSON)) == JSON:
            return Content(json.dumps(lines) + "\n", "application/json;charset=utf-8")
        return Content("".join(f"{line}\n" for line in lines), "text/text;charset=ascii")


def preferred(accept: str, offered: Sequence[str]) -> str:
    """The type of ``offered`` that the header names with the highest quality, the first named among equals.

    Wildcards say nothing; the first of ``offered`` when none is named.
    """
    best, quality = offered[0], 0.0
    for part in accept[:1024].lower().split(","):
        name, _, parameters = part.partition(";")
        match = _QUALITY.search(parameters)
        given = float(match.group(1)) if match else 1.0
        if name.strip() in offered and given > quality:
            best, quality = name.strip(), given
    return best
