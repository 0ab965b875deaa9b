"""Addresses and logins that failed too often are refused for a while (spec services.md 6, auth.md 7.1).

Counters live in MongoDB, so that replicas agree; a TTL index forgets them. While MongoDB is away nobody is banned and
nothing is counted: a login never depends on it.
"""

from __future__ import annotations

import datetime
import ipaddress
import logging
import re
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import pymongo
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure

from oc.errors import BadRequestError, ODError

logger = logging.getLogger(__name__)

Document = dict[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DATABASE: Final = "fail2ban"
ADDRESSES: Final = "ipaddr"
LOGINS: Final = "login"
MAX_LOGIN: Final = 256
REMEMBER_SECONDS: Final = 2.0
"""How long an answer is kept here: other replicas' bans are seen that much later at most."""

MAX_REMEMBERED: Final = 4096
AWAY_SECONDS: Final = 15.0
"""After a failure of the database nobody waits for it again for this long."""

MAX_LISTED: Final = 10_000
_OPTIONS_CONFLICT: Final = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict


class Fail2banSettings(Protocol):
    """What is read of the configuration key ``fail2ban``."""

    @property
    def enable(self) -> bool: ...
    @property
    def failsbeforeban(self) -> int: ...
    @property
    def banexpireafterseconds(self) -> int: ...
    @property
    def protectednetworks(self) -> tuple[Network, ...]: ...


class Database(Protocol):
    """The part of ``DataStore`` used here. ``guard`` turns driver errors into ODError, UnavailableError when away."""

    def collection(self, database: str, name: str) -> Collection[Document]: ...
    def guard(self, database: str, doing: str = "") -> AbstractContextManager[None]: ...


def normal_address(text: str) -> str | None:
    """The canonical text of an address, IPv4-mapped IPv6 as IPv4; None when it is none."""
    if len(text) > 128:
        return None
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def normal_login(text: str) -> str | None:
    """A login in one case and one form of Unicode, blanks as directories compare them: else each spelling of a name
    would have failures of its own. None unless it has 1 to 256 printable characters.
    """
    login = unicodedata.normalize("NFKC", text) if len(text) <= 2 * MAX_LOGIN else ""
    login = re.sub(" +", " ", login.casefold()).strip()
    return login if 0 < len(login) <= MAX_LOGIN and login.isprintable() else None


_NORMAL: Final[Mapping[str, Callable[[str], str | None]]] = {ADDRESSES: normal_address, LOGINS: normal_login}


class Fail2Ban:
    """Counts failures and answers who is banned. Thread-safe.

    ``is_*`` and ``fail_*`` never raise and, when disabled, never touch the database. The other methods serve
    administrators: they work also when disabled and raise BadRequestError or UnavailableError.
    clock: seconds since the epoch; monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        database: Database,
        settings: Fail2banSettings,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._remembered: dict[tuple[str, str], tuple[bool, float]] = {}
        self._indexed: set[str] = set()
        self._away_until: float | None = None

    # --- counting and asking ----------------------------------------------------------------------------------------

    def fail_ip(self, address: str) -> None:
        """Count a failure of an address, unless it is in a protected network."""
        self._fail(ADDRESSES, address)

    def fail_login(self, login: str) -> None:
        """Count a failure of a login."""
        self._fail(LOGINS, login)

    def is_banned_ip(self, address: str) -> bool:
        """Whether an address failed too often lately. Protected networks never did."""
        return self._is_banned(ADDRESSES, address)

    def is_banned_login(self, login: str) -> bool:
        """Whether a login failed too often lately."""
        return self._is_banned(LOGINS, login)

    def _fail(self, collection: str, text: str) -> None:
        ident = self._watched(collection, text)
        if ident is None or self._resting():
            return
        try:
            with self._database.guard(DATABASE, "counting a failure"):
                self._raise_count(collection, ident, {"$inc": {"count": 1}})
        except ODError as error:
            self._rest(error)
        else:
            self._woke()

    def _is_banned(self, collection: str, text: str) -> bool:
        ident = self._watched(collection, text)
        if ident is None:
            return False
        key = (collection, ident)
        remembered = self._remembered.get(key)
        if remembered is not None and self._monotonic() < remembered[1]:
            return remembered[0]
        if self._resting():
            return False
        try:
            with self._database.guard(DATABASE, "looking for a ban"):
                document = self._database.collection(DATABASE, collection).find_one({"id": ident})
        except ODError as error:
            self._rest(error)
            return False
        self._woke()
        banned = self._is_ban(document)
        self._remember(key, banned)
        return banned

    def _watched(self, collection: str, text: str) -> str | None:
        """The normal form of what is counted, None when nothing is."""
        if not self._settings.enable or not isinstance(text, str):
            return None
        ident = _NORMAL[collection](text)
        if ident is None or (collection == ADDRESSES and self._protected(ident)):
            return None
        return ident

    def _protected(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(
            parsed.version == network.version and parsed in network for network in self._settings.protectednetworks
        )

    def _is_ban(self, document: Document | None) -> bool:
        if document is None or _count(document) < self._settings.failsbeforeban:
            return False
        date = document.get("date")
        return isinstance(date, datetime.datetime) and date > self._cutoff()

    def _cutoff(self) -> datetime.datetime:
        """Older entries are forgotten, whether or not the server has swept them yet."""
        return self._now() - datetime.timedelta(seconds=self._settings.banexpireafterseconds)

    def _now(self) -> datetime.datetime:
        """UTC without zone, as the driver returns dates."""
        return datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).replace(tzinfo=None)

    def _remember(self, key: tuple[str, str], banned: bool) -> None:
        with self._lock:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = (banned, self._monotonic() + REMEMBER_SECONDS)

    def _forget(self, collection: str, ident: str | None = None) -> None:
        with self._lock:
            for key in [key for key in self._remembered if key[0] == collection and ident in (None, key[1])]:
                del self._remembered[key]

    def _resting(self) -> bool:
        return self._away_until is not None and self._monotonic() < self._away_until

    def _rest(self, error: ODError) -> None:
        first, self._away_until = self._away_until is None, self._monotonic() + AWAY_SECONDS
        if first:
            logger.error("fail2ban: nobody is banned and nothing is counted while the database fails: %s", error)

    def _woke(self) -> None:
        if self._away_until is not None:
            self._away_until = None
            logger.info("fail2ban: the database answers again")

    def _raise_count(self, collection: str, ident: str, change: Document) -> bool:
        """Apply ``change`` to the entry, new or not, and date it now. True when it was there before."""
        self._ensure_indexes(collection)
        target = self._database.collection(DATABASE, collection)
        update = {**change, "$set": {"date": self._now()}}
        try:
            result = target.update_one({"id": ident}, update, upsert=True)
        except DuplicateKeyError:  # another replica made it in between
            result = target.update_one({"id": ident}, update, upsert=True)
        self._forget(collection, ident)
        return result.matched_count > 0

    # --- for administrators -----------------------------------------------------------------------------------------

    def list(self, collection: str) -> list[Document]:
        """The bans of a collection: ``id``, ``count``, ``date`` (ISO 8601 in UTC), ``banexpireAfterSeconds``."""
        _check_collection(collection)
        query = {"count": {"$gte": self._settings.failsbeforeban}, "date": {"$gt": self._cutoff()}}
        with self._database.guard(DATABASE, "listing bans"):
            documents = list(self._database.collection(DATABASE, collection).find(query).limit(MAX_LISTED))
        return [self._described(document["id"], document) for document in documents]

    def find(self, collection: str, text: str) -> Document:
        """One entry with ``isban``, also below the threshold; ``date`` None and ``count`` 0 when there is none."""
        ident = _identify(collection, text)
        with self._database.guard(DATABASE, "reading a ban"):
            document = self._database.collection(DATABASE, collection).find_one({"id": ident})
        return {**self._described(ident, document), "isban": self._is_ban(document)}

    def ban(self, collection: str, text: str) -> Document:
        """Ban from now on. Tells whether the entry was new."""
        ident = _identify(collection, text)
        with self._database.guard(DATABASE, "banning"):
            known = self._raise_count(collection, ident, {"$max": {"count": self._settings.failsbeforeban}})
        if known:
            return {"n": 1, "nModified": 1, "ok": 1.0, "updatedExisting": True}
        return {"n": 1, "Inserted": 1, "ok": 1.0, "updatedExisting": False}

    def unban(self, collection: str, text: str) -> Document:
        """Forget one entry."""
        ident = _identify(collection, text)
        with self._database.guard(DATABASE, "lifting a ban"):
            result = self._database.collection(DATABASE, collection).delete_one({"id": ident})
        self._forget(collection, ident)
        return {"n": int(result.deleted_count > 0), "ok": 1.0}

    def drop(self, collection: str) -> None:
        """Forget all entries of a collection."""
        _check_collection(collection)
        with self._database.guard(DATABASE, "dropping bans"):
            self._database.collection(DATABASE, collection).drop()
            self._indexed.discard(collection)
            self._ensure_indexes(collection)
        self._forget(collection)

    def _described(self, ident: str, document: Document | None) -> Document:
        date = document.get("date") if document else None
        return {
            "id": ident,
            "count": _count(document) if document else 0,
            "date": date.isoformat() if isinstance(date, datetime.datetime) else None,
            "banexpireAfterSeconds": self._settings.banexpireafterseconds,
        }

    def _ensure_indexes(self, collection: str) -> None:
        """Unique index on ``id``, TTL index on ``date``; one of other options is replaced. Once a process."""
        if collection in self._indexed:
            return
        target = self._database.collection(DATABASE, collection)
        _ensure_index(target, "id", unique=True)
        _ensure_index(target, "date", expireAfterSeconds=self._settings.banexpireafterseconds)
        self._indexed.add(collection)


def _ensure_index(target: Collection[Document], field: str, **options: Any) -> None:
    keys = [(field, pymongo.ASCENDING)]
    try:
        target.create_index(keys, **options)
    except DuplicateKeyError:
        # entries of an older version counted one source twice: the counters are not worth keeping
        target.drop()
        target.create_index(keys, **options)
    except OperationFailure as error:
        if error.code not in _OPTIONS_CONFLICT:
            raise
        for name, index in target.index_information().items():
            if index["key"] == keys:
                target.drop_index(name)
        target.create_index(keys, **options)


def _count(document: Document) -> int:
    count = document.get("count")
    return int(count) if isinstance(count, (int, float)) else 0


def _check_collection(collection: str) -> None:
    if collection not in _NORMAL:
        raise BadRequestError("Invalid type parameters Bad Request")


def _identify(collection: str, text: str) -> str:
    _check_collection(collection)
    ident = _NORMAL[collection](text)
    if ident is None:
        raise BadRequestError("Invalid value parameters Bad Request")
    return ident
