"""The request edge: reads a request, finds who and what, applies faults, answers; one place for all errors."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from urllib.parse import parse_qsl

from aiohttp import web

from devstack.cluster import (
    adminapi,
    discovery,
    negotiation,
    podparts,
    reading,
    requestinfo,
    reviews,
    scale,
    streaming,
    writing,
)
from devstack.cluster.authentication import User
from devstack.cluster.calls import Api, Call, Reply
from devstack.cluster.errors import ApiError, internal, method_not_allowed, no_such_resource
from devstack.cluster.faults import FaultRule, Faults, Seen
from devstack.cluster.negotiation import BODY_LIMIT
from devstack.cluster.objects import encode
from devstack.cluster.options import Query
from devstack.cluster.requestinfo import RequestInfo
from devstack.cluster.resources import BY_PATH, Resource
from devstack.cluster.watching import Watch

logger = logging.getLogger(__name__)
PLAIN = "text/plain; charset=utf-8"
_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip
_Handler = Callable[[Api, Call], Reply]
_VERBS: dict[str, _Handler] = {
    "create": writing.create,
    "get": reading.get,
    "list": reading.list_objects,
    "update": writing.update,
    "patch": writing.patch,
    "delete": writing.delete_object,
    "deletecollection": writing.delete_collection,
}
_PARTS: dict[str, _Handler] = {"get": reading.get, "update": writing.update, "patch": writing.patch}
_CREATED_PARTS: dict[str, _Handler] = {
    "pods/binding": podparts.bind,
    "bindings": podparts.bind,
    "pods/eviction": podparts.evict,
    "serviceaccounts/token": reviews.token,
}
_STORED_PARTS = frozenset({"status", "ephemeralcontainers", "resize", "finalize"})
_STREAMED = frozenset({"pods/log", "pods/exec", "pods/attach", "pods/portforward"})


class _Dropped(Exception):  # noqa: N818  (no error: an order)
    """The connection is to be cut."""


class Server:
    """Handles every request of one cluster."""

    def __init__(self, api: Api, faults: Faults, admin_token: str) -> None:
        self.api = api
        self.faults = faults
        self.watches: set[Watch] = set()
        self._admin = adminapi.AdminApi(api, faults, admin_token, self.watches)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The aiohttp handler."""
        if request.path.startswith(adminapi.PREFIX):
            return await self._admin.handle(request)
        started = time.monotonic()
        query = _query(request.rel_url.raw_query_string)
        info = requestinfo.parse(request.method, request.rel_url.raw_path, query)
        user: User | None = None
        status = 500
        try:
            user = self.api.authenticator.authenticate(request.headers.get("Authorization"))
            response = await self._answer(request, info, query, user)
            status = response.status
            return response
        except ApiError as error:
            status = error.status
            return _error_response(error)
        except _Dropped:
            status = 0
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError from None
        except (ConnectionResetError, asyncio.CancelledError):
            status = 499
            raise
        except Exception:
            logger.exception("no answer to %s %s", request.method, request.path)
            return _error_response(internal("an error on the server has prevented the request from succeeding"))
        finally:
            self._record(request, info, query, user, status, time.monotonic() - started)

    def _record(
        self, request: web.BaseRequest, info: RequestInfo, query: Query, user: User | None, status: int, took: float
    ) -> None:
        self.faults.record(
            Seen(
                time.time(),
                info.verb,
                info.full_resource or info.path[:256],
                info.namespace,
                info.name,
                user.name if user else "",
                status,
                request.headers.get("User-Agent", "")[:256],
                bool(query.get("labelSelector")),
                round(took * 1000, 3),
                query.get("dryRun") == ["All"],
            )
        )

    async def _answer(
        self, request: web.BaseRequest, info: RequestInfo, query: Query, user: User
    ) -> web.StreamResponse:
        rule = self.faults.rule_for(info, user.name) if self.faults.rules else None
        if rule is not None:
            if rule.per_second:
                await self._wait_turn(rule)
            if rule.latency_s:
                await asyncio.sleep(rule.latency_s)
            if not rule.after:
                _fail(rule)
        self.api.authorizer.check(user, info)
        response = await self._route(request, info, query, user)
        if rule is not None and rule.after:
            _fail(rule)
        return response

    async def _wait_turn(self, rule: FaultRule) -> None:
        seconds = self.faults.turn(rule)
        if seconds is None:
            message = "the server has received too many requests and has asked us to try again later"
            raise ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": 1}, {"Retry-After": "1"})
        await asyncio.sleep(seconds)

    async def _route(self, request: web.BaseRequest, info: RequestInfo, query: Query, user: User) -> web.StreamResponse:
        if not info.is_resource:
            return _plain_response(
                discovery.answer(self.api, request.method, info.path, request.headers.get("Accept"), query)
            )
        resource = BY_PATH.get((info.group, info.version, info.resource))
        if resource is None:
            return _plain_response(discovery.unknown(info))
        _check_verb(resource, info, request.method)
        if not resource.namespaced and info.namespace:
            # Of a namespace itself RequestInfo names the namespace too; its objects have none.
            info = dataclasses.replace(info, namespace="")
        full = info.full_resource
        if full in _STREAMED:
            return await streaming.answer(self.api, request, info, query)
        answer = negotiation.negotiate(request.headers.get("Accept"))
        body = await _read(request) if request.method != "GET" else b""
        call = Call(info, resource, user, query, body, request.headers.get("Content-Type"), answer, _manager(request))
        if info.verb == "watch":
            return await self._watch(request, call)
        handler = _handler(info, resource)
        return _call_response(call, handler(self.api, call))

    async def _watch(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        watch = Watch(self.api, call)
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        self.watches.add(watch)
        try:
            await response.prepare(request)
            async for text in watch.lines():
                await response.write(text)
            await response.write_eof()
        except (ConnectionResetError, ConnectionError):
            pass
        finally:
            watch.close()
            self.watches.discard(watch)
        return response


def _query(raw: str) -> Query:
    query: Query = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    return query


async def _read(request: web.BaseRequest) -> bytes:
    """The body.  Raises ApiError 413 when it is too long."""
    too_large = ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_LIMIT}")
    if (request.content_length or 0) > BODY_LIMIT:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > BODY_LIMIT:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _manager(request: web.BaseRequest) -> str:
    """The field manager of a client that names none: its User-Agent up to the first slash."""
    return (request.headers.get("User-Agent") or "unknown").partition("/")[0][:128] or "unknown"


