"""Who logged in and which desktops came and went, kept in MongoDB (spec services.md 3.3).

No login or launch waits for it: records wait, encoded and bounded by their size, for one thread, which writes many in
one request when there are many, and keeps them while the database is away. A record that cannot be kept is logged,
counted and dropped.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import bson
from bson import ObjectId
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from oc.datastore import DataStore, collection_name
from oc.errors import ODError, UnavailableError
from oc.model.identity import ClientInfo, Identity
from oc.od.retention import Retention
from oc.od.settings import HistorySettings

logger = logging.getLogger(__name__)

ANONYMOUS: Final = "anonymous"
LOGINS: Final = "loginHistory"
DESKTOPS: Final = "desktop"
# About 70,000 records of 450 bytes; each takes some 200 bytes more in memory.
MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
MAX_BATCH: Final = 500
# Under load a request to the database carries what came meanwhile; a record that comes alone does not wait.
PAUSE_SECONDS: Final = 0.05
MAX_TEXT_CHARS: Final = 1024
MAX_CLASSES: Final = 64
RETRY_SECONDS: Final = 5.0
STOP_SECONDS: Final = 2.0
MAX_NUMBER: Final = 1e15
# GeolocationCoordinates and GeolocationPosition of the W3C Geolocation API
_GEOLOCATION_FIELDS: Final = (
    "accuracy", "latitude", "longitude", "altitude", "altitudeAccuracy", "heading", "speed", "timestamp",
)  # fmt: skip


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _text(value: object) -> str | None:
    """The text of an attribute (the first one of a list), cut; None when there is none."""
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) else None


def _texts(value: object) -> list[str] | None:
    """The texts of an attribute that may have several; None when there is none."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    texts = [text for text in map(_text, parts[:MAX_CLASSES]) if text is not None]
    return texts or None


def _geolocation(value: object) -> dict[str, Any] | None:
    """What the browser said about its place, numbers and short texts only."""
    if not isinstance(value, Mapping):
        return None
    kept: dict[str, Any] = {}
    for name in _GEOLOCATION_FIELDS:
        part = value.get(name)
        if isinstance(part, str):
            kept[name] = part[:256]
        elif isinstance(part, (int, float)) and abs(part) < MAX_NUMBER:
            kept[name] = part
    return kept


def _user_fields(identity: Identity, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "userid": identity.userid,
        "name": identity.name,
        "mail": _text(attributes.get("mail")),
        "geolocation": _geolocation(attributes.get("geolocation")),
        "objectClass": _texts(attributes.get("objectClass")),
        "labels": dict(identity.labels),
        "provider": identity.provider,
        "providertype": identity.providertype,
    }


def _client_fields(client: ClientInfo | None) -> dict[str, Any]:
    return {
        "useragent": client.useragent[:MAX_TEXT_CHARS] if client else None,
        "ipaddr": client.ipaddr if client else None,
    }


class _Record(NamedTuple):
    """What waits to be written. ``lasting``: the collection may be older than the record."""

    database: str
    collection: str
    data: bytes
    lasting: bool


