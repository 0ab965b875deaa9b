"""Following one kind of object in the store."""

from __future__ import annotations

import logging
from collections.abc import Callable

from devstack.cluster.objects import Object
from devstack.cluster.store import DELETED, Store

log = logging.getLogger(__name__)

Handler = Callable[[Object], None]


async def follow(store: Store, kind: str, see: Handler, gone: Handler) -> None:
    """Call `see` for each object there is, comes or changes, and `gone` for each that goes; until cancelled.

    An object that cannot be handled is logged and does not stop the others.
    """
    subscription = store.subscribe(kind)
    try:
        for obj in store.list(kind):
            _handle(kind, see, obj)
        async for type_, obj in subscription:
            _handle(kind, gone if type_ == DELETED else see, obj)
    finally:
        subscription.close()


def _handle(kind: str, handler: Handler, obj: Object) -> None:
    try:
        handler(obj)
    except Exception:
        # The edge of a controller's loop: one bad object must be seen and must not end it.
        log.exception("%s %s", kind, obj["metadata"].get("name"))


def ignore(obj: Object) -> None:
    """A handler that does nothing."""
    del obj