def _check_verb(resource: Resource, info: RequestInfo, method: str) -> None:
    if info.subresource:
        part = resource.subresources.get(info.subresource)
        if part is None or info.extra:
            raise no_such_resource()
        verb = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "")
        if verb not in part.verbs:
            raise method_not_allowed()
        return
    if "/" in info.name or info.extra:
        raise no_such_resource()
    allowed = info.verb in resource.verbs and method != "HEAD"
    if not allowed or (info.verb == "create" and info.name) or (info.verb in ("update", "patch") and not info.name):
        raise method_not_allowed()
    if resource.namespaced and not info.namespace and info.verb not in ("list", "watch"):
        raise method_not_allowed()
    if not resource.namespaced and info.namespace and resource.plural != "namespaces":
        raise no_such_resource()


def _handler(info: RequestInfo, resource: Resource) -> _Handler:
    created = _CREATED_PARTS.get(info.full_resource)
    if created is not None and info.verb == "create":
        return created
    if info.subresource:
        handler = _PARTS.get(info.verb)
        if info.subresource == "scale":
            return scale.HANDLERS[info.verb]
        if handler is None:
            raise method_not_allowed()
        if info.subresource not in _STORED_PARTS:
            raise ApiError(501, "NotImplemented", f"{info.full_resource} is not served by the development cluster")
        return handler
    if resource.plural in reviews.HANDLERS:
        return reviews.HANDLERS[resource.plural]
    return _VERBS[info.verb]


def _fail(rule: FaultRule) -> None:
    if rule.drop:
        raise _Dropped
    if rule.status:
        reason = _REASONS.get(rule.status, "")
        message = rule.message or f"fault on order: {reason or rule.status}"
        headers: dict[str, str] = {}
        details: dict[str, object] | None = None
        if rule.retry_after_s is not None:
            headers["Retry-After"] = str(rule.retry_after_s)
            details = {"retryAfterSeconds": rule.retry_after_s}
        raise ApiError(rule.status, reason, message, details, headers)


def _error_response(error: ApiError) -> web.Response:
    return web.Response(
        status=error.status,
        body=encode(error.body),
        headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private", **error.headers},
    )


def _plain_response(reply: Reply) -> web.Response:
    headers = {"Cache-Control": "no-cache, private", **reply.headers}
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def _call_response(call: Call, reply: Reply) -> web.Response:
    response = _plain_response(reply)
    for warning in dict.fromkeys(call.warnings):
        text = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{text}"')
    return response
