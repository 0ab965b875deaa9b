"""The API: the controllers, their routes, and what all requests share.

Nothing here is global: several can live in one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from oc.errors import BadRequestError, BanAuthIPError, BanAuthUserError
from oc.model.structs import prepare_structs
from oc.od.base_controller import BaseController
from oc.od.settings.controllers import ControllerPolicy
from oc.web.discovery import discover
from oc.web.exposing import routes_of
from oc.web.guards import Guard, NoBans, SpoofedHeaderError
from oc.web.lanes import Lane, default_lanes
from oc.web.openapi import openapi_document
from oc.web.policy import KeyThrottle, check_policy
from oc.web.routing import Endpoint, RouteTree

if TYPE_CHECKING:
    from oc.od.services import ODServices

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


def make_api(
    services: ODServices,
    root: BaseController,
    package: ModuleType | None = None,
    *,
    extra: Iterable[BaseController] = (),
    lanes: Mapping[str, Lane] | None = None,
    throttle: KeyThrottle | None = None,
) -> Api:
    """The API with every controller mounted, for oc.web.server to serve.

    package: where controllers are discovered; extra: more controllers (tests).
    """
    mounts = mount_controllers(services, root, package, extra)
    prepare_structs("oc", "controllers")  # all modules are imported, no request is served yet
    chosen = default_lanes(services.settings.server.thread_pool) if lanes is None else lanes
    api = Api(services, mounts, chosen, throttle or KeyThrottle())
    for mount in mounts.values():
        mount.controller.root = api
    return api
