"""Request bodies that come in chunks (RFC 9112 7.1), read strictly and at a bounded cost."""

from __future__ import annotations

import re
from typing import Final, Protocol

from cheroot.errors import MaxSizeExceeded

from oc.web.head import MAX_FIELDS

MAX_LINE: Final = 4096
"""Of a line before a chunk, with its extensions, and of a trailer, both of which are ignored."""

MAX_CHUNKS: Final = 32 * 1024
"""Each costs as much as some thousand bytes; clients that stream write a few kilobytes at once."""


class Source(Protocol):
    """Where the chunks come from: ``size`` bytes, or a line with its end, fewer at the end of the stream."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self, limit: int, /) -> bytes: ...


_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


class ChunkedBody:
    """The bytes in the chunks. most: how many there may be. ended: everything was read, the trailers too."""

    def __init__(self, source: Source, most: int) -> None:
        self._source = source
        self._most = most
        self._left = 0
        self._chunks = 0
        self._last = False
        self.ended = False

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, fewer at the end. Raises OSError, MaxSizeExceeded, ValueError for what are no chunks."""
        data = bytearray()
        while len(data) < size and (self._left or self._begins()):
            piece = self._source.read(min(self._left, size - len(data)))
            data += piece
            self._left -= len(piece)
            if not piece or (not self._left and self._source.read(2) != b"\r\n"):
                raise ValueError("a chunk does not end where it should")
        return bytes(data)

    def _begins(self) -> bool:
        """Read the line before a chunk; False when there are no more."""
        if self._last:
            return False
        self._chunks += 1
        line = _SIZE.fullmatch(self._source.readline(MAX_LINE))
        if line is None or self._chunks > MAX_CHUNKS:
            raise ValueError("bad chunks")
        self._left = int(line[1], 16)
        self._most -= self._left
        if self._most < 0:
            raise MaxSizeExceeded
        if not self._left:
            self._last = True
            self._skip_trailers()
            self.ended = True
        return not self._last

    def _skip_trailers(self) -> None:
        """To the very end: a connection closed with something unread is reset, and the answer lost."""
        for _ in range(MAX_FIELDS + 1):
            line = self._source.readline(MAX_LINE)
            if line == b"\r\n":
                return
            if not line.endswith(b"\r\n"):
                break
        raise ValueError("bad trailers")
