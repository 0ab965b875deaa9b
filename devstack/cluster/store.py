"""The cluster's memory: objects by kind, namespace and name; resource versions; history; subscriptions.

A *kind* is the plural resource name ("pods").  Objects are stored without `apiVersion` and `kind`: the registry of
resources knows them.  A stored object is never changed in place: `get` and `list` hand out the stored dicts, which a
caller must only read; a change goes through `update`.  Everything runs in one asyncio loop, so no call here blocks or
awaits and each is atomic.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

from devstack.cluster.objects import Clock, Object, copy_json, encode, timestamp, utcnow

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"
FIRST_VERSION = 1000
# Kinds whose metadata.generation counts the changes of their spec.
GENERATION_KINDS = frozenset(
    {"pods", "deployments", "replicasets", "jobs", "cronjobs", "networkpolicies", "poddisruptionbudgets"}
)


class AlreadyExistsError(Exception):
    """An object of this kind, namespace and name is there already."""


class MissingError(KeyError):
    """There is no object of this kind, namespace and name."""


class CompactedError(Exception):
    """The history no longer reaches back to the wanted resourceVersion."""


class Item:
    """One version of one object, with its JSON text made when first needed."""

    __slots__ = ("_encoded", "name", "namespace", "obj", "version")

    def __init__(self, obj: Object, version: int) -> None:
        metadata = obj["metadata"]
        self.obj = obj
        self.version = version
        self.namespace: str = metadata.get("namespace", "")
        self.name: str = metadata["name"]
        self._encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        if self._encoded is None:
            self._encoded = encode(self.obj)
        return self._encoded


class Change:
    """One entry of the history: what became of an object, and what it was before."""

    __slots__ = ("item", "previous", "type")

    def __init__(self, type_: str, item: Item, previous: Item | None) -> None:
        self.type = type_
        self.item = item
        self.previous = previous


class Subscription:
    """The changes of one kind from now on; iterate over it, or take them with `take`; `close` it at the end.

    Iterating gives `(type, object)` with type ADDED, MODIFIED or DELETED.  The object is read-only.
    """

    def __init__(self, on_close: Callable[[Subscription], None], limit: int | None = None) -> None:
        self._limit = limit
        self._changes: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._on_close = on_close
        self.closed = False

    def put(self, change: Change) -> None:
        """Add a change; a subscriber that has fallen behind by more than its limit is closed."""
        if self._limit is not None and len(self._changes) >= self._limit:
            self.close()
            return
        self._changes.append(change)
        self._wake.set()

    @property
    def waiting(self) -> int:
        """How many changes are not taken yet."""
        return len(self._changes)

    def take(self) -> list[Change]:
        """Everything that waits, without waiting."""
        changes = list(self._changes)
        self._changes.clear()
        self._wake.clear()
        return changes

    async def wait(self) -> None:
        """Return when something waits or the subscription is closed."""
        if not self._changes and not self.closed:
            await self._wake.wait()

    def __aiter__(self) -> AsyncIterator[tuple[str, Object]]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[tuple[str, Object]]:
        while not self.closed:
            await self.wait()
            for change in self.take():
                yield change.type, change.item.obj

    def close(self) -> None:
        """End the iteration; what was not yet taken is lost."""
        if not self.closed:
            self.closed = True
            self._on_close(self)
            self._wake.set()


class Table:
    """All objects of one kind, their order, indices, history and subscribers."""

    def __init__(self, history: int) -> None:
        self.items: dict[str, dict[str, Item]] = {}
        self.names: dict[str, list[str]] = {}
        self.labels: dict[str, dict[str, set[tuple[str, str]]]] = {}
        self.history: deque[Change] = deque(maxlen=history)
        self.compacted = FIRST_VERSION
        self.subscribers: set[Subscription] = set()
        self.count = 0
        self.changed = 0

    def find(self, namespace: str, name: str) -> Item | None:
        return self.items.get(namespace, {}).get(name)

    def put(self, item: Item) -> Item | None:
        """Store a version; the previous one is the answer."""
        space = self.items.setdefault(item.namespace, {})
        previous = space.get(item.name)
        space[item.name] = item
        if previous is None:
            bisect.insort(self.names.setdefault(item.namespace, []), item.name)
            self.count += 1
        self._reindex(previous, item)
        return previous

    def drop(self, item: Item) -> None:
        space = self.items[item.namespace]
        del space[item.name]
        names = self.names[item.namespace]
        del names[bisect.bisect_left(names, item.name)]
        if not space:
            del self.items[item.namespace], self.names[item.namespace]
        self.count -= 1
        self._reindex(item, None)

    def ordered(self, namespace: str | None, after: str = "") -> Iterator[Item]:
        """In the order of a list: by namespace, then by name; of one namespace, those after a name."""
        for space in sorted(self.items) if namespace is None else [namespace]:
            items, names = self.items.get(space, {}), self.names.get(space, [])
            first = bisect.bisect_right(names, after) if after and namespace is not None else 0
            for name in itertools.islice(names, first, None):
                yield items[name]

    def last(self, namespace: str | None) -> Item | None:
        """The last item in the order of a list."""
        space = namespace if namespace is not None else max(self.items, default="")
        names = self.names.get(space)
        return self.items[space][names[-1]] if names else None

    def labelled(self, namespace: str | None, key: str, value: str) -> list[Item]:
        """The items with this label, in the order of a list; the index of a label key is made when first asked for."""
        index = self.labels.get(key)
        if index is None:
            index = self.labels[key] = {}
            for space in self.items.values():
                for item in space.values():
                    _index(index, key, item, add=True)
        keys: Iterable[tuple[str, str]] = index.get(value, ())
        if namespace is not None:
            keys = [pair for pair in keys if pair[0] == namespace]
        return [self.items[space][name] for space, name in sorted(keys)]

    def _reindex(self, previous: Item | None, item: Item | None) -> None:
        for key, index in self.labels.items():
            if previous is not None:
                _index(index, key, previous, add=False)
            if item is not None:
                _index(index, key, item, add=True)

    def record(self, change: Change) -> None:
        self.changed = change.item.version
        if self.history.maxlen is not None and len(self.history) == self.history.maxlen:
            self.compacted = self.history[0].item.version
        self.history.append(change)
        for subscriber in tuple(self.subscribers):
            subscriber.put(change)


def _index(index: dict[str, set[tuple[str, str]]], key: str, item: Item, *, add: bool) -> None:
    value = (item.obj["metadata"].get("labels") or {}).get(key)
    if value is None:
        return
    if add:
        index.setdefault(value, set()).add((item.namespace, item.name))
    else:
        index.get(value, set()).discard((item.namespace, item.name))


class Store:
    """Objects of all kinds with one counter of resource versions.

    `history`: how many changes of each kind a watch can be resumed over.
    """

    def __init__(self, *, history: int = 10_000, clock: Clock = utcnow) -> None:
        self.version = FIRST_VERSION
        self.clock = clock
        self._history = history
        self._tables: dict[str, Table] = {}
        self._owned: dict[str, set[tuple[str, str, str]]] = {}

    # -- reading -------------------------------------------------------------------------------------------------
    def table(self, kind: str) -> Table:
        table = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = Table(self._history)
        return table

    def item(self, kind: str, namespace: str | None, name: str) -> Item | None:
        return self.table(kind).find(namespace or "", name)

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """The object, read-only; None when it is not there.  `namespace`: None or "" for cluster-wide kinds."""
        item = self.item(kind, namespace, name)
        return item.obj if item else None

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """The objects of one namespace, or of all with None, ordered by namespace and name; read-only."""
        return [item.obj for item in self.table(kind).ordered(namespace)]

    def owned_by(self, uid: str) -> Sequence[tuple[str, str, str]]:
        """(kind, namespace, name) of what names this uid in its ownerReferences."""
        return sorted(self._owned.get(uid, ()))

    # -- writing -------------------------------------------------------------------------------------------------
    def create(self, kind: str, obj: Object, *, copy: bool = True) -> Object:
        """Store a new object; uid, creationTimestamp, resourceVersion and generation are filled in.

        Raises AlreadyExistsError.  The given dict is copied, unless the caller hands it over with `copy` False.
        """
        obj = copy_json(obj) if copy else obj
        obj.pop("apiVersion", None)
        obj.pop("kind", None)
        metadata = obj["metadata"]
        if self.item(kind, metadata.get("namespace"), metadata["name"]):
            raise AlreadyExistsError(metadata["name"])
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", timestamp(self.clock()))
        if kind in GENERATION_KINDS:
            metadata.setdefault("generation", 1)
        return self._write(kind, ADDED, obj).obj

    def update(
        self, kind: str, namespace: str | None, name: str, mutate: Callable[[Object], Any], *, remove_done: bool = True
    ) -> Object:
        """Change a copy of the object with `mutate`, store it and tell the subscribers.

        Nothing changed: nothing is written, the stored object is the answer.  A changed spec counts the generation up.
        An object marked as deleted that has lost its last finalizer (and whose grace time is 0) is removed; the
        answer is its last state.  Raises MissingError.
        """
        item = self.item(kind, namespace, name)
        if item is None:
            raise MissingError(name)
        obj = copy_json(item.obj)
        mutate(obj)
        if obj == item.obj:
            return item.obj
        return self.replace(kind, item, obj, remove_done=remove_done)

    def replace(self, kind: str, item: Item, obj: Object, *, remove_done: bool = True) -> Object:
        """Store `obj` as the next version of `item` (see `update`)."""
        _share(item.obj, obj)
        self.count_generation(kind, item.obj, obj)
        if remove_done and is_done(kind, obj):
            self._delete(kind, item)
            return obj
        return self._write(kind, MODIFIED, obj).obj

    def count_generation(self, kind: str, old: Object, new: Object) -> None:
        """Set metadata.generation of `new`: one more than before when the spec differs."""
        if kind in GENERATION_KINDS and _wanted(new) != _wanted(old):
            new["metadata"]["generation"] = int(old["metadata"].get("generation", 1)) + 1

    def remove(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """End the object's life: what a kubelet does when the last process is gone (DELETE with grace 0).

        With finalizers left it stays, marked as deleted with grace 0, until the last one is taken off.  The answer is
        the last state, or None when there is no such object.
        """
        item = self.item(kind, namespace, name)
        if item is None:
            return None
        if item.obj["metadata"].get("finalizers"):

            def mark(obj: Object) -> None:
                obj["metadata"].setdefault("deletionTimestamp", timestamp(self.clock()))
                obj["metadata"]["deletionGracePeriodSeconds"] = 0

            return self.update(kind, namespace, name, mark)
        return self._delete(kind, item)

    def remove_now(self, kind: str, item: Item) -> Object:
        """Take the object out whatever its finalizers; the answer is its last state with the deletion's version."""
        return self._delete(kind, item)

    def next_version(self) -> int:
        self.version += 1
        return self.version

    def _write(self, kind: str, type_: str, obj: Object) -> Item:
        version = self.next_version()
        obj["metadata"]["resourceVersion"] = str(version)
        item = Item(obj, version)
        table = self.table(kind)
        previous = table.put(item)
        self._index_owners(kind, previous, item)
        table.record(Change(type_, item, previous))
        return item

    def _delete(self, kind: str, item: Item) -> Object:
        table = self.table(kind)
        table.drop(item)
        self._index_owners(kind, item, None)
        version = self.next_version()
        last = {**item.obj, "metadata": {**item.obj["metadata"], "resourceVersion": str(version)}}
        table.record(Change(DELETED, Item(last, version), item))
        return last

    def _index_owners(self, kind: str, previous: Item | None, item: Item | None) -> None:
        for version, add in ((previous, False), (item, True)):
            if version is None:
                continue
            for reference in version.obj["metadata"].get("ownerReferences") or ():
                entry = (kind, version.namespace, version.name)
                if add:
                    self._owned.setdefault(reference["uid"], set()).add(entry)
                else:
                    self._owned.get(reference["uid"], set()).discard(entry)

    # -- following -----------------------------------------------------------------------------------------------
    def subscribe(self, kind: str, limit: int | None = None) -> Subscription:
        """The changes of a kind from now on (list first, in the same turn of the loop, to miss nothing).

        `limit`: how many may wait to be taken before the subscription is closed; None: any number.
        """
        table = self.table(kind)
        subscription = Subscription(table.subscribers.discard, limit)
        table.subscribers.add(subscription)
        return subscription

    def since(self, kind: str, version: int) -> Sequence[Change]:
        """The changes after a resourceVersion.  Raises CompactedError when the history does not reach that far back."""
        table = self.table(kind)
        if version < table.compacted:
            raise CompactedError
        changes: deque[Change] = deque()
        for change in reversed(table.history):
            if change.item.version <= version:
                break
            changes.appendleft(change)
        return changes

    def compact_before(self, version: int) -> None:
        """Forget the changes up to a version."""
        for table in self._tables.values():
            while table.history and table.history[0].item.version <= version:
                table.history.popleft()
            table.compacted = max(table.compacted, version)

    def compact(self) -> None:
        """Forget the history of every kind: a watch or continue token older than now gets 410."""
        for table in self._tables.values():
            table.history.clear()
            table.compacted = self.version


def _wanted(obj: Object) -> Object:
    """The spec without what the scheduler fills in: binding a pod is no new generation of it."""
    return {key: value for key, value in (obj.get("spec") or {}).items() if key != "nodeName"}


def _share(old: Object, new: Object) -> None:
    """Let the new version hold the parts that did not change in common with the old one: a history costs little."""
    for part, value in old.items():
        if part != "metadata" and new.get(part) == value:
            new[part] = value
    entries = old["metadata"].get("managedFields")
    if entries is not None and new["metadata"].get("managedFields") == entries:
        new["metadata"]["managedFields"] = entries


def is_done(kind: str, obj: Object) -> bool:
    """Marked as deleted, with no finalizer and no grace time left."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if kind == "namespaces" and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")
