"""List once, then watch for ever: one thread that keeps a handler up to date with a collection."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from oc.errors import ODError
from oc.od.orchestrator.client import PAGE_SIZE, KubernetesClient, Status
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.podmodel import POD_LIST, Change, EventMeta, ListPage, Meta, Pod, PodList
from oc.od.orchestrator.resources import Resource
from oc.od.orchestrator.watchstream import WatchStream

logger = logging.getLogger(__name__)
T = TypeVar("T")

WATCH_SECONDS = (240, 300)
SILENCE_SECONDS = 90.0  # bookmarks come about once a minute
QUICK_RETRY = 0.1
MAX_BACKOFF = 60.0
_PAGE = msgspec.json.Decoder(ListPage)


class Versioned(Protocol):
    """An object of a collection."""

    @property
    def metadata(self) -> EventMeta | Meta:
        """Has the resourceVersion."""


V = TypeVar("V", bound=Versioned)


class Handler(Protocol[V]):
    """Takes what the reflector reads, in the order of the API, in the reflector's thread.

    ``changes`` decodes a line of the watch.
    """

    @property
    def changes(self) -> msgspec.json.Decoder[Change[V]]: ...

    def listed(self, pods: list[Pod]) -> None:
        """A part of the collection."""

    def complete(self, names: set[str], version: str) -> None:
        """The whole collection as of ``version`` has these names; all parts of it were told."""

    def apply(self, change: str, item: V, /) -> None:
        """One change: ADDED, MODIFIED or DELETED."""

    def bookmark(self, version: str) -> None:
        """Nothing of the collection changed up to ``version``."""


WATCH_EVENT = msgspec.json.Decoder(Change[msgspec.Raw])
_ERROR = msgspec.json.Decoder(Change[Status])


class Reflector:
    """Keeps ``handler`` in step with a collection, of pods if their past matters, until stopped.

    A broken, silent or expired watch is taken up again from the last resourceVersion, or from a new list where the
    API has forgotten it (410). ``items=False`` lists one item for its version only: the past does not matter.
    """

    def __init__(
        self,
        client: KubernetesClient,
        resource: Resource,
        handler: Handler[Any],
        *,
        label_selector: str = "",
        field_selector: str = "",
        items: bool = True,
        clock: Callable[[], float] = time.monotonic,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._client = client
        self._resource = resource
        self._handler = handler
        self._labels = label_selector
        self._fields = field_selector
        self._items = items
        self._clock = clock
        self._silence = silence
        self._version: str | None = None
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._stream: WatchStream | None = None
        self._heard = clock()
        self._failures = 0
        self._expired = 0
        self._refused = False
        self.synced = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; ``synced`` is set after the first list."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"watch-{self._resource.plural}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop the thread, waiting at most ``timeout`` seconds."""
        self._stopping.set()
        self.reconnect()
        if self._thread:
            self._thread.join(timeout)
            self._thread = None

    def reconnect(self) -> None:
        """Drop the current watch, if any, and take it up again: somebody found out that it is stale."""
        with self._guard:
            if self._stream:
                self._stream.close()

    def age(self) -> float:
        """Seconds since the API last said anything on this watch (bookmarks included)."""
        return self._clock() - self._heard

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._version is None:
                    self._version = self._list()
                    self.synced.set()
                self._follow(self._version)
            except ODError as error:
                self._failed(error)
            except Exception:
                # The loop must live; what it holds may be wrong, so it starts again from a list.
                logger.exception("watch of %s failed", self._resource.plural)
                self._version = None
                self._failures += 1
            if self._failures:
                self._stopping.wait(self.backoff(self._failures))

    @staticmethod
    def backoff(failures: int) -> float:
        """Seconds to wait after so many failures in a row: one may be an accident, more are not."""
        if failures == 1:
            return random.uniform(QUICK_RETRY / 2, QUICK_RETRY)
        ceiling = float(min(MAX_BACKOFF, 2 ** min(failures - 1, 10)))
        return random.uniform(ceiling / 2, ceiling)

    def _failed(self, error: ODError) -> None:
        self._failures += 1
        code = error.code if isinstance(error, KubernetesError) else 0
        if code in (410, 504):
            # 504: "too large resource version", a version this API server has not reached. Either way it answers, so
            # the failures before do not count; only being told so again and again slows us down.
            self._version = None
            self._expired += 1
            self._failures = self._expired
        if code in (401, 403):
            if not self._refused:
                logger.critical("watching %s is refused: %s", self._resource.plural, error)
            self._refused = True
            self._failures = max(self._failures, 4)
        else:
            logger.info("watch of %s: %s; again after a pause", self._resource.plural, error)

    def _list(self) -> str:
        names: set[str] = set()
        page: PodList | ListPage = self._page(POD_LIST, PAGE_SIZE) if self._items else self._page(_PAGE, 1)
        # Page by page: neither the texts nor a second set of ten thousand pods are held, nor is anybody held up.
        while isinstance(page, PodList):
            self._handler.listed(page.items)
            names.update(pod.name for pod in page.items)
            if not page.metadata.continue_:
                break
            page = self._page(POD_LIST, PAGE_SIZE, page.metadata.continue_)
        self._heard = self._clock()
        self._handler.complete(names, page.metadata.resource_version)
        return page.metadata.resource_version

    def _page(self, decoder: msgspec.json.Decoder[T], limit: int, token: str = "") -> T:
        return self._client.page(
            self._resource, self._labels, decoder, field_selector=self._fields, limit=limit, continue_=token
        )

    def _follow(self, version: str) -> None:
        stream = self._client.watch(
            self._resource,
            version,
            label_selector=self._labels,
            field_selector=self._fields,
            timeout_seconds=random.randint(*WATCH_SECONDS),
            silence=self._silence,
        )
        self._heard = opened = self._clock()
        self._refused = False
        with self._guard:
            self._stream = stream
        if self._stopping.is_set():
            stream.close()
        try:
            for line in stream:
                self._heard = self._clock()
                self._take(line)
                self._failures = self._expired = 0
        finally:
            with self._guard:
                self._stream = None
            stream.close()
        # A watch that ends at once, again and again, must not become a busy loop.
        self._failures = 0 if self._clock() - opened > 1 else self._failures + 1

    def _take(self, line: bytes) -> None:
        try:
            change = self._handler.changes.decode(line)
        except msgspec.ValidationError:
            self._refuse(line)
            raise
        version = change.object.metadata.resource_version
        if change.type == "ERROR":
            self._refuse(line)
        elif change.type == "BOOKMARK":
            self._handler.bookmark(version)
        else:
            self._handler.apply(change.type, change.object)
        self._version = version or self._version

    def _refuse(self, line: bytes) -> None:
        """Raise what the API says instead of a change, if it does."""
        event = _ERROR.decode(line)
        if event.type == "ERROR":
            status = event.object
            raise KubernetesError(status.code, status.reason, status.message, doing=f"watch {self._resource.plural}")
