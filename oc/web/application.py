"""The API as a CherryPy application: own dispatcher, own tools, one place for errors.

Nothing here is global: an application carries its routes, lanes and tools, so that several can live in one process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import cherrypy
from cherrypy._cprequest import Request
from cherrypy._cptools import Tool, Toolbox

from oc.errors import BadRequestError, BanAuthIPError, BanAuthUserError, ODError, ODResourceNotFoundError
from oc.logging import enter_context, leave_context
from oc.od.base_controller import BaseController
from oc.od.settings.controllers import ControllerPolicy
from oc.web.address import client_address
from oc.web.answers import Reply, finish
from oc.web.bodies import read_document, typed_body
from oc.web.call import Call
from oc.web.clients import client_info
from oc.web.conditional import not_modified
from oc.web.discovery import discover
from oc.web.errors import FrameworkError, answer_error
from oc.web.exposing import METHODS_WITH_BODY, Route, routes_of
from oc.web.guards import TOKEN_HEADER, Guard, NoBans, SpoofedHeaderError
from oc.web.lanes import SHORT, Lane, default_lanes
from oc.web.openapi import openapi_document
from oc.web.policy import KeyThrottle, check_policy
from oc.web.routing import Endpoint, Match, RouteTree, split_path
from oc.web.tracing import trace_request, trace_response

if TYPE_CHECKING:
    from oc.od.services import ODServices

MOUNT = "/API"
ANONYMOUS = "anonymous"
_MAX_QUERY_FIELDS = 64
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REFUSALS: Mapping[type[BaseException], str] = {
    BanAuthIPError: "refused_address",
    BanAuthUserError: "refused_login",
    SpoofedHeaderError: "spoofed_header",
}


@dataclass(frozen=True, slots=True)
class Mount:
    """One controller and its routes. name: its URL segment, empty for the root."""

    name: str
    controller: BaseController
    policy: ControllerPolicy | None
    tree: RouteTree


class Api:
    """All that serves requests: controllers, guard, lanes. ``mounts`` is by URL segment; ``""`` is the root."""

    def __init__(
        self, services: ODServices, mounts: Mapping[str, Mount], lanes: Mapping[str, Lane], throttle: KeyThrottle
    ) -> None:
        self.services = services
        self.mounts = mounts
        self.lanes = lanes
        self.throttle = throttle
        self._document: Mapping[str, object] | None = None
        self.trace_limit = services.settings.http.max_log_body_size
        self.trusted = services.settings.http.trusted_proxy_cidr
        self.languages = tuple(services.settings.language)

    @property
    def guard(self) -> Guard:
        """Built on each use: services may be replaced in a test."""
        return Guard(self.services.usertokens, self.services.fail2ban or NoBans())

    def openapi(self) -> Mapping[str, object]:
        """The OpenAPI document of all routes."""
        if self._document is None:
            self._document = openapi_document(
                (name, endpoint) for name, mount in self.mounts.items() for endpoint in mount.tree.endpoints()
            )
        return self._document

    def require_operator(self, address: str, key: str | None) -> None:
        """Let only those pass whom the policy of ManagerController admits. Raises AccessDeniedError."""
        policy = self.services.settings.controllers["ManagerController"]
        check_policy(policy, ("openapi",), address, key, self.throttle)

    def measure(self, label: str, method: str, status: int, seconds: float) -> None:
        """Count one request that was answered."""
        if self.services.accounting is not None:
            self.services.accounting.metrics.request(label, method if method in _METHODS else "other", status, seconds)

    def count_refusal(self, error: BaseException | None) -> None:
        """Count a request refused because of a ban, a header or its parameters."""
        reason = next((reason for kind, reason in _REFUSALS.items() if isinstance(error, kind)), None)
        if reason is not None and self.services.accounting is not None:
            self.services.accounting.metrics.refused(reason)
        if isinstance(error, BadRequestError) and self.services.accounting is not None:
            self.services.accounting.increment("api", "bad_parameters")

    def find(self, segments: tuple[str, ...]) -> tuple[Mount, tuple[str, ...]]:
        """The controller of a URL and the segments below it. Raises ODResourceNotFoundError."""
        if segments and segments[0] in self.mounts:
            return self.mounts[segments[0]], segments[1:]
        return self.mounts[""], segments


@dataclass(slots=True)
class Exchange:
    """What the tools and the handler of one request share."""

    api: Api
    call: Call
    match: Match | None = None
    document: object = field(default_factory=dict)
    reply: Reply | None = None
    label: str = "unmatched"
    started: float = field(default_factory=time.monotonic)


class Refusal(cherrypy.HTTPError):  # type: ignore[misc]  # CherryPy has no types
    """Carries a failure out of a tool: CherryPy logs the stack of any other exception raised there."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(500)
        self.reason = reason


