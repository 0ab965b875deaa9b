"""The API document of the product, made without a running service."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import controllers
from controllers.root import Root
from oc.web.application import mount_controllers
from oc.web.openapi import openapi_document, path_of
from oc.web.routing import Endpoint

from .harness import make_services


@functools.cache
def endpoints() -> tuple[tuple[str, Endpoint], ...]:
    """URL segment of the controller and endpoint of every exposed route."""
    mounts = mount_controllers(make_services(), Root(), controllers)
    return tuple((name, endpoint) for name, mount in mounts.items() for endpoint in mount.tree.endpoints())


@functools.cache
def product_document() -> dict[str, Any]:
    """What ``/API/openapi.json`` answers."""
    return openapi_document(endpoints())


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    endpoint: Endpoint

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def operations() -> Iterator[Operation]:
    """Every exposed method of every path, sorted."""
    found = [
        Operation(method, path_of(controller, endpoint.route), endpoint)
        for controller, endpoint in endpoints()
        for method in endpoint.route.methods
    ]
    return iter(sorted(found, key=lambda operation: (operation.path, operation.method)))
