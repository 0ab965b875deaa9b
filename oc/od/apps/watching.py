"""The thread that follows changes of ``applications.image`` made by any replica (spec services.md 3.5)."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final

import pymongo.errors
from pymongo.change_stream import ChangeStream

from oc.datastore import Document
from oc.errors import ODError
from oc.od.apps.store import DATABASE, ImageStore

logger = logging.getLogger(__name__)

PIPELINE: Final = (
    {
        "$match": {
            "operationType": {"$in": ["insert", "update", "replace", "delete", "drop", "rename", "invalidate"]},
        }
    },
    {"$project": {"operationType": 1}},  # no icons over the wire: the reload reads everything anyway
)
AWAIT_MILLISECONDS: Final = 500  # longest wait for an event
PAUSE_SECONDS: Final = 0.25  # between two questions where a server answers at once that there was nothing
BURST_SECONDS: Final = 2.0  # under a steady stream of changes, reload this often
FIRST_DELAY_SECONDS: Final = 1.0
LAST_DELAY_SECONDS: Final = 30.0
POLL_SECONDS: Final = 30.0
SIGNAL_SECONDS: Final = 1.0
POLLS_BEFORE_RETRY: Final = 20
JOIN_SECONDS: Final = 2.0
_STANDALONE = 40573  # "The $changeStream stage is only supported on replica sets"


class _NoChangeStreamsError(Exception):
    """The server is no replica set."""


class CatalogueWatcher:
    """Calls ``reload`` when the collection may have changed; ``reload`` raises ODError when the database is away.

    poll_seconds: between two comparisons on a standalone server, which has no change streams. signal: the mark of the
    latest change, None when that is not known; another one brings the next comparison forward, by then a reload.
    """

    def __init__(
        self,
        store: ImageStore,
        reload: Callable[[], object],
        *,
        poll_seconds: float = POLL_SECONDS,
        signal: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._store = store
        self._reload = reload
        self._poll_seconds = poll_seconds
        self._signal = signal
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._delay = FIRST_DELAY_SECONDS
        self._warned_standalone = False

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread if it does not run."""
        with self._lock:
            if self.alive and not self._stopping.is_set():
                return
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping,), name="catalogue-watcher", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end and wait at most 2 s for it."""
        with self._lock:
            self._stopping.set()
            if self._thread is not None:
                self._thread.join(JOIN_SECONDS)

    def _run(self, stopping: threading.Event) -> None:
        """Follow, and begin again with a growing delay when the stream is lost. ``stopping`` is this thread's own."""
        while not stopping.is_set():
            try:
                with self._store.datastore.guard(DATABASE, "following the application catalogue"):
                    self._follow(stopping)
            except _NoChangeStreamsError:
                self._compare(stopping)
                continue
            except ODError as error:
                if not stopping.is_set():
                    self._log_loss(error)
            except Exception:
                logger.exception("the catalogue watcher failed, it begins again")
            stopping.wait(self._delay * random.uniform(0.8, 1.2))
            self._delay = min(self._delay * 2, LAST_DELAY_SECONDS)

    def _log_loss(self, error: ODError) -> None:
        first = self._delay == FIRST_DELAY_SECONDS
        logger.log(
            logging.WARNING if first else logging.DEBUG,
            "changes of the application catalogue are not followed: %s; next try in about %g s",
            error.message,
            self._delay,
        )

    def _follow(self, stopping: threading.Event) -> None:
        """One life of a stream; returns when it ended or ``stopping`` is set. Raises _NoChangeStreamsError."""
        try:
            opened = self._store.collection().watch(list(PIPELINE), max_await_time_ms=AWAIT_MILLISECONDS)
        except pymongo.errors.OperationFailure as error:
            if error.code == _STANDALONE:
                raise _NoChangeStreamsError from error
            raise
        with opened as stream:
            self._reload()  # what changed before the stream was open
            self._delay = FIRST_DELAY_SECONDS
            while not stopping.is_set() and stream.alive:
                if self._changed(stream, stopping):
                    self._drain(stream, stopping)
                    self._reload()

    @staticmethod
    def _changed(stream: ChangeStream[Document], stopping: threading.Event) -> bool:
        """Whether a change came; False when none came for a while.

        A server may say so at every write of anything, long before the time it was given: then the pause is made here.
        """
        began = time.monotonic()
        if stream.try_next() is not None:
            return True
        stopping.wait(max(0.0, min(PAUSE_SECONDS, began + AWAIT_MILLISECONDS / 1000 - time.monotonic())))
        return False

    @classmethod
    def _drain(cls, stream: ChangeStream[Document], stopping: threading.Event) -> None:
        """Take the rest of a burst: until nothing came for a while, at most 2 s."""
        end = time.monotonic() + BURST_SECONDS
        while stream.alive and not stopping.is_set() and time.monotonic() < end:
            if not cls._changed(stream, stopping):
                return

    def _compare(self, stopping: threading.Event) -> None:
        """On a server without change streams: compare from time to time, then look for streams again."""
        if not self._warned_standalone:
            self._warned_standalone = True
            logger.warning(
                "MongoDB is no replica set and has no change streams: applications are compared every %g s",
                self._poll_seconds,
            )
        seen: frozenset[tuple[str, str]] | None = None
        mark: str | None = None
        for _ in range(POLLS_BEFORE_RETRY):
            latest = self._signal() or mark  # read first: what is written after it is seen by it, or by its successor
            try:
                pairs = self._store.pairs()
                if pairs != seen or latest != mark:
                    self._reload()
                    seen, mark = pairs, latest
            except ODError as error:
                logger.warning("the application catalogue is not compared: %s", error.message)
            self._wait(stopping, mark)
            if stopping.is_set():
                return

    def _wait(self, stopping: threading.Event, mark: str | None) -> None:
        """Until the next comparison is due, another mark is there, or ``stopping`` is set."""
        end = time.monotonic() + self._poll_seconds
        while (left := end - time.monotonic()) > 0:
            if stopping.wait(min(left, SIGNAL_SECONDS)) or self._signal() not in (None, mark):
                return
