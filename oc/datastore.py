"""Access to MongoDB: one pooled client a database, documents by kind, collections of users (spec services.md 3).

"Not there" is an answer (None, [], False); "database away" is UnavailableError (503). The client of a database is made
at its first use, and nothing here waits longer than a server selection (3 s) when MongoDB is away; while that lasts,
calls fail at once and only now and then one of them tries again.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import bson
import bson.errors
import msgspec
import pymongo
import pymongo.errors
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from oc.errors import BadRequestError, ODError, ODResourceNotFoundError, UnavailableError
from oc.mongoinsert import insert_all
from oc.mongourl import database_url

logger = logging.getLogger(__name__)

Document = dict[str, Any]

FAIL_FAST_SECONDS: Final = 5.0
MAX_KEY_CHARS: Final = 128
MAX_VALUE_BYTES: Final = 64 * 1024
MAX_KEYS: Final = 64
MAX_COLLECTION_BYTES: Final = 200
MAX_DOCUMENTS: Final = 10_000

_OPTIONS: Final = {
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    "socketTimeoutMS": 20_000,  # longer than a change stream waits
    "waitQueueTimeoutMS": 3000,
    "heartbeatFrequencyMS": 5000,
    "maxPoolSize": 50,
    "appname": "pyos",
}
_KEY = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_KEY_CHARS}}}")
# Clients ask for it, the deployment has no such database, and our account could not log in to it.
_NEVER_WRITTEN: Final = frozenset({"callHistory"})
_ENCODED_PREFIX = "encoded."
_ENCODED = re.compile(r"encoded\.[0-9a-f]{64}")
AUTH_CODES: Final = frozenset({13, 18})  # Unauthorized, AuthenticationFailed
_AWAY_CODES = frozenset({50, 91, 11600, 11602, 189, 10107, 13435, 13436, 262})


class MongoAddress(Protocol):
    """Where the databases are (oc.od.settings has it). ``url`` may hold a password."""

    @property
    def databases(self) -> tuple[str, ...]: ...

    @property
    def url(self) -> str: ...

    @property
    def param(self) -> str: ...


def render(value: Any) -> Any:
    """The JSON-safe form of a document or a part of it; rendering twice changes nothing.

    ObjectId becomes its hex text, a date ``YYYY-MM-DD HH:MM:SS[.ffffff]`` in UTC without zone, bytes base64, what
    JSON has no type for its text. Non-finite numbers become None.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return int(value) if type(value) is bson.Int64 else value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): render(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [render(part) for part in value]
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return msgspec.to_builtins(bytes(value))
    return str(value)


def collection_name(name: str, *, exact: bool = False) -> str:
    """The collection of a user id: the id itself where MongoDB takes it, else a digest of it.

    exact: ``name`` is a collection as ``list_collections`` gives it, so the digest form is taken as it is; without it
    that form is refused, or somebody could choose it as an id and read another user's collection.
    Raises BadRequestError for an empty name.
    """
    if not isinstance(name, str) or not name:
        raise BadRequestError("invalid collection name")
    if _ENCODED.fullmatch(name):
        if exact:
            return name
        raise BadRequestError("invalid collection name")
    data = name.encode("utf-8", "surrogatepass")
    legal = (
        len(data) <= MAX_COLLECTION_BYTES
        and not any(c in name for c in "\0$")
        and not any("\ud800" <= c <= "\udfff" for c in name)
        and not name.startswith(("system.", "."))
        and not name.endswith(".")
        and ".." not in name
    )
    return name if legal else _ENCODED_PREFIX + hashlib.sha256(data).hexdigest()


def check_key(key: object) -> str:
    """``key`` when it may name a stored value: ``[A-Za-z0-9_.-]{1,128}`` but ``_id`` and ``kind``. BadRequestError."""
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key in ("_id", "kind"):
        raise BadRequestError("invalid key")
    return key


class DataStore:
    """The databases of the product. Thread-safe; one object a process.

    clock: monotonic seconds.
    """

    def __init__(self, settings: MongoAddress, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._clients: dict[str, pymongo.MongoClient[Document]] = {}
        self._down_until: float | None = None  # one server serves all databases

    # --- values by kind -------------------------------------------------------------------------------------------

    def get(self, database: str, collection: str, key: str, *, exact: bool = False) -> Any:
        """The stored value of ``key``, in JSON-safe form; None when there is none."""
        name = collection_name(collection, exact=exact)
        with self.guard(database, "reading a value"):
            document = self.collection(database, name).find_one({"kind": check_key(key)})
        return None if document is None else render(document.get(key))

    def set(self, database: str, collection: str, key: str, value: Any, *, exact: bool = False) -> bool:
        """Store ``value`` (JSON, at most 64 KiB) under ``key``; at most 64 keys a collection.

        A dict that contains ``key`` itself is taken as the whole document. Raises BadRequestError on a limit.
        """
        name = collection_name(collection, exact=exact)
        document = _value_document(check_key(key), value)
        with self.guard(database, "storing a value"):
            target = self.collection(database, name)
            if target.replace_one({"kind": key}, document).matched_count:
                return True
            if target.count_documents({}, limit=MAX_KEYS) >= MAX_KEYS:
                raise BadRequestError("too many keys")
            # The id is made of the key, so that two first writes at once meet in one document.
            document = {"_id": _key_id(key), **document}
            try:
                target.replace_one({"_id": document["_id"]}, document, upsert=True)
            except pymongo.errors.DuplicateKeyError:
                target.replace_one({"_id": document["_id"]}, document)
        return True

    def delete_one(self, database: str, collection: str, key: str, *, exact: bool = False) -> bool:
        """Delete the document of kind ``key``; True when there was one."""
        name = collection_name(collection, exact=exact)
        with self.guard(database, "deleting a value"):
            return self.collection(database, name).delete_one({"kind": check_key(key)}).deleted_count > 0

    # --- documents ------------------------------------------------------------------------------------------------

    def get_collection(
        self,
        database: str,
        collection: str,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the spec's word
        limit: int = 0,
        *,
        newest_first: bool = False,
        exact: bool = False,
    ) -> list[Document]:
        """Documents in JSON-safe form, [] when the collection does not exist.

        limit: 0 means 10,000. newest_first sorts by ``date``, latest first.
        """
        name = collection_name(collection, exact=exact)
        if database in _NEVER_WRITTEN and database not in self._settings.databases:
            return []
        with self.guard(database, "reading a collection"):
            cursor = self.collection(database, name).find(dict(filter or {}))
            if newest_first:
                cursor = cursor.sort("date", pymongo.DESCENDING)
            return [render(document) for document in cursor.limit(limit or MAX_DOCUMENTS)]

    def add_all(self, database: str, documents: Mapping[str, Sequence[Document | RawBSONDocument]]) -> None:
        """Insert documents by collection, these exactly named; in one request where the server has a command for that.

        Each has its ``_id``: one that is there already counts as inserted. An error may leave some of them inserted.
        """
        with self.guard(database, "adding documents"):
            insert_all(self.client(database), database, documents)

    def drop_collection(self, database: str, collection: str, *, exact: bool = False) -> bool:
        """Drop a collection; True also when it was not there."""
        name = collection_name(collection, exact=exact)
        with self.guard(database, "dropping a collection"):
            self.collection(database, name).drop()
        return True

    def list_collections(self, database: str) -> list[str]:
        """Names of the collections of a database, sorted, without MongoDB's own."""
        with self.guard(database, "listing collections"):
            names = self.client(database)[database].list_collection_names()
        return sorted(name for name in names if not name.startswith("system."))

    def drop_database(self, database: str) -> bool:
        """Always False: the product's account may not drop a database."""
        return False

    @property
    def available(self) -> bool:
        """False while the database is known to be away. Asks nobody."""
        return self._down_until is None

    @property
    def databases(self) -> tuple[str, ...]:
        """Names of the databases an operator may look at."""
        return self._settings.databases

    def require_known(self, database: str) -> str:
        """``database`` when an operator may look at it. Raises ODResourceNotFoundError."""
        if database not in self._settings.databases:
            raise ODResourceNotFoundError("unknown database")
        return database

    # --- connections ----------------------------------------------------------------------------------------------

    def client(self, database: str) -> pymongo.MongoClient[Document]:
        """The pooled client of a database, made at its first use. Use it inside :meth:`guard`."""
        with self._lock:
            client = self._clients.get(database)
            if client is None:
                client = self._clients[database] = self._connect(database)
            return client

    def collection(self, database: str, name: str) -> Collection[Document]:
        """The collection of exactly this name. Use it inside :meth:`guard`."""
        return self.client(database)[database][name]

    def ping(self, database: str) -> bool:
        """Whether the database answers, and takes our account, now. Never raises; at most about 3 s."""
        try:
            with self.guard(database, "asking whether it answers"):
                # A read of a collection that does not exist needs the login; the ping command would not.
                self.collection(database, "ping").find_one({}, projection={"_id": 1})
        except ODError:
            return False
        return True

    def close(self) -> None:
        """Close all clients; the next use makes new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    @contextlib.contextmanager
    def guard(self, database: str, doing: str = "") -> Iterator[None]:
        """Turn driver errors into ours, and fail at once while the database is known to be away.

        Raises UnavailableError when it is away or refuses our account, BadRequestError for data it cannot hold,
        ODError for the rest. No message holds the URL.
        """
        self._refuse_when_away()
        try:
            yield
        except (pymongo.errors.ConnectionFailure, pymongo.errors.ExecutionTimeout) as error:
            raise self._away(database, doing, error) from error
        except pymongo.errors.BulkWriteError as error:
            logger.error("%s: bulk write failed while %s", database, doing)
            raise ODError("database error", doing=doing) from error
        except pymongo.errors.OperationFailure as error:
            raise self._refused(database, doing, error) from error
        except (bson.errors.BSONError, pymongo.errors.DocumentTooLarge, OverflowError, UnicodeError) as error:
            raise BadRequestError("the data cannot be stored", doing=doing) from error
        except (pymongo.errors.ConfigurationError, pymongo.errors.InvalidURI) as error:
            # The driver's text may quote parts of the URL, the password among them.
            logger.error("%s: the MongoDB URL or MONGODB_PARAM cannot be used (%s)", database, type(error).__name__)
            raise UnavailableError("the database is not available", doing=doing) from None
        except pymongo.errors.InvalidOperation as error:
            raise UnavailableError("the database is not available", doing=doing) from error  # closed meanwhile
        except pymongo.errors.PyMongoError as error:
            logger.error("%s: %s while %s", database, type(error).__name__, doing)
            raise ODError("database error", doing=doing) from error
        else:
            self._answered()

    def _connect(self, database: str) -> pymongo.MongoClient[Document]:
        try:
            url = database_url(self._settings.url, self._settings.param, database)
            return self._make_client(url)
        except ValueError:
            raise pymongo.errors.InvalidURI("not a usable MongoDB URL") from None

    @staticmethod
    def _make_client(url: str) -> pymongo.MongoClient[Document]:
        given = {option.partition("=")[0].lower() for option in url.partition("?")[2].split("&")}
        options: dict[str, Any] = {name: value for name, value in _OPTIONS.items() if name.lower() not in given}
        return pymongo.MongoClient(url, **options)

    def _refuse_when_away(self) -> None:
        if self._down_until is None:
            return
        with self._lock:
            now = self._clock()
            if self._down_until is None or now >= self._down_until:
                self._down_until = now + FAIL_FAST_SECONDS  # this caller tries, the others fail at once
                return
            clients = list(self._clients.values())
        # The drivers go on looking in the background: a server one of them has found again ends the wait.
        if not any(client.topology_description.has_writable_server() for client in clients):
            raise UnavailableError("the database is not available", retry_after=int(FAIL_FAST_SECONDS))

    def _away(self, database: str, doing: str, error: Exception) -> UnavailableError:
        # A connection lost in the middle may be one server's end: only a failed search says that nobody is there.
        if isinstance(error, pymongo.errors.ServerSelectionTimeoutError):
            first = self._down_until is None
            self._down_until = self._clock() + FAIL_FAST_SECONDS
            if first:
                logger.warning("the database is away: %s%s", _short(error), self._hint(database))
        else:
            logger.warning("database %s: %s while %s", database, _short(error), doing)
        return UnavailableError("the database is not available", retry_after=int(FAIL_FAST_SECONDS), doing=doing)

    def _hint(self, database: str) -> str:
        client = self._clients.get(database)
        description = client.topology_description if client is not None else None
        # The driver strikes servers of another kind off its list; one that is only down stays on it.
        if description is None or description.replica_set_name is None or description.server_descriptions():
            return ""
        return (
            f" (a server of replica set {description.replica_set_name} is looked for;"
            " for a standalone server set MONGODB_PARAM to an empty value)"
        )

    def _refused(self, database: str, doing: str, error: pymongo.errors.OperationFailure) -> ODError:
        if error.code in AUTH_CODES:
            logger.error("database %s refuses our account (code %s) while %s", database, error.code, doing)
            return UnavailableError("the database is not available", doing=doing)
        if error.code in _AWAY_CODES or error.has_error_label("RetryableWriteError"):
            logger.warning("database %s: code %s while %s", database, error.code, doing)
            return UnavailableError("the database is not available", doing=doing)
        logger.error("database %s: code %s while %s", database, error.code, doing)
        return ODError("database error", doing=doing)

    def _answered(self) -> None:
        if self._down_until is not None:
            self._down_until = None
            logger.info("the database answers again")


def _short(error: Exception) -> str:
    return str(error).partition(", Timeout:")[0][:300]


def _key_id(key: str) -> ObjectId:
    return ObjectId(hashlib.sha256(key.encode()).digest()[:12])


def _value_document(key: str, value: Any) -> Document:
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadRequestError("the value is no JSON") from error
    if size > MAX_VALUE_BYTES:
        raise BadRequestError("the value is too large")
    if not isinstance(value, dict) or key not in value:
        return {"kind": key, key: value}
    if any(not name or name.startswith("$") or "\0" in name for name in value):
        raise BadRequestError("the value has an invalid field name")
    return {**{name: part for name, part in value.items() if name != "_id"}, "kind": key}
