"""``/API/store``: a few values a user keeps (http-api.md 5.4)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from oc.errors import BadRequestError, ODResourceNotFoundError
from oc.od.base_controller import BaseController
from oc.web import Call, expose

PROFILES = "profiles"
HISTORIES = ("loginHistory", "callHistory")
HISTORY_LIMIT = 100
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class KeyRequest(msgspec.Struct):
    key: Key


class ValueRequest(msgspec.Struct):
    key: Key
    value: Any


class StoreController(BaseController):
    """The values are in MongoDB: database ``profiles``, one collection a user."""

    @expose(auth="user", body=ValueRequest)
    def set(self, call: Call, body: ValueRequest) -> None:
        """Store one value."""
        if not self.services.datastore.set(PROFILES, call.identity.userid, body.key, body.value):
            raise BadRequestError("the value could not be stored")

    @expose(auth="user", body=KeyRequest, no_cache=True, answer=Any)
    def get(self, call: Call, body: KeyRequest) -> object:
        """The stored value, else the configured default; 404 when there is neither."""
        value = self.services.datastore.get(PROFILES, call.identity.userid, body.key)
        if value is None and self.policy is not None:
            value = self.policy.wrapped_key.get(body.key)
        if value is None:
            raise ODResourceNotFoundError("no value is stored for this key")
        return value

    @expose(auth="user", body=KeyRequest)
    def getcollection(self, call: Call, body: KeyRequest) -> list[dict[str, Any]]:
        """The caller's own history, newest first."""
        if body.key not in HISTORIES:
            raise BadRequestError("denied key value")
        return self.services.datastore.get_collection(
            body.key, call.identity.userid, limit=HISTORY_LIMIT, newest_first=True
        )
