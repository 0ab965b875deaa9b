"""Records of the past that MongoDB deletes by itself: a TTL index on ``date`` (services.md 13, history retention)."""

from __future__ import annotations

import logging
import threading
from typing import Final

import pymongo
from pymongo.errors import OperationFailure

from oc.datastore import DataStore

logger = logging.getLogger(__name__)

INDEX: Final = "pyos_retention"
MAX_KNOWN: Final = 10_000
_OPTIONS_CONFLICT: Final = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict
_NO_INDEX: Final = (26, 27)  # NamespaceNotFound, IndexNotFound


class Retention:
    """Gives each collection that is written the index that the configuration asks for, once a process.

    seconds: age of a record when it is deleted; None for never, which also takes away an index made earlier.
    Only collections that are written to are looked at: one that nobody writes to any more keeps what it had.
    """

    def __init__(self, datastore: DataStore, seconds: int | None) -> None:
        self._datastore = datastore
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: set[tuple[str, str]] = set()

    def apply(self, database: str, collection: str) -> None:
        """Make or drop the index. Raises UnavailableError while the database is away; other refusals are logged."""
        with self._lock:
            if (database, collection) in self._known:
                return
        with self._datastore.guard(database, "setting the retention of a history"):
            try:
                self._set(database, collection)
            except OperationFailure as error:
                # A record without retention is better than none.
                logger.error("%s: the retention of the history cannot be set (code %s)", database, error.code)
        with self._lock:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known.add((database, collection))

    def _set(self, database: str, collection: str) -> None:
        target = self._datastore.collection(database, collection)
        if self._seconds is None:
            self._drop(database, collection)
            return
        keys = [("date", pymongo.ASCENDING)]
        try:
            target.create_index(keys, name=INDEX, expireAfterSeconds=self._seconds)
        except OperationFailure as error:
            if error.code not in _OPTIONS_CONFLICT:
                raise
            # collMod is not allowed to our account: the index is made anew.
            self._drop(database, collection)
            target.create_index(keys, name=INDEX, expireAfterSeconds=self._seconds)

    def _drop(self, database: str, collection: str) -> None:
        try:
            self._datastore.collection(database, collection).drop_index(INDEX)
        except OperationFailure as error:
            if error.code not in _NO_INDEX:
                raise
