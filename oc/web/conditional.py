"""Conditional requests (RFC 9110, 13.1.2): a client that has an answer already gets 304 instead of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from oc.web.answers import Reply

MAX_TAGS: Final = 64


def matches(header: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names this entity tag: compared weakly, ``*`` names any; at most 64 tags are read."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",", MAX_TAGS)[:MAX_TAGS]]
    return etag in tags


def not_modified(method: str, header: str | None, answered: Mapping[str, str]) -> Reply | None:
    """The answer 304 to a reading request whose client has what ``answered``, the headers, tags; else None."""
    etag = answered.get("ETag")
    if method not in ("GET", "HEAD") or etag is None or not matches(header, etag):
        return None
    return Reply(304, {})
