"""``/API/manager/datastore``: documents as operators see them (http-api.md 4.7)."""

from __future__ import annotations

import datetime
from typing import Any

from oc.errors import BadRequestError
from oc.od.base_controller import BaseController
from oc.web import Call, expose

DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


class DatastoreRoutes(BaseController):
    """Mixed into the ManagerController. ``database_acl`` of its policy grants reading, writing, deleting."""

    @expose(path="datastore", methods=("GET",), auth="manager", envelope=False)
    def list_databases(self, call: Call) -> tuple[str, ...]:
        """Names of the databases that may be looked at."""
        self._require("read")
        return self.services.datastore.databases

    @expose(path="datastore/{database}", methods=("GET",), auth="manager", envelope=False)
    def list_collections(self, call: Call, *, database: str) -> list[str]:
        """Names of the collections of a database."""
        self._require("read")
        return self.services.datastore.list_collections(self.services.datastore.require_known(database))

    @expose(path="datastore/{database}/{collection}", methods=("GET",), auth="manager", envelope=False)
    def list_documents(self, call: Call, *, database: str, collection: str) -> list[dict[str, Any]]:
        """The documents of a collection."""
        return self._find(database, collection, {})

    @expose(path="datastore/{database}/{collection}/{kind}", methods=("GET",), auth="manager", envelope=False)
    def get_documents(self, call: Call, *, database: str, collection: str, kind: str) -> list[dict[str, Any]]:
        """The documents of one kind."""
        return self._find(database, collection, {"kind": kind})

    @expose(path="datastore/{database}/{collection}/after/{first}", methods=("GET",), auth="manager", envelope=False)
    def documents_after(self, call: Call, *, database: str, collection: str, first: str) -> list[dict[str, Any]]:
        """Documents from a date on."""
        return self._find(database, collection, {"date": {"$gte": parse_date(first)}})

    @expose(path="datastore/{database}/{collection}/before/{last}", methods=("GET",), auth="manager", envelope=False)
    def documents_before(self, call: Call, *, database: str, collection: str, last: str) -> list[dict[str, Any]]:
        """Documents before a date."""
        return self._find(database, collection, {"date": {"$lt": parse_date(last)}})

    @expose(
        path="datastore/{database}/{collection}/after/{first}/before/{last}",
        methods=("GET",),
        auth="manager",
        envelope=False,
    )
    def documents_between(
        self, call: Call, *, database: str, collection: str, first: str, last: str
    ) -> list[dict[str, Any]]:
        """Documents from the first date on, up to but not including the last."""
        return self._find(database, collection, {"date": {"$gte": parse_date(first), "$lt": parse_date(last)}})

    @expose(
        path="datastore/{database}/{collection}/{kind}", methods=("PUT",), auth="manager", body=object, envelope=False
    )
    def put_document(self, call: Call, body: object, *, database: str, collection: str, kind: str) -> bool:
        """Store a value under its kind."""
        self._require("write")
        store = self.services.datastore
        # The value goes below its kind whatever it is, so that store/get finds it again.
        return store.set(store.require_known(database), collection, kind, {kind: body}, exact=True)

    @expose(path="datastore/{database}/{collection}/{kind}", methods=("DELETE",), auth="manager", envelope=False)
    def delete_document(self, call: Call, *, database: str, collection: str, kind: str) -> bool:
        """Delete one kind; false when there was none."""
        self._require("delete")
        store = self.services.datastore
        return store.delete_one(store.require_known(database), collection, kind, exact=True)

    @expose(path="datastore/{database}/{collection}", methods=("DELETE",), auth="manager", envelope=False)
    def drop_collection(self, call: Call, *, database: str, collection: str) -> bool:
        """Drop a collection."""
        self._require("delete")
        store = self.services.datastore
        return store.drop_collection(store.require_known(database), collection, exact=True)

    def _find(self, database: str, collection: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        self._require("read")
        store = self.services.datastore
        return store.get_collection(store.require_known(database), collection, query, exact=True)

    def _require(self, right: str) -> None:
        if self.policy is None or not self.policy.may(right):
            raise BadRequestError(f"database_acl does not grant {right}")


def parse_date(text: str) -> datetime.datetime:
    """A UTC date and time, naive as the stored ones are. Raises BadRequestError."""
    try:
        return datetime.datetime.strptime(text, DATE_FORMAT)
    except ValueError as error:
        raise BadRequestError("a date like 2026-05-31 13:45:00 is expected") from error
