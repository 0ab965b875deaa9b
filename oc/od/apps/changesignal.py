"""A mark in the shared cache that changes with the catalogue.

MongoDB tells replicas of changes where it is a replica set. Of a standalone server (the 4.1 and 4.2 manifests) they
learn by looking at this mark, with no call between replicas: those would need a right to read endpoints that 4.4's
service account has not, and an API key sent around (spec services.md 3.5, 5.7).
"""

from __future__ import annotations

import uuid
from typing import Final

from oc.sharecache import ShareCache

KEY: Final = "catalogue.changed"
TTL_SECONDS: Final = 3600  # replicas compare with the database every 30 s anyway


class ChangeSignal:
    """Nothing here raises: without the cache there is no mark."""

    def __init__(self, cache: ShareCache) -> None:
        self._cache = cache

    def give(self) -> None:
        """Tell the other replicas that the database has changed."""
        self._cache.set(KEY, uuid.uuid4().hex, TTL_SECONDS)

    def read(self) -> str | None:
        """The mark of the latest change, None when there is none."""
        return self._cache.get(KEY)
