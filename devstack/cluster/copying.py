"""Many objects at once: copies of one that is there, put into the store without a request each.

What a load test needs: ten thousand desktops as real as the one they are copies of, in seconds. A copy shares with its
original all that does not change, so that it costs a few kilobytes.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec

from devstack.cluster.objects import Object
from devstack.cluster.store import AlreadyExistsError, MissingError, Store

BATCH = 100
READ_TRIES = 500
NUMBER = "{n}"


class CopyOrder(msgspec.Struct, forbid_unknown_fields=True):
    """`count` copies of an object, numbered from `first`.

    `replace`: texts and what stands for each of them in a copy, wherever in a value they occur; `{n}` is the number.
    It must change the name.
    """

    kind: str
    name: str
    replace: dict[str, str]
    namespace: str = ""
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    first: int = 0


async def make_copies(store: Store, order: CopyOrder) -> int:
    """Carry an order out; how many copies were made. Watchers are given time to read along.

    Raises MissingError, and AlreadyExistsError at the first name that is taken.
    """
    original = store.get(order.kind, order.namespace, order.name)
    if original is None:
        raise MissingError(order.name)
    for made in range(order.count):
        number = str(order.first + made)
        pairs = [(old, new.replace(NUMBER, number)) for old, new in order.replace.items()]
        copy: Object = _replaced(original, pairs)
        if copy["metadata"]["name"] == original["metadata"]["name"]:
            raise AlreadyExistsError(order.name)
        own = {key: value for key, value in copy["metadata"].items() if key not in ("uid", "resourceVersion")}
        store.create(order.kind, {**copy, "metadata": own}, copy=False)
        if made % BATCH == BATCH - 1:
            await _read_along(store, order.kind)
    return order.count


async def _read_along(store: Store, kind: str) -> None:
    """Wait until those who follow have taken most of it; not for ever, one may have stopped reading."""
    for _ in range(READ_TRIES):
        await asyncio.sleep(0.001)
        if all(subscriber.waiting <= BATCH for subscriber in store.table(kind).subscribers):
            return


def _replaced(value: Any, pairs: list[tuple[str, str]]) -> Any:
    """The value with the texts replaced; the same object where nothing is."""
    if isinstance(value, str):
        for old, new in pairs:
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        changed = {key: _replaced(item, pairs) for key, item in value.items()}
        return changed if any(changed[key] is not item for key, item in value.items()) else value
    if isinstance(value, list):
        items = [_replaced(item, pairs) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value
