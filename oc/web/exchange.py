"""One request on its way through the API: refused or served, answered, told of in the log and the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload
from urllib.parse import parse_qsl

from oc.errors import BadRequestError, ODResourceNotFoundError
from oc.logging import enter_context, leave_context
from oc.web.accesslog import log_access
from oc.web.address import client_address
from oc.web.answers import Reply, finish
from oc.web.application import Api
from oc.web.bodies import Readable, read_document, typed_body
from oc.web.call import Call
from oc.web.clients import client_info
from oc.web.conditional import not_modified
from oc.web.errors import answer_error
from oc.web.exposing import METHODS_WITH_BODY, Route
from oc.web.guards import TOKEN_HEADER
from oc.web.lanes import LAUNCH, SHORT, Lane
from oc.web.policy import check_policy
from oc.web.routing import Match, split_path
from oc.web.tracing import trace_request, trace_response

MOUNT = "/API"
ANONYMOUS = "anonymous"
NO_CACHE = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff"}
_MAX_QUERY_FIELDS = 64
T = TypeVar("T")


class Headers(Mapping[str, str]):
    """Header fields of a request; names are found in any case. ``fields``: by name in title case."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        return self._fields[name.title()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, default: str, /) -> str: ...
    @overload
    def get(self, name: str, default: T, /) -> str | T: ...
    def get(self, name: str, default: object = None, /) -> object:
        return self._fields.get(name.title(), default)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the server read of a request. target: as received. protocol: ``HTTP/1.1``. stream: where its body is."""

    method: str
    target: str
    protocol: str
    headers: Headers
    peer: tuple[str, int]
    stream: Readable


class Exchange:
    """A request and its answer. ``serve`` never raises; ``end`` is called when the answer was sent, or could not be."""

    def __init__(self, api: Api, arrival: Arrival) -> None:
        self._api = api
        self._arrival = arrival
        self._started = time.monotonic()
        self._target, _, self._query = arrival.target.partition("?")
        self._below = _below_mount(self._target)
        self._match: Match | None = None
        self._label = "unmatched"
        self._reply: Reply | None = None
        self._call = self._make_call()
        self._context = enter_context(ANONYMOUS, self._call.client.ipaddr)

    def serve(self) -> Reply:
        """The answer to the request."""
        try:
            self._reply = self._served()
        except Exception as error:  # noqa: BLE001 - the edge of requests: every failure becomes an answer
            self._reply = answer_error(error, self._call.path)
            self._api.count_refusal(error)
        return self._reply

    def end(self) -> None:
        """Tell of it."""
        call, api = self._call, self._api
        reply = self._reply or Reply(500, {})
        try:
            log_access(call, self._target, self._arrival.protocol, reply)
            trace_response(call, self._match.endpoint.route if self._match else None, reply, api.trace_limit)
            api.measure(self._label, call.method, reply.status, time.monotonic() - self._started)
        finally:
            leave_context(self._context)

    def _make_call(self) -> Call:
        headers, peer = self._arrival.headers, self._arrival.peer
        address = client_address(peer[0], headers.get("X-Forwarded-For"), headers.get("X-Real-IP"), self._api.trusted)
        return Call(
            method=self._arrival.method,
            path=(self._target if self._below is None else self._below)[:512],
            segments=(),
            headers=headers,
            query={},
            address=address,
            client=client_info(headers, address.ip, self._api.languages),
            peer=peer,
        )

    def _served(self) -> Reply:
        """Refuse or serve. Raises whatever is to be answered as an error."""
        route, match = self._admit()
        call, api = self._call, self._api
        document = read_document(route, call.method, call.headers, self._arrival.stream)
        trace_request(call, route, document, api.trace_limit)
        arguments: list[Any] = [call]
        if route.body is not None:
            arguments.append(typed_body(route, document if call.method in METHODS_WITH_BODY else {}))
        lane = _lane_of(route, api.lanes)
        if lane is None:
            value = match.endpoint.handler(*arguments, **match.parameters)
        else:
            with lane.enter(_who(call), self._telling_place(route)):
                value = match.endpoint.handler(*arguments, **match.parameters)
        if route.no_cache:
            call.response_headers = {**NO_CACHE, **call.response_headers}
        unchanged = not_modified(call.method, call.headers.get("If-None-Match"), call.response_headers)
        reply = unchanged or finish(value, envelope=route.envelope)
        reply.headers.update(call.response_headers)
        return reply

    def _telling_place(self, route: Route) -> Callable[[int], None] | None:
        """Progress text for who waits for a launch: the page polls for it as it does during the launch itself."""
        identity, messages = self._call.optional_identity, self._api.services.messageinfo
        if route.lane != LAUNCH or identity is None or messages is None:
            return None
        return lambda place: messages.tell_place(identity.userid, place)

    def _admit(self) -> tuple[Route, Match]:
        """Policy, route, method, then token: the order of http-api.md 2.9 and 2.10."""
        call, api = self._call, self._api
        if self._arrival.protocol != "HTTP/1.0" and "Host" not in call.headers:
            raise BadRequestError("HTTP/1.1 requires a 'Host' request header.")
        call.segments = split_path(self._below or "")
        mount, below = api.find(call.segments)
        if mount.policy is not None:
            check_policy(mount.policy, below, call.address.ip, call.headers.get("X-API-Key"), api.throttle)
        if not below:
            raise ODResourceNotFoundError("the requested resource does not exist")
        self._match = match = mount.tree.match(below, call.method)
        route = match.endpoint.route
        self._label = f"{mount.name}/{route.path}".strip("/")
        call.query = _parse_query(self._query)
        identity = api.guard.admit(route.auth, call.address, call.headers.get(TOKEN_HEADER))
        if identity is not None:
            call.optional_identity = identity
            enter_context(identity.userid, call.client.ipaddr)
        return route, match


def _lane_of(route: Route, lanes: Mapping[str, Lane]) -> Lane | None:
    """The lane a route declares; of the others those that anybody may call, which touch no service, need none."""
    if route.lane:
        return lanes[route.lane]
    return lanes.get(SHORT) if route.auth != "none" else None


def _who(call: Call) -> str:
    """Whose place in a lane it is; operators and people who log in are nobody in particular."""
    identity = call.optional_identity
    return f"{identity.provider}/{identity.userid}" if identity is not None else ""


def _below_mount(target: str) -> str | None:
    """The path without scheme, host and mount point; None when it is not below the mount point."""
    if not target.startswith("/") and "://" in target:
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    below = target.removeprefix(MOUNT)
    return below if below != target and below[:1] in ("", "/") else None


def _parse_query(query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        return dict(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS))
    except ValueError as error:
        raise BadRequestError("the query string is not acceptable") from error