class History:
    """Writes login and desktop records in the background. Every method is thread-safe and none raises.

    settings: the default keeps everything for ever. now: naive UTC date and time.
    """

    def __init__(
        self,
        datastore: DataStore,
        settings: HistorySettings | None = None,
        *,
        now: Callable[[], datetime.datetime] = _now,
        retry_seconds: float = RETRY_SECONDS,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._datastore = datastore
        self._settings = settings or HistorySettings()
        self._retention = Retention(datastore, self._settings.retention)
        self._now = now
        self._retry_seconds = retry_seconds
        self._max_waiting_bytes = max_waiting_bytes
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        # A record leaves when it is written or given up. Only the thread takes away.
        self._waiting: deque[_Record] = deque()
        self._waiting_bytes = 0
        self._refused = 0
        self._overflowed = 0

    @property
    def waiting(self) -> int:
        """How many records are not written yet."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """How many records were not kept, for whatever reason."""
        return self._refused + self._overflowed

    def login(self, identity: Identity, client: ClientInfo, attributes: Mapping[str, Any]) -> None:
        """Keep a successful login.

        attributes: what the provider said about the user; mail, objectClass and geolocation are kept.
        """
        if identity.providertype == ANONYMOUS and not self._settings.anonymous:
            return
        try:
            collection = collection_name(identity.userid)
        except ODError:
            logger.warning("a login is not kept in the history: its user id names no collection")
            return
        fields = {**_user_fields(identity, attributes), "date": self._now(), **_client_fields(client), "type": "login"}
        # a generated id is new at each login, and so is its collection
        self._put(LOGINS, collection, fields, lasting=identity.providertype != ANONYMOUS)

    def desktop(
        self,
        identity: Identity,
        client: ClientInfo | None,
        eventtype: str,
        desktop_id: str,
        node: str,
        isgarbaged: bool | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep that a desktop started, resumed or stopped (``eventtype`` start, resume, stop).

        isgarbaged: True for a stop by the garbage collector, False for another stop, None otherwise.
        """
        fields = {
            **_user_fields(identity, attributes or {}),
            "eventtype": eventtype,
            "isgarbaged": isgarbaged,
            "desktop_id": desktop_id,
            "node": node,
            "date": self._now(),
            **_client_fields(client),
            "type": "desktop",
        }
        self._put(DESKTOPS, "history", fields)

    def start(self) -> None:
        """Start the thread now; the first record would do it too. Twice is harmless."""
        with self._lock:
            self._ensure_thread()

    def flush(self, seconds: float) -> bool:
        """Wait until everything put so far is written or given up, at most ``seconds``; True when it is."""
        with self._lock:
            return self._emptied.wait_for(lambda: not self._waiting, seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Give the thread ``seconds`` to write what waits, then end it. Records may come again afterwards."""
        thread = self._thread
        if thread is None:
            return
        end = time.monotonic() + seconds
        self.flush(seconds)
        with self._lock:
            self._stopping.set()
            self._arrived.notify()  # wakes a thread that has nothing to do
        thread.join(max(0.1, end - time.monotonic()))
        if lost := self.waiting:
            logger.warning("%d history records are lost, the database did not take them in %g s", lost, seconds)

    def _put(self, database: str, collection: str, document: dict[str, Any], *, lasting: bool = True) -> None:
        # The id is made here: a record sent twice is stored once.
        try:
            data = bson.encode({"_id": ObjectId(), **document})
        except (BSONError, OverflowError, UnicodeError) as error:
            self._count_refused()
            logger.error("a %s record is not kept in the history: %s", document["type"], type(error).__name__)
            return
        with self._lock:
            fits = self._waiting_bytes + len(data) <= self._max_waiting_bytes
            if fits:
                self._waiting.append(_Record(database, collection, data, lasting))
                self._waiting_bytes += len(data)
                self._arrived.notify()
                self._ensure_thread()
            else:
                self._overflowed += 1
            dropped = self._overflowed
        if not fits and (dropped == 1 or dropped % 1000 == 0):
            logger.error("history records are dropped, %d so far: too many wait for the database", dropped)

    def _count_refused(self, count: int = 1) -> None:
        with self._lock:
            self._refused += count

    def _ensure_thread(self) -> None:
        """Hold the lock."""
        if self._thread is None or not self._thread.is_alive():
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="history", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while batch := self._next():
            try:
                if not self._write_all(batch):
                    return  # stopping, and the database is away: the records stay
            except Exception:
                logger.exception("%d history records are lost", len(batch))  # a bad record must not end the history
                self._count_refused(len(batch))
            self._forget(len(batch))
            if len(batch) < MAX_BATCH:
                self._stopping.wait(PAUSE_SECONDS)

    def _next(self) -> list[_Record]:
        """What waits, the oldest first, as soon as there is something; none when stopping."""
        with self._lock:
            self._arrived.wait_for(lambda: self._waiting or self._stopping.is_set())
            return [] if self._stopping.is_set() else list(islice(self._waiting, MAX_BATCH))

    def _forget(self, count: int) -> None:
        """The oldest ``count`` are done with."""
        with self._lock:
            for _ in range(count):
                self._waiting_bytes -= len(self._waiting.popleft().data)
            if not self._waiting:
                self._emptied.notify_all()

    def _write_all(self, batch: Sequence[_Record]) -> bool:
        """Write records of any database; False when stopped before."""
        databases = dict.fromkeys(record.database for record in batch)
        return all(self._write(name, [record for record in batch if record.database == name]) for name in databases)

    def _write(self, database: str, records: Sequence[_Record]) -> bool:
        """Write records of one database, waiting for it; False when stopped before."""
        while True:
            try:
                self._insert(database, records)
            except UnavailableError:
                if self._stopping.wait(self._retry_seconds):
                    return False
            except ODError as error:
                if len(records) > 1:  # one of them is at fault, or each: that shows one by one
                    return all(self._write(database, [record]) for record in records)
                self._count_refused()
                logger.error("a record of %s is not kept in the history: %s", database, error.message)
                return True
            else:
                return True

    def _insert(self, database: str, records: Sequence[_Record]) -> None:
        documents: dict[str, list[RawBSONDocument]] = {}
        for record in records:
            documents.setdefault(record.collection, []).append(RawBSONDocument(record.data))
            if record.lasting or self._settings.retention is not None:
                self._retention.apply(database, record.collection)
        self._datastore.add_all(database, documents)
