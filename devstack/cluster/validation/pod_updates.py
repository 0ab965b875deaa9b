"""Changes of pods."""

from __future__ import annotations

from devstack.cluster.errors import FieldError
from devstack.cluster.objects import Object


def validate(old: Object, new: Object, subresource: str) -> list[FieldError]:
    return []