class ApiRequest(Request):  # type: ignore[misc]  # CherryPy has no types
    """CherryPy's request, with every failure answered by ``oc.web.errors``."""

    exchange: Exchange | None = None

    def _do_respond(self, path_info: str) -> None:
        try:
            super()._do_respond(path_info)
        except Refusal as refusal:
            raise refusal.reason from None
        except cherrypy.HTTPError as error:
            raise FrameworkError(str(error._message or ""), status=int(error.code)) from error

    def process_headers(self) -> None:
        """Headers as they came. CherryPy would decode ``=?charset?..?=`` of RFC 2047, which HTTP does not have: a
        header could then hold what no header may hold.
        """
        for name, value in self.header_list:
            self.headers[name.title()] = value.strip()
        host = dict.get(self.headers, "Host")
        if host is None and self.protocol >= (1, 1):
            raise BadRequestError("HTTP/1.1 requires a 'Host' request header.")
        self.base = f"{self.scheme}://{host or self.local.name or self.local.ip}"

    def process_query_string(self) -> None:
        """The dispatcher decodes the query: an undecodable one is 400 here, not 404."""

    def handle_error(self) -> None:
        error = sys.exc_info()[1]
        path = self.exchange.call.path if self.exchange is not None else "request"
        reply = answer_error(error if error is not None else ODError(), path)
        _send(reply, {})
        if self.exchange is not None:
            self.exchange.reply = reply
            self.exchange.api.count_refusal(error)
        cherrypy.serving.response.finalize()


class ApiDispatcher:
    """Finds the controller and the route of a request; refusals wait for the ``access`` tool, after the policy."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def __call__(self, path_info: str) -> None:
        request = cherrypy.serving.request
        # Not CherryPy's global configuration: od.config may switch on tools there that no longer exist.
        request.config = dict(request.app.config.get("/", {}))
        raw, _, query = str(request.wsgi_environ.get("REQUEST_URI") or path_info).partition("?")
        # The access log shows the request line: a query may carry codes and keys.
        request.request_line = f"{request.method} {raw} {request.server_protocol}"
        request.exchange = Exchange(self._api, _make_call(self._api, request, raw))
        enter_context(ANONYMOUS, request.exchange.call.client.ipaddr)
        request.handler = _Handler(request.exchange, raw, query)


class _Handler:
    """The page handler CherryPy runs; ``admit`` and ``read`` are run before it by the tools."""

    def __init__(self, exchange: Exchange, raw: str, query: str) -> None:
        self._exchange = exchange
        self._raw = raw
        self._query = query

    def admit(self) -> None:
        """Policy, route, method, then token: the order of http-api.md 2.9 and 2.10."""
        exchange, api, call = self._exchange, self._exchange.api, self._exchange.call
        call.segments = split_path(_below_mount(self._raw))
        mount, below = api.find(call.segments)
        if mount.policy is not None:
            check_policy(mount.policy, below, call.address.ip, call.headers.get("X-API-Key"), api.throttle)
        if not below:
            raise ODResourceNotFoundError("the requested resource does not exist")
        exchange.match = mount.tree.match(below, call.method)
        exchange.label = "/".join(part for part in (mount.name, exchange.match.endpoint.route.path) if part)
        call.query = _parse_query(self._query)
        route = exchange.match.endpoint.route
        call.optional_identity = api.guard.admit(route.auth, call.address, call.headers.get(TOKEN_HEADER))
        if call.optional_identity is not None:
            enter_context(call.optional_identity.userid, call.client.ipaddr)

    def read(self) -> None:
        """Read the request body, when the route has one."""
        exchange = self._exchange
        route = _route_of(exchange)
        exchange.document = read_document(
            route, exchange.call.method, exchange.call.headers, cherrypy.serving.request.rfile
        )

    def trace(self) -> None:
        exchange = self._exchange
        trace_request(exchange.call, _route_of(exchange), exchange.document, exchange.api.trace_limit)

    def __call__(self) -> bytes:
        exchange = self._exchange
        if exchange.match is None:
            raise ODResourceNotFoundError
        endpoint, parameters = exchange.match.endpoint, exchange.match.parameters
        route = endpoint.route
        arguments: list[Any] = [exchange.call]
        if route.body is not None:
            has_body = exchange.call.method in METHODS_WITH_BODY
            arguments.append(typed_body(route, exchange.document if has_body else {}))
        lane = _lane_of(route, exchange.api.lanes)
        if lane is not None:
            with lane.enter(_who(exchange.call)):
                value = endpoint.handler(*arguments, **parameters)
        else:
            value = endpoint.handler(*arguments, **parameters)
        extra = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff"} if route.no_cache else {}
        call = exchange.call
        unchanged = not_modified(call.method, call.headers.get("If-None-Match"), call.response_headers)
        exchange.reply = unchanged or finish(value, envelope=route.envelope)
        return _send(exchange.reply, {**extra, **exchange.call.response_headers})


def _lane_of(route: Route, lanes: Mapping[str, Lane]) -> Lane | None:
    """The lane a route declares; of the others those that anybody may call, which touch no service, need none."""
    if route.lane:
        return lanes[route.lane]
    return lanes.get(SHORT) if route.auth != "none" else None


def _who(call: Call) -> str:
    """Whose place in a lane it is; operators and people who log in are nobody in particular."""
    identity = call.optional_identity
    return f"{identity.provider}/{identity.userid}" if identity is not None else ""


def _route_of(exchange: Exchange) -> Any:
    if exchange.match is None:
        raise ODResourceNotFoundError
    return exchange.match.endpoint.route


def _send(reply: Reply, extra: Mapping[str, str]) -> bytes:
    response = cherrypy.serving.response
    response.status = reply.status
    response.headers.pop("Content-Length", None)
    response.headers["Server"] = "pyos"
    for name, text in {**reply.headers, **extra}.items():
        response.headers[name] = text
    response.body = reply.body
    return reply.body


def _make_call(api: Api, request: Any, raw: str) -> Call:
    headers: Mapping[str, str] = request.headers
    peer = (str(request.wsgi_environ.get("REMOTE_ADDR", "")), int(request.wsgi_environ.get("REMOTE_PORT") or 0))
    address = client_address(peer[0], headers.get("X-Forwarded-For"), headers.get("X-Real-IP"), api.trusted)
    return Call(
        method=str(request.method),
        path=_below_mount(raw)[:512],
        segments=(),
        headers=headers,
        query={},
        address=address,
        client=client_info(headers, address.ip, api.languages),
        peer=peer,
    )


def _below_mount(raw: str) -> str:
    """The path without scheme, host and mount point."""
    if not raw.startswith("/") and "://" in raw:
        raw = "/" + raw.split("://", 1)[1].partition("/")[2]
    return raw[len(MOUNT) :] if raw.startswith(MOUNT) else raw


def _parse_query(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS))
    except ValueError as error:
        raise BadRequestError("the query string is not acceptable") from error


def _refusing(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:
        raise Refusal(error) from error


def _admit() -> None:
    _refusing(cherrypy.serving.request.handler.admit)


def _read() -> None:
    _refusing(cherrypy.serving.request.handler.read)


def _trace_request() -> None:
    _refusing(cherrypy.serving.request.handler.trace)


def _trace_response() -> None:
    exchange = cherrypy.serving.request.exchange
    if exchange is not None and exchange.reply is not None:
        route = exchange.match.endpoint.route if exchange.match is not None else None
        trace_response(exchange.call, route, exchange.reply, exchange.api.trace_limit)


def _end() -> None:
    exchange = cherrypy.serving.request.exchange
    if exchange is not None:
        status = exchange.reply.status if exchange.reply is not None else 500
        seconds = time.monotonic() - exchange.started
        exchange.api.measure(exchange.label, exchange.call.method, status, seconds)
    leave_context()


def _toolbox() -> Toolbox:
    """The tools of the API, switched on by ``api.*`` in the application's configuration."""
    box = Toolbox("api")
    box.access = Tool("before_request_body", _admit, priority=10)
    box.body = Tool("before_request_body", _read, priority=20)
    box.trace_request = Tool("before_handler", _trace_request)
    box.trace_response = Tool("on_end_request", _trace_response, priority=50)
    box.context = Tool("on_end_request", _end, priority=90)
    return box


