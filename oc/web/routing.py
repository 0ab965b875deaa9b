"""From a URL to a route (http-api.md 2.3, 2.4). Pure: knows neither CherryPy nor the controllers' work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from oc.errors import BadRequestError, ODError, ODResourceNotFoundError
from oc.web.exposing import Route

Handler = Callable[..., object]
_PARAMETER = re.compile(r"\{([a-z_]+)(\*?)\}")
MAX_SEGMENTS = 32
MAX_PATH = 4096


class MethodNotAllowedError(ODError):
    """The path exists, the method does not. ``allow`` goes into the ``Allow`` header."""

    status = 405
    default_message = "method not allowed"

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__()
        self.allow = allow


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route and the bound method that serves it."""

    route: Route
    handler: Handler


@dataclass(frozen=True, slots=True)
class Match:
    """A resolved request."""

    endpoint: Endpoint
    parameters: dict[str, str]


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: tuple[str, _Node] | None = None
    rest: tuple[str, _Node] | None = None
    endpoints: dict[str, Endpoint] = field(default_factory=dict)


class RouteTree:
    """The routes of one controller."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, endpoint: Endpoint) -> None:
        """Register a route. Raises ValueError when the same path and method are exposed twice or names disagree."""
        node = self._root
        for part in endpoint.route.path.split("/"):
            node = _descend(node, part)
        for method in endpoint.route.methods:
            if method in node.endpoints:
                raise ValueError(f"{method} {endpoint.route.path} is exposed twice")
            node.endpoints[method] = endpoint

    def match(self, segments: tuple[str, ...], method: str) -> Match:
        """Find the route. Raises ODResourceNotFoundError or MethodNotAllowedError."""
        allow: list[str] = []
        for node, parameters in _candidates(self._root, segments):
            endpoint = node.endpoints.get(method) or (node.endpoints.get("GET") if method == "HEAD" else None)
            if endpoint is not None:
                return Match(endpoint, parameters)
            allow += [name for one in node.endpoints.values() for name in one.route.allow]
        if allow:
            raise MethodNotAllowedError(tuple(sorted(set(allow))))
        raise ODResourceNotFoundError("the requested resource does not exist")

    def endpoints(self) -> Iterator[Endpoint]:
        """All routes, once each."""
        seen: set[int] = set()
        for endpoint in _walk(self._root):
            if id(endpoint) not in seen:
                seen.add(id(endpoint))
                yield endpoint


def _descend(node: _Node, part: str) -> _Node:
    found = _PARAMETER.fullmatch(part)
    if found is None:
        return node.literals.setdefault(part, _Node())
    name, is_rest = found.group(1), bool(found.group(2))
    existing = node.rest if is_rest else node.parameter
    if existing is None:
        existing = (name, _Node())
        if is_rest:
            node.rest = existing
        else:
            node.parameter = existing
    if existing[0] != name:
        raise ValueError(f"parameter {name!r} is called {existing[0]!r} in another route of the same path")
    return existing[1]


def _candidates(node: _Node, segments: tuple[str, ...]) -> Iterator[tuple[_Node, dict[str, str]]]:
    """Nodes that fit, the most literal first."""
    if not segments:
        if node.endpoints:
            yield node, {}
        return
    head, tail = segments[0], segments[1:]
    if head in node.literals:
        yield from _candidates(node.literals[head], tail)
    if node.parameter is not None:
        name, child = node.parameter
        for found, parameters in _candidates(child, tail):
            yield found, {name: head, **parameters}
    if node.rest is not None:
        name, child = node.rest
        yield child, {name: "/".join(segments)}


def _walk(node: _Node) -> Iterator[Endpoint]:
    yield from node.endpoints.values()
    for child in node.literals.values():
        yield from _walk(child)
    for pair in (node.parameter, node.rest):
        if pair is not None:
            yield from _walk(pair[1])


def split_path(raw: str) -> tuple[str, ...]:
    """Segments of a percent-encoded path: split first, decode after, drop the empty ones.

    Raises BadRequestError for text that is not UTF-8, holds NUL, or is far too long.
    """
    if len(raw) > MAX_PATH:
        raise BadRequestError("the path is too long")
    segments = tuple(_decode(part) for part in raw.split("/") if part)
    if len(segments) > MAX_SEGMENTS:
        raise BadRequestError("the path has too many segments")
    return segments


def _decode(part: str) -> str:
    try:
        text = unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequestError("the path is not UTF-8") from error
    if "\0" in text:
        raise BadRequestError("the path holds a NUL character")
    return text
