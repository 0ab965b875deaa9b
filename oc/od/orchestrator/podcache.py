"""The desktops and applications of the namespace, kept in memory by one shared watch."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import itemgetter

import msgspec

from oc.model.deadline import Deadline
from oc.od.orchestrator.podmodel import POD_CHANGE, Pod, pack, unpack, version_number

logger = logging.getLogger(__name__)

Listener = Callable[[str, Pod], None]
MAX_REMEMBERED = 4096
REMEMBERED_SECONDS = 60.0


class _Kept(msgspec.Struct, gc=False, frozen=True):
    """A pod in memory: what it is found by, and the whole packed."""

    uid: str
    version: int
    user: str
    kind: str
    packed: bytes

    @classmethod
    def of(cls, pod: Pod) -> _Kept:
        return cls(pod.uid, pod.version, pod.labels.get("access_userid", ""), pod.kind, pack(pod))

    def pod(self) -> Pod:
        return unpack(self.packed)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Subscription:
    """Wakes one thread when a pod changes, or when somebody calls ``wake``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._changed = threading.Event()

    def wake(self) -> None:
        """End the current or the next ``wait``."""
        self._changed.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the next change; False when ``seconds`` passed without one."""
        woken = self._changed.wait(seconds)
        self._changed.clear()
        return woken


class PodCache:
    """Pods by name, by user and by type. Thread-safe; the pods handed out must not be changed.

    Filled by a Reflector (it is its Handler) and by what this process itself writes (``take``), so that a writer
    reads its own writes. Listeners are called outside the lock with (ADDED|MODIFIED|DELETED, pod), once a change.
    """

    changes = POD_CHANGE

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pods: dict[str, _Kept] = {}
        self._users: dict[str, tuple[str, ...]] = {}
        self._kinds: dict[str, set[str]] = {}
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._listeners: list[Listener] = []
        self._seen = -1
        self._deleted: OrderedDict[str, float] = OrderedDict()
        self._closed = False

    # -- reading -----------------------------------------------------------------------------------------------

    def get(self, name: str) -> Pod | None:
        """The pod of that name, or None."""
        with self._lock:
            kept = self._pods.get(name)
        return kept.pod() if kept else None

    def of_user(self, user: str, kind: str) -> list[Pod]:
        """Pods whose label ``access_userid`` is ``user`` and ``type`` is ``kind``."""
        with self._lock:
            found = [self._pods[name] for name in self._users.get(user, ())]
        return [kept.pod() for kept in found if kept.kind == kind]

    def of_kind(self, kind: str) -> Iterator[Pod]:
        """Pods whose label ``type`` is ``kind``, by name, unpacked one at a time."""
        with self._lock:
            found = [(name, self._pods[name]) for name in self._kinds.get(kind, ())]
        return (kept.pod() for _, kept in sorted(found, key=itemgetter(0)))

    def was_deleted(self, uid: str) -> bool:
        """True when the deletion of the pod of that uid was seen lately: in the last minute, of a few thousand."""
        with self._lock:
            return uid in self._deleted

    def __len__(self) -> int:
        with self._lock:
            return len(self._pods)

    # -- waiting -----------------------------------------------------------------------------------------------

    @contextmanager
    def subscribe(self, name: str) -> Iterator[Subscription]:
        """A subscription to the pod of that name, whether it exists yet or not."""
        subscription = Subscription(name)
        with self._lock:
            self._subscriptions.setdefault(name, []).append(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                others = self._subscriptions[name]
                others.remove(subscription)
                if not others:
                    del self._subscriptions[name]

    def wait(self, name: str, predicate: Callable[[Pod | None], bool], deadline: Deadline) -> bool:
        """Wait until ``predicate`` holds for the pod (None: absent); False at the deadline, or at ``close``."""
        with self.subscribe(name) as subscription:
            while not predicate(self.get(name)):
                left = deadline.remaining()
                if left <= 0 or self._closed:
                    return False
                subscription.wait(left)
            return True

    def close(self) -> None:
        """End every ``wait``: nothing more is going to be told."""
        self._closed = True
        with self._lock:
            waiting = [subscription for several in self._subscriptions.values() for subscription in several]
        for subscription in waiting:
            subscription.wake()

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` at every change from now on."""
        self._listeners.append(listener)

    # -- writing -----------------------------------------------------------------------------------------------

    def take(self, pod: Pod) -> Pod:
        """Take an answer of the API to this process in, unless the watch knows better already; gives it back."""
        self._put(pod, watched=False)
        return pod

    def forget(self, name: str, uid: str) -> None:
        """Take note that the API says the pod of that uid is gone."""
        with self._lock:
            old = self._pods.get(name)
            known = old if old is not None and old.uid == uid else None
            self._remember(uid)
            if known:
                self._remove(name, known)
        if known:
            self._announce("DELETED", known.pod())

    def mark_terminating(self, name: str, uid: str) -> None:
        """Take note that the API accepted the deletion of that pod, before the watch says so."""
        with self._lock:
            old = self._pods.get(name)
            pod = old.pod() if old is not None and old.uid == uid else None
            if pod is None or pod.terminating:
                return
            metadata = msgspec.structs.replace(pod.metadata, deletion_timestamp=_now())
            pod = msgspec.structs.replace(pod, metadata=metadata)
            self._pods[name] = _Kept.of(pod)
        self._announce("MODIFIED", pod)

    def forget_old_deletions(self) -> bool:
        """Let go of what is remembered of pods deleted more than a minute ago; whether there was something.

        Every deletion does it; this is for the time when nothing happens. A few bytes kept of every pod of a thousand
        keep the memory of all of them from going back to the system.
        """
        with self._lock:
            before = len(self._deleted)
            self._forget_old()
            return len(self._deleted) < before

    def listed(self, pods: list[Pod]) -> None:
        """Handler: a page of the collection."""
        for pod in pods:
            self._put(pod, watched=True)

    def complete(self, names: set[str], version: str) -> None:
        """Handler: the whole collection as of ``version`` has these names."""
        number = version_number(version)
        with self._lock:
            # what this process wrote after the list was taken is newer than the list
            gone = [item for item in self._pods.items() if item[0] not in names and item[1].version <= number]
            for name, kept in gone:
                self._remove(name, kept)
                self._remember(kept.uid)
        for _, kept in gone:
            self._announce("DELETED", kept.pod())
        self.bookmark(version)

    def apply(self, change: str, pod: Pod) -> None:
        """Handler: one event of the watch."""
        if change == "DELETED":
            self._delete(pod)
        else:
            self._put(pod, watched=True)
        self.bookmark(pod.metadata.resource_version)

    def bookmark(self, version: str) -> None:
        """Handler: the watch has shown everything up to ``version``."""
        with self._lock:
            self._seen = version_number(version)

    def _put(self, pod: Pod, *, watched: bool) -> None:
        """Store ``pod`` and tell of it, unless something newer is known."""
        new = _Kept.of(pod)
        with self._lock:
            old = self._pods.get(pod.name)
            if new.uid in self._deleted or (old is not None and 0 <= new.version <= old.version):
                return
            if not watched and old is None and 0 <= new.version <= self._seen:
                return  # the watch has passed this version: the pod came and went
            if old is not None:
                self._remove(pod.name, old)
            replaced = old if old is not None and old.uid != new.uid else None
            if replaced:
                self._remember(replaced.uid)
            self._pods[pod.name] = new
            self._users[new.user] = (*self._users.get(new.user, ()), pod.name)
            self._kinds.setdefault(new.kind, set()).add(pod.name)
        if replaced:
            self._announce("DELETED", replaced.pod())
        self._announce("ADDED" if old is None or replaced else "MODIFIED", pod)

    def _delete(self, pod: Pod) -> None:
        with self._lock:
            fresh = pod.uid not in self._deleted
            self._remember(pod.uid)
            old = self._pods.get(pod.name)
            if old is not None and old.uid == pod.uid:
                self._remove(pod.name, old)
        if fresh:
            self._announce("DELETED", pod)

    def _remember(self, uid: str) -> None:
        self._deleted[uid] = self._clock()
        self._forget_old()

    def _forget_old(self) -> None:
        oldest = self._clock() - REMEMBERED_SECONDS
        while self._deleted:
            uid, when = next(iter(self._deleted.items()))
            if when > oldest and len(self._deleted) <= MAX_REMEMBERED:
                return
            del self._deleted[uid]

    def _remove(self, name: str, kept: _Kept) -> None:
        del self._pods[name]
        others = tuple(other for other in self._users[kept.user] if other != name)
        if others:
            self._users[kept.user] = others
        else:
            del self._users[kept.user]
        names = self._kinds[kept.kind]
        names.discard(name)
        if not names:
            del self._kinds[kept.kind]

    def _announce(self, change: str, pod: Pod) -> None:
        with self._lock:
            waiting = list(self._subscriptions.get(pod.name, ()))
        for subscription in waiting:
            subscription.wake()
        for listener in self._listeners:
            try:
                listener(change, pod)
            except Exception:
                # A listener's failure must not stop the watch that everybody else waits on.
                logger.exception("a listener failed on pod %s", pod.name)
