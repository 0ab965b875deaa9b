"""get and list."""

from __future__ import annotations

import base64
import binascii
import heapq
import itertools
import json
from collections.abc import Iterable, Iterator
from operator import attrgetter, itemgetter

from devstack.cluster import options, selectors
from devstack.cluster.calls import Api, Call, Reply, list_reply, object_reply
from devstack.cluster.errors import ApiError, bad_request, expired, not_found
from devstack.cluster.objects import Object
from devstack.cluster.selectors import FieldSelector, LabelSelector
from devstack.cluster.store import ADDED, DELETED, CompactedError, Item, Store

_TOO_OLD = "The resourceVersion for the provided list is too old."
_CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def get(api: Api, call: Call) -> Reply:
    """One object.  Raises ApiError 404, or 504 for a version that is yet to come."""
    text = options.first(call.query, "resourceVersion")
    if text and text != "0":
        try:
            wanted = options.version_number(text)
        except ValueError as error:
            raise bad_request(f"invalid resource version: {error}") from error
        if wanted > api.store.version:
            raise options.too_large(wanted, api.store.version)
    info = call.info
    item = api.store.item(call.resource.storage, info.namespace, info.name)
    if item is None:
        raise not_found(info.resource, info.group, info.name)
    return object_reply(call, item)


def matching(
    store: Store, kind: str, namespace: str | None, labels: LabelSelector, fields: FieldSelector, after: str = ""
) -> Iterator[Item]:
    """The items that fit, in the order of a list, by an index where one serves; of one namespace, after a name."""
    indexed = labels.indexable()
    found: Iterable[Item]
    if fields.name is not None and (namespace or fields.namespace):
        item = store.item(kind, namespace or fields.namespace, fields.name)
        found = [item] if item else []
    elif indexed:
        found = store.table(kind).labelled(namespace, *indexed)
    else:
        found = store.table(kind).ordered(namespace or fields.namespace, after)
    return (item for item in found if labels.fits(item.obj) and fields.fits(item.obj))


def past_items(store: Store, kind: str, namespace: str | None, version: int, after: str = "") -> Iterator[Item]:
    """The items as they were at a version; of one namespace, those after a name.  Raises CompactedError."""
    before: dict[tuple[str, str], Item | None] = {}
    for change in reversed(store.since(kind, version)):
        key = (change.item.namespace, change.item.name)
        if namespace is None or (key[0] == namespace and key[1] > after):
            was = change.previous or (change.item if change.type == DELETED else None)
            before[key] = None if change.type == ADDED else was
    present = store.table(kind).ordered(namespace, after)
    unchanged = (item for item in present if (item.namespace, item.name) not in before)
    past = [item for _, item in sorted(before.items(), key=itemgetter(0)) if item is not None]
    return heapq.merge(unchanged, past, key=attrgetter("namespace", "name"))


def encode_continue(version: int, item: Item) -> str:
    start = f"{item.namespace}/{item.name}\0" if item.namespace else f"{item.name}\0"
    document = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode_continue(token: str) -> tuple[int, str]:
    """(version, key to start after).  Raises ApiError 400."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise bad_request("invalid continue token: continue key is not valid: illegal base64 data") from None
    try:
        document = json.loads(raw)
        return int(document["rv"]), str(document["start"])
    except (ValueError, KeyError, TypeError):
        first = raw[:1].decode("latin-1")
        why = f"continue key is not valid: invalid character '{first}' looking for beginning of value"
        raise bad_request(f"invalid continue token: {why}") from None


def list_objects(api: Api, call: Call) -> Reply:
    """A list, or a page of one."""
    wanted = options.list_options(call.query, watch=False)
    kind, namespace, store = call.resource.storage, call.info.namespace or None, api.store
    labels = selectors.parse_labels(wanted.labels)
    fields = selectors.parse_fields(wanted.fields, kind)
    if wanted.version is not None and wanted.version > store.version:
        raise options.too_large(wanted.version, store.version)
    version, start = store.version, ""
    consistent = True
    if wanted.continue_token:
        version, start = decode_continue(wanted.continue_token)
        consistent = version > 0
        version = version if consistent else store.version
    elif wanted.match == "Exact" and wanted.version:
        version = wanted.version
    after = start.lstrip("/")
    found = _items_at(store, kind, namespace, labels, fields, version, start)
    found = (item for item in found if not after or _key(item, namespace) > after)
    # How many remain is told of lists without selectors only: else reading stops behind the page.
    selected = bool(wanted.labels or wanted.fields)
    items = list(itertools.islice(found, wanted.limit + 1 if wanted.limit and selected else None))
    metadata: Object = {"resourceVersion": str(version)}
    if wanted.limit and (len(items) > wanted.limit or _more_behind(store, kind, namespace, items, wanted.limit)):
        rest = max(len(items) - wanted.limit, 0)
        items = items[: wanted.limit]
        metadata["continue"] = encode_continue(version if consistent else -1, _keyed(items[-1], namespace))
        if not selected:
            metadata["remainingItemCount"] = rest
    return list_reply(call, items, metadata)


def _more_behind(store: Store, kind: str, namespace: str | None, items: list[Item], limit: int) -> bool:
    """Whether a full page is followed by objects at all: that they do not fit only shows when they are read."""
    if len(items) < limit:
        return False
    last = store.table(kind).last(namespace)
    return last is not None and (last.namespace, last.name) > (items[-1].namespace, items[-1].name)


def _key(item: Item, namespace: str | None) -> str:
    return f"{item.name}\0" if namespace or not item.namespace else f"{item.namespace}/{item.name}\0"


def _keyed(item: Item, namespace: str | None) -> Item:
    if not namespace:
        return item
    bare = Item(item.obj, item.version)
    bare.namespace = ""
    return bare


def _items_at(
    store: Store,
    kind: str,
    namespace: str | None,
    labels: LabelSelector,
    fields: FieldSelector,
    version: int,
    start: str,
) -> Iterator[Item]:
    name = start.lstrip("/").rstrip("\0") if namespace else ""
    if version == store.version or store.table(kind).changed <= version:
        return matching(store, kind, namespace, labels, fields, name)
    try:
        items = past_items(store, kind, namespace, version, name)
    except CompactedError:
        raise _too_old(start) from None
    return (item for item in items if labels.fits(item.obj) and fields.fits(item.obj))


def _too_old(start: str) -> ApiError:
    if not start:
        return expired(_TOO_OLD)
    error = expired(_CONTINUE_TOO_OLD)
    document = json.dumps({"v": "meta.k8s.io/v1", "rv": -1, "start": start}, separators=(",", ":"))
    error.metadata = {"continue": base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")}
    return error
