"""events.k8s.io/v1 and core/v1 Events are one kind in two forms; the store holds the core form."""

from __future__ import annotations

from devstack.cluster.objects import Object
from devstack.cluster.resources import Resource

# (core, events.k8s.io) names of the same field.
_NAMES = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
)


def is_new_form(resource: Resource) -> bool:
    return resource.group == "events.k8s.io"


def to_new(event: Object) -> Object:
    """The core form as events.k8s.io/v1 shows it."""
    renamed = dict(_NAMES)
    return {renamed.get(key, key): value for key, value in event.items() if value != "" and value != 0}


def to_core(event: Object) -> Object:
    """What a client sent as events.k8s.io/v1 in the core form."""
    renamed = {new: core for core, new in _NAMES}
    return {renamed.get(key, key): value for key, value in event.items()}
