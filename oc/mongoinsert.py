"""Inserting many documents into MongoDB with few requests, harmless when repeated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, MongoClient
from pymongo.errors import BulkWriteError, ClientBulkWriteException, OperationFailure, PyMongoError

_DUPLICATE_KEY = 11000
_BULK_WRITE_VERSION = 25  # the wire version of MongoDB 8.0, which has the command bulkWrite


def insert_all(
    client: MongoClient[dict[str, Any]],
    database: str,
    documents: Mapping[str, Sequence[dict[str, Any] | RawBSONDocument]],
) -> None:
    """Insert documents by collection: one request for all where the server can, else one a collection.

    Each document has its ``_id``: one that is there already counts as inserted. An error, a PyMongoError, may leave
    some of them inserted.
    """
    if len(documents) > 1 and _has_bulk_write(client):
        inserts = [
            InsertOne(document, namespace=f"{database}.{name}")
            for name, several in documents.items()
            for document in several
        ]
        with _already_there():
            client.bulk_write(inserts, ordered=False)
        return
    for name, several in documents.items():
        with _already_there():
            client[database][name].insert_many(several, ordered=False)


def _has_bulk_write(client: MongoClient[dict[str, Any]]) -> bool:
    """False also before the first request, while the server is not known."""
    servers = client.topology_description.server_descriptions().values()
    return any(server.is_writable and server.max_wire_version >= _BULK_WRITE_VERSION for server in servers)


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    """Let pass what failed of nothing but ids that are there; raise what else it was.

    The driver's two errors of many writes hide a lost connection and the codes of refusals.
    """
    try:
        yield
    except (BulkWriteError, ClientBulkWriteException) as error:
        details = error.details or {}
        cause = details.get("error")
        if isinstance(cause, PyMongoError):
            raise cause from error
        refusals = [*([cause] if cause else []), *details["writeErrors"], *details["writeConcernErrors"]]
        for refusal in refusals:
            if refusal.get("code") != _DUPLICATE_KEY:
                raise OperationFailure(str(refusal.get("errmsg")), refusal.get("code")) from error
