"""The ``expose`` decorator: a route is declared next to the method that serves it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import msgspec

Auth = Literal["none", "login", "user", "optional", "manager"]
LaneName = Literal["", "launch", "login", "work"]
F = TypeVar("F", bound=Callable[..., object])

KIB = 1024
DEFAULT_MAX_BODY = 2 * KIB * KIB
LARGE_MAX_BODY = 16 * KIB * KIB
METHODS_WITH_BODY = ("POST", "PUT", "PATCH")
_KNOWN_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
_ATTRIBUTE = "_oc_routes"


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter, for the API document. ``type``: anything msgspec has a schema for."""

    name: str
    type: Any
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One declared route of a controller method. ``path`` is relative to the controller.

    form: the body may also be form-encoded, as browsers send it without JavaScript; nothing then keeps another site
    from sending it. answer, query, content, json, tagged describe the route in the API document and change nothing.
    """

    path: str
    methods: tuple[str, ...]
    auth: Auth = "none"
    body: Any = None
    empty_body: bool = False
    max_body: int = DEFAULT_MAX_BODY
    envelope: bool = True
    trace: bool = True
    no_cache: bool = False
    lane: LaneName = ""
    form: bool = False
    summary: str = ""
    answer: Any = None
    query: tuple[Query, ...] = ()
    content: tuple[str, ...] = ()
    json: bool = True
    tagged: bool = False

    @property
    def allow(self) -> tuple[str, ...]:
        """Methods to announce: HEAD goes with GET."""
        return (*self.methods, "HEAD") if "GET" in self.methods else self.methods


def expose(
    path: str | None = None,
    *,
    methods: tuple[str, ...] = ("POST",),
    auth: Auth = "none",
    body: Any = None,
    empty_body: bool | None = None,
    max_body: int = DEFAULT_MAX_BODY,
    envelope: bool = True,
    trace: bool = True,
    no_cache: bool = False,
    lane: LaneName = "",
    form: bool = False,
    answer: Any = None,
    query: tuple[Query, ...] = (),
    content: tuple[str, ...] = (),
    json: bool = True,
    tagged: bool = False,
) -> Callable[[F], F]:
    """Make a controller method a route; see the package's docstring. Raises ValueError for a bad declaration."""
    unknown = [method for method in methods if method not in _KNOWN_METHODS]
    if unknown or not methods:
        raise ValueError(f"unknown HTTP methods {unknown}")
    if auth not in get_args(Auth) or lane not in get_args(LaneName):
        raise ValueError(f"unknown auth {auth!r} or lane {lane!r}")

    def decorate(function: F) -> F:
        route = Route(
            path=function.__name__ if path is None else path.strip("/"),
            methods=methods,
            auth=auth,
            body=body,
            empty_body=_may_be_empty(body) if empty_body is None else empty_body,
            max_body=max_body,
            envelope=envelope,
            trace=trace,
            no_cache=no_cache,
            lane=lane,
            form=form,
            answer=answer,
            query=query,
            content=content,
            json=json,
            tagged=tagged,
            summary=(inspect.getdoc(function) or "").split("\n", 1)[0],
        )
        setattr(function, _ATTRIBUTE, (*getattr(function, _ATTRIBUTE, ()), route))
        return function

    return decorate


def routes_of(controller: object) -> Iterator[tuple[Route, Callable[..., object]]]:
    """Each route of ``controller`` with the bound method that serves it; only marked methods are seen."""
    for name in dir(type(controller)):
        for route in getattr(getattr(type(controller), name), _ATTRIBUTE, ()):
            yield route, getattr(controller, name)


def _may_be_empty(body: Any) -> bool:
    if body is dict:
        return True
    if isinstance(body, type) and issubclass(body, msgspec.Struct):
        return not any(field.required for field in msgspec.structs.fields(body))
    return False