def mount_controllers(
    services: ODServices, root: BaseController, package: ModuleType | None, extra: Iterable[BaseController] = ()
) -> dict[str, Mount]:
    """Make every controller and collect its routes. Raises ValueError for routes that collide."""
    policies = services.settings.controllers
    mounts = {"": _mount("", services, root, None)}
    for name, cls in discover(package) if package is not None else ():
        policy = policies.get(cls.__name__)
        mounts[name] = _mount(name, services, cls(policy), policy)
    for controller in extra:
        name = type(controller).__name__.removesuffix("Controller").lower()
        mounts[name] = _mount(name, services, controller, controller.policy)
    return mounts


def _mount(name: str, services: ODServices, controller: BaseController, policy: ControllerPolicy | None) -> Mount:
    controller.services = services
    tree = RouteTree()
    for route, handler in routes_of(controller):
        if route.auth == "manager" and policy is None:
            raise ValueError(f"{type(controller).__name__}.{route.path} needs a controller policy")
        tree.add(Endpoint(route, handler))
    return Mount(name, controller, policy, tree)


def make_application(
    services: ODServices,
    root: BaseController,
    package: ModuleType | None = None,
    *,
    extra: Iterable[BaseController] = (),
    lanes: Mapping[str, Lane] | None = None,
    throttle: KeyThrottle | None = None,
) -> Any:
    """The WSGI application, a ``cherrypy.Application`` mounted at ``/API``.

    package: where controllers are discovered; extra: more controllers (tests).
    """
    mounts = mount_controllers(services, root, package, extra)
    chosen = default_lanes(services.settings.server.thread_pool) if lanes is None else lanes
    api = Api(services, mounts, chosen, throttle or KeyThrottle())
    for mount in mounts.values():
        mount.controller.root = api
    application = cherrypy.Application(None, MOUNT)
    application.request_class = ApiRequest
    application.toolboxes = {**application.toolboxes, "api": _toolbox()}
    tools = ("access", "body", "trace_request", "trace_response", "context")
    application.merge(
        {
            "/": {
                "request.dispatch": ApiDispatcher(api),
                "request.process_request_body": False,
                "request.show_tracebacks": False,
                **{f"api.{name}.on": True for name in tools},
            }
        }
    )
    cherrypy.log.screen = application.log.screen = False
    return application
