"""The endpoint under /_devstack/ by which tests order faults and see what the server saw.

| path | methods |
| --- | --- |
| faults | GET: the rules; POST: add a FaultRule; DELETE: none any longer |
| pod-rules | the same for PodRule |
| requests | GET: log and counters; DELETE: forget them |
| watches | GET: of what; DELETE [?resource=]: end them; POST {"silent": bool, "resource": ...}: open, but no events |
| copies | POST a CopyOrder: many objects at once, straight into the store |
| compact | POST: forget the history, so that older resourceVersions get 410 |
| reset | POST: no rules, no log |

Every request carries the devstack's own token: `Authorization: Bearer TOKEN`.
"""

from __future__ import annotations

import hmac
from typing import Any

import msgspec
from aiohttp import web

from devstack.cluster.calls import Api
from devstack.cluster.copying import CopyOrder, make_copies
from devstack.cluster.faults import FaultRule, Faults, PodRule
from devstack.cluster.objects import encode
from devstack.cluster.store import AlreadyExistsError, MissingError
from devstack.cluster.watching import Watch

PREFIX = "/_devstack/"
_LIMIT = 64 * 1024


class AdminApi:
    """Handles the admin endpoint of one server."""

    def __init__(self, api: Api, faults: Faults, token: str, watches: set[Watch]) -> None:
        self._api = api
        self._faults = faults
        self._token = token
        self._watches = watches

    async def handle(self, request: web.BaseRequest) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _answer({"error": "a wrong token"}, 401)
        if (request.content_length or 0) > _LIMIT:
            return _answer({"error": "too long"}, 413)
        try:
            body = msgspec.json.decode(await request.read() or b"null")
            if request.path == f"{PREFIX}copies" and request.method == "POST":
                return _answer({"made": await make_copies(self._api.store, msgspec.convert(body, CopyOrder))})
            return self._do(request.path[len(PREFIX) :], request.method, request.query.get("resource", ""), body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            return _answer({"error": str(error)}, 400)
        except MissingError as error:
            return _answer({"error": f"there is no {error}"}, 404)
        except AlreadyExistsError as error:
            return _answer({"error": f"{error} exists already"}, 409)

    def _do(self, what: str, method: str, resource: str, body: Any) -> web.Response:
        faults = self._faults
        if what == "faults":
            return _rules(faults.rules, FaultRule, method, body)
        if what == "pod-rules":
            return _rules(faults.pod_rules, PodRule, method, body)
        if what == "requests" and method == "GET":
            return _answer({"counters": dict(faults.counters), "requests": faults.describe_log()})
        if what == "requests" and method == "DELETE":
            faults.reset_log()
            return _answer({})
        if what == "watches":
            return self._watch(method, resource, body)
        if what == "compact" and method == "POST":
            self._api.store.compact()
            return _answer({})
        if what == "reset" and method == "POST":
            faults.reset()
            return _answer({})
        return _answer({"error": "no such thing"}, 404)

    def _watch(self, method: str, resource: str, body: Any) -> web.Response:
        if method == "GET":
            return _answer({"watches": [watch.resource_name for watch in self._watches]})
        if method == "DELETE":
            ended = self._named(resource)
            for watch in ended:
                watch.close()
            return _answer({"ended": len(ended)})
        settings = body or {}
        silent = bool(settings.get("silent", True))
        named = self._named(settings.get("resource", ""))
        for watch in named:
            watch.silent = silent
        return _answer({"changed": len(named)})

    def _named(self, resource: str) -> list[Watch]:
        return [watch for watch in self._watches if resource in ("", watch.resource_name)]


def _answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=encode(value), content_type="application/json")


def _rules(rules: list[Any], type_: type[msgspec.Struct], method: str, body: Any) -> web.Response:
    if method == "POST":
        rules.append(msgspec.convert(body, type_))
    elif method == "DELETE":
        rules.clear()
    return _answer({"rules": [msgspec.to_builtins(rule) for rule in rules]})
