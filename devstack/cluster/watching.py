"""watch: a stream of events from a resourceVersion on, each encoded once for all who follow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable

from devstack.cluster import newevents, options, selectors, tables
from devstack.cluster.calls import Api, Call, typed
from devstack.cluster.errors import expired
from devstack.cluster.negotiation import Answer
from devstack.cluster.objects import Object, encode
from devstack.cluster.options import ListOptions
from devstack.cluster.reading import matching
from devstack.cluster.resources import Resource
from devstack.cluster.selectors import FieldSelector, LabelSelector
from devstack.cluster.store import ADDED, DELETED, MODIFIED, Change, CompactedError, Item, Subscription

MIN_TIMEOUT_S = 1800
BOOKMARK_PERIOD_S = 60.0
# A client that reads this many changes too slowly is cut off, and may resume.
WAITING_LIMIT = 10_000
_BOOKMARK_BEFORE_END_S = 2.0
_INITIAL_END = "k8s.io/initial-events-end"


class Watch:
    """One client's watch.  Iterate over it for the lines to send; always `close` it."""

    def __init__(self, api: Api, call: Call) -> None:
        self._store = api.store
        self._resource = call.resource
        self.resource_name = call.resource.plural
        self._namespace = call.info.namespace
        self._answer = call.answer
        self._query = call.query
        self._wanted: ListOptions = options.list_options(call.query, watch=True)
        self._labels: LabelSelector = selectors.parse_labels(self._wanted.labels)
        self._fields: FieldSelector = selectors.parse_fields(self._field_text(call), call.resource.storage)
        self._everything = not self._labels.requirements and not self._fields.conditions
        self._first_table = True
        self._subscription: Subscription | None = None
        self._told_version = 0
        self.silent = False

    def _field_text(self, call: Call) -> str:
        if call.info.name:
            return ",".join(filter(None, [self._wanted.fields, f"metadata.name={call.info.name}"]))
        return self._wanted.fields

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()

    async def lines(self) -> AsyncIterator[bytes]:
        """Event lines until timeoutSeconds is over; several events may come as one text."""
        loop = asyncio.get_running_loop()
        timeout = self._wanted.timeout_s or MIN_TIMEOUT_S * (1 + random.random())
        end = loop.time() + timeout
        self._subscription = self._store.subscribe(self._resource.storage, WAITING_LIMIT)
        try:
            first = self._beginning()
        except CompactedError:
            oldest = self._store.table(self._resource.storage).compacted
            message = f"too old resource version: {self._wanted.version} ({oldest})"
            yield b'{"type":"ERROR","object":%b}\n' % encode(expired(message).body)
            return
        if first:
            yield first
        last_bookmark = loop.time()
        bookmark_at = min(last_bookmark + BOOKMARK_PERIOD_S, end - _BOOKMARK_BEFORE_END_S)
        while True:
            now = loop.time()
            if now >= end:
                return
            if self._wanted.bookmarks and now >= bookmark_at:
                line = self._bookmark()
                bookmark_at = now + BOOKMARK_PERIOD_S
                if now < end - _BOOKMARK_BEFORE_END_S < bookmark_at:
                    bookmark_at = end - _BOOKMARK_BEFORE_END_S
                if line:
                    yield line
            until = min(end, bookmark_at) if self._wanted.bookmarks else end
            try:
                async with asyncio.timeout(max(until - loop.time(), 0.001)):
                    await self._subscription.wait()
            except TimeoutError:
                continue
            if self._subscription.closed:
                return
            text = self._changes_text(self._subscription.take())
            if text and not self.silent:
                yield text

    def _beginning(self) -> bytes:
        """What comes before the changes from now on."""
        version = self._wanted.version
        if self._wanted.initial_events or (self._wanted.initial_events is None and not version):
            text = b"".join(
                self._line(ADDED, item)
                for item in matching(
                    self._store, self._resource.storage, self._namespace or None, self._labels, self._fields
                )
            )
            self._told_version = self._store.version
            if self._wanted.initial_events and self._wanted.bookmarks:
                text += self._bookmark_line({"annotations": {_INITIAL_END: "true"}})
            return text
        if not version:
            return b""
        self._told_version = version
        return self._changes_text(self._store.since(self._resource.storage, version))

    def _changes_text(self, changes: Iterable[Change]) -> bytes:
        return b"".join(filter(None, (self._change_line(change) for change in changes)))

    def _change_line(self, change: Change) -> bytes:
        item = change.item
        if self._namespace and item.namespace != self._namespace:
            return b""
        if self._everything:
            return self._line(change.type, item)
        now = change.type != DELETED and self._fits(item)
        before = change.previous is not None and self._fits(change.previous)
        if now:
            return self._line(MODIFIED if before else ADDED, item)
        if not before:
            return b""
        if change.type == DELETED:
            return self._line(DELETED, item)
        # It left the set: the client gets its last state inside, with the version of the change.
        assert change.previous is not None
        old = change.previous.obj
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(item.version)}}
        return self._line(DELETED, Item(last, item.version))

    def _fits(self, item: Item) -> bool:
        return self._labels.fits(item.obj) and self._fields.fits(item.obj)

    def _line(self, type_: str, item: Item) -> bytes:
        if self._answer.view == "Table":
            table = tables.of_objects(self._resource, [item.obj], self._answer, self._query, None)
            if not self._first_table:
                table["columnDefinitions"] = None
            self._first_table = False
            body = encode(table)
        elif self._answer.view == "PartialObjectMetadata":
            body = encode(tables.partial(item.obj, self._answer.view_version))
        elif newevents.is_new_form(self._resource):
            body = typed(self._resource, encode(newevents.to_new(item.obj)))
        else:
            body = typed(self._resource, item.encoded)
        return b'{"type":"%b","object":%b}\n' % (type_.encode(), body)

    def _bookmark(self) -> bytes:
        changed = self._store.table(self._resource.storage).changed
        if changed <= self._told_version:
            return b""
        self._told_version = changed
        return self._bookmark_line({})

    def _bookmark_line(self, extra: Object) -> bytes:
        metadata = {"resourceVersion": str(self._store.version), **extra}
        return b'{"type":"BOOKMARK","object":%b}\n' % encode(_bookmark_object(self._resource, self._answer, metadata))


def _bookmark_object(resource: Resource, answer: Answer, metadata: Object) -> Object:
    if answer.view == "Table":
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": [],
            "rows": [],
        }
    if answer.view == "PartialObjectMetadata":
        return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": metadata}
