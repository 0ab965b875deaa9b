"""Progress messages of a login or a launch: one slot a user, the last write wins (spec services.md 4.3).

The front end polls the slot every 300 ms while the request runs. Nothing here raises: without the cache the user
sees dots instead of texts.
"""

from __future__ import annotations

from typing import Final

from oc.sharecache import ShareCache

TTL_SECONDS: Final = 60
STOP_TEXT: Final = "stopinfo"
MAX_TEXT_CHARS: Final = 1024
_FAMILY: Final = "message."


class MessageInfo:
    """The slots of all users, in the shared cache, so that any replica can answer the poll."""

    def __init__(self, cache: ShareCache) -> None:
        self._cache = cache

    def start(self, userid: str, text: str | None = None) -> None:
        """Empty the slot, then write ``text`` if given."""
        if not text:
            self._cache.delete(_FAMILY + userid)
        else:
            self.push(userid, text)

    def push(self, userid: str, text: str) -> bool:
        """Replace the slot's text for 60 s; texts are cut at 1024 characters. True when written."""
        return self._cache.set(_FAMILY + userid, text[:MAX_TEXT_CHARS], TTL_SECONDS)

    def tell_place(self, userid: str, place: int) -> None:
        """Say that a launch waits for others, and for how many: ``place`` is 1 for the next."""
        self.push(userid, f"b.Many desktops are being started, yours is number {place} in the queue")

    def popflush(self, userid: str) -> str | None:
        """Take the text out of the slot; None when it is empty."""
        return self._cache.pop(_FAMILY + userid)

    def stop(self, userid: str) -> None:
        """Write the text that ends the polling: only at the very end of a request."""
        self.push(userid, STOP_TEXT)

    def getqueue(self, userid: str) -> MessageQueue:
        """The same operations bound to one user."""
        return MessageQueue(self, userid)


class MessageQueue:
    """The slot of one user."""

    __slots__ = ("_messages", "userid")

    def __init__(self, messages: MessageInfo, userid: str) -> None:
        self._messages = messages
        self.userid = userid

    def start(self, text: str | None = None) -> None:
        """Empty the slot, then write ``text`` if given."""
        self._messages.start(self.userid, text)

    def push(self, text: str) -> bool:
        """Replace the slot's text; True when written."""
        return self._messages.push(self.userid, text)

    def popflush(self) -> str | None:
        """Take the text out of the slot; None when it is empty."""
        return self._messages.popflush(self.userid)

    def stop(self) -> None:
        """Write the text that ends the polling."""
        self._messages.stop(self.userid)
