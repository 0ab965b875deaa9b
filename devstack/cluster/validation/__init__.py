"""Whether an object is valid, in Kubernetes' own words: one list of field errors an object."""

from __future__ import annotations

from collections.abc import Callable

from devstack.cluster.errors import FieldError
from devstack.cluster.objects import Object
from devstack.cluster.resources import Resource
from devstack.cluster.validation import kinds, metadata, pod_updates, pods

_CREATE: dict[str, Callable[[Object], list[FieldError]]] = {"pods": pods.validate_new, **kinds.VALIDATORS}
_UPDATE: dict[str, Callable[[Object, Object], list[FieldError]]] = kinds.UPDATE_VALIDATORS


def validate_new(resource: Resource, obj: Object) -> list[FieldError]:
    """Faults of an object to be created."""
    errors = metadata.validate(resource, obj)
    validator = _CREATE.get(resource.storage)
    return errors + (validator(obj) if validator else [])


def validate_update(resource: Resource, old: Object, new: Object, subresource: str = "") -> list[FieldError]:
    """Faults of a change to an object."""
    errors = metadata.validate_update(resource, old, new)
    if resource.storage == "pods":
        return errors + pod_updates.validate(old, new, subresource)
    validator = _UPDATE.get(resource.storage)
    if validator:
        return errors + validator(old, new)
    plain = _CREATE.get(resource.storage)
    return errors + (plain(new) if plain else [])


def warnings(resource: Resource, obj: Object) -> list[str]:
    """What Kubernetes warns of though it accepts it."""
    if resource.storage == "pods":
        return pods.warnings(obj)
    return kinds.secret_warnings(obj) if resource.storage == "secrets" else []
