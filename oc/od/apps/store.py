"""The collection ``applications.image``: one document an application, unique by ``id`` (spec services.md 3.3)."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import pymongo
import pymongo.errors
from pymongo.collection import Collection as MongoCollection

from oc.datastore import AUTH_CODES, DataStore, Document
from oc.od.apps.inspect import icon_data, is_image_id, label_fields
from oc.od.apps.model import Application
from oc.od.apps.values import Values, plain_text, text_list

logger = logging.getLogger(__name__)

DATABASE: Final = "applications"
COLLECTION: Final = "image"
MAX_APPLICATIONS: Final = 5000
_DUPLICATE_KEY = 11000


class ImageStore:
    """Reads and writes the collection. Every method raises UnavailableError when the database is away."""

    def __init__(self, datastore: DataStore) -> None:
        self.datastore = datastore
        self._indexed = False

    def collection(self) -> MongoCollection[Document]:
        """The collection itself; use it inside ``datastore.guard(DATABASE)``."""
        return self.datastore.collection(DATABASE, COLLECTION)

    def load(self) -> list[Application]:
        """All usable records; the others are named in the log."""
        with self.datastore.guard(DATABASE, "loading the application catalogue"):
            documents = list(self.collection().find({}, projection={"_id": 0}).limit(MAX_APPLICATIONS))
        applications = (read_record(document) for document in documents)
        return [application for application in applications if application is not None]

    def pairs(self) -> frozenset[tuple[str, str]]:
        """(id, sha_id) of every document that has both."""
        with self.datastore.guard(DATABASE, "comparing the application catalogue"):
            found = list(
                self.collection().find({}, projection={"_id": 0, "id": 1, "sha_id": 1}).limit(MAX_APPLICATIONS)
            )
        return frozenset(
            (item["id"], item["sha_id"])
            for item in found
            if isinstance(item.get("id"), str) and isinstance(item.get("sha_id"), str)
        )

    def save(self, applications: Sequence[Application]) -> None:
        """Store each application, replacing the document of the same id: one request for all."""
        self._ensure_index()
        writes = [pymongo.ReplaceOne({"id": app.id}, app.document(), upsert=True) for app in applications]
        if not writes:
            return
        with self.datastore.guard(DATABASE, "storing applications"):
            try:
                self.collection().bulk_write(writes, ordered=False)
            except pymongo.errors.BulkWriteError as error:
                # Another replica inserted the same id between our search and our insert: now it is there.
                failed = error.details.get("writeErrors", [])
                if any(item.get("code") != _DUPLICATE_KEY for item in failed):
                    raise
                self.collection().bulk_write([writes[item["index"]] for item in failed], ordered=False)

    def delete(self, identifiers: Collection[str]) -> None:
        """Delete the documents of these ids."""
        with self.datastore.guard(DATABASE, "deleting applications"):
            self.collection().delete_many({"id": {"$in": list(identifiers)}})

    def delete_all(self) -> list[str]:
        """Delete every document; the ids that were there."""
        with self.datastore.guard(DATABASE, "deleting all applications"):
            identifiers = [item.get("id") for item in self.collection().find({}, projection={"_id": 0, "id": 1})]
            self.collection().delete_many({})
        return sorted({identifier for identifier in identifiers if isinstance(identifier, str)})

    def _ensure_index(self) -> None:
        if self._indexed:
            return
        with self.datastore.guard(DATABASE, "creating the index of the application catalogue"):
            try:
                self.collection().create_index("id", unique=True)
            except pymongo.errors.OperationFailure as error:
                if error.code in AUTH_CODES:
                    raise
                # Documents that share an id, or an index of other options: ours would only have kept them apart.
                logger.error("applications.image gets no unique index on id (code %s)", error.code)
        self._indexed = True


def read_record(document: Mapping[str, Any]) -> Application | None:
    """A stored document of this or an older release; None, with a WARNING naming it, when it is no application."""
    identifier = document.get("id")
    owner = identifier if isinstance(identifier, str) else "<unnamed>"
    values = Values(document, owner)
    digest, name = values.text("sha_id"), values.text("name")
    if not isinstance(identifier, str) or not is_image_id(identifier) or digest is None or name is None:
        logger.warning("a stored application is skipped: id %r, without a usable id, sha_id or name", owner[:200])
        return None
    path, cmd = values.text("path"), text_list(values.raw("cmd"))
    program = posixpath.basename(path or "") or (posixpath.basename(cmd[0]) if cmd else None)
    args = values.raw("args")
    fields = label_fields(values, "")
    # The default of a missing label does not hold here: a record without access list is for nobody (5.6).
    fields["acl"] = values.object("acl")
    fields["secrets_requirement"] = text_list(values.raw("secrets_requirement"))
    return Application(
        cmd=cmd,
        path=path,
        sha_id=digest,
        id=identifier,
        architecture=plain_text(document.get("architecture")),
        os=plain_text(document.get("os")),
        launch=values.text("launch") or values.text("wm_class") or name,
        name=name,
        icon=values.text("icon") or name,
        icondata=icon_data(values, name),
        args=(args,) if isinstance(args, str) and args.strip() else text_list(args),
        displayname=values.text("displayname") or name,
        executablefilename=values.text("executablefilename") or program,
        created=plain_text(document.get("created")),
        **fields,
    )
