"""Pods."""

from __future__ import annotations

from devstack.cluster.errors import FieldError
from devstack.cluster.objects import Object


def validate_new(pod: Object) -> list[FieldError]:
    return []


def warnings(pod: Object) -> list[str]:
    return []
