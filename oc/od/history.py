"""Who logged in and which desktops came and went, kept in MongoDB (spec services.md 3.3).

No login or launch waits for it: records go through a bounded queue to one thread, which waits while the database is
away. A record that cannot be kept is logged and dropped.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson import ObjectId

from oc.datastore import DataStore, collection_name
from oc.errors import ODError, UnavailableError
from oc.model.identity import ClientInfo, Identity
from oc.od.retention import Retention
from oc.od.settings import HistorySettings

logger = logging.getLogger(__name__)

ANONYMOUS: Final = "anonymous"
LOGINS: Final = "loginHistory"
DESKTOPS: Final = "desktop"
MAX_WAITING: Final = 2000
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


@dataclass(frozen=True, slots=True)
class _Record:
    """What waits to be written. ``new``: nobody has written to that collection before."""

    database: str
    collection: str
    document: dict[str, Any]
    new: bool


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
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._datastore = datastore
        self._settings = settings or HistorySettings()
        self._retention = Retention(datastore, self._settings.retention)
        self._now = now
        self._retry_seconds = retry_seconds
        self._waiting: queue.Queue[_Record | None] = queue.Queue(max_waiting)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0

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
        self._put(LOGINS, collection, fields, new=identity.providertype == ANONYMOUS)

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
        self._ensure_thread()

    def flush(self, seconds: float) -> bool:
        """Wait until everything put so far is written or given up, at most ``seconds``; True when it is."""
        with self._waiting.all_tasks_done:
            return self._waiting.all_tasks_done.wait_for(lambda: not self._waiting.unfinished_tasks, seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Give the thread ``seconds`` to write what waits, then end it. Records may come again afterwards."""
        thread = self._thread
        if thread is None:
            return
        end = time.monotonic() + seconds
        written = self.flush(seconds)
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)  # wakes a thread that has nothing to do
        thread.join(max(0.1, end - time.monotonic()))
        if not written:
            logger.warning("history records are lost, the database did not take them in %g s", seconds)

    def _put(self, database: str, collection: str, document: dict[str, Any], *, new: bool = False) -> None:
        # The id is made here: a record sent twice is stored once.
        try:
            self._waiting.put_nowait(_Record(database, collection, {"_id": ObjectId(), **document}, new))
        except queue.Full:
            self._dropped += 1
            if self._dropped == 1 or self._dropped % 1000 == 0:
                logger.error("history records are dropped, %d so far: too many wait for the database", self._dropped)
            return
        self._ensure_thread()

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stopping.clear()
                self._thread = threading.Thread(target=self._run, name="history", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            record = self._waiting.get()
            try:
                if record is not None and not self._write(record):
                    return  # stopping, and the database is away: the record stays counted as not written
            except Exception:
                logger.exception("a history record is lost")  # one bad record must not end the history
            self._waiting.task_done()

    def _write(self, record: _Record) -> bool:
        """Write one record, waiting for the database; False when stopped before."""
        while True:
            try:
                self._retention.apply(record.database, record.collection, new=record.new)
                return self._datastore.add(record.database, record.collection, record.document, exact=True)
            except UnavailableError:
                if self._stopping.wait(self._retry_seconds):
                    return False
            except ODError as error:
                kind = record.document.get("type")
                logger.error("a %s record is not kept in the history: %s", kind, error.message)
                return True
