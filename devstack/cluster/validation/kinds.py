"""Kinds other than pods."""

from __future__ import annotations

from collections.abc import Callable

from devstack.cluster.errors import FieldError
from devstack.cluster.objects import Object

VALIDATORS: dict[str, Callable[[Object], list[FieldError]]] = {}
UPDATE_VALIDATORS: dict[str, Callable[[Object, Object], list[FieldError]]] = {}
