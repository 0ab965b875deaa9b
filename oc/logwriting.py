"""Handlers whose lines do not wait for one another (services.md 10).

Those of the standard library keep a lock over each system call: under load every thread that has something to tell
queues there, and each time another thread takes the interpreter. Whole lines need no lock (POSIX write: files opened
to append, and pieces of up to PIPE_BUF bytes in a pipe, are never mixed; Linux mixes longer pieces only in a pipe whose
reader is late). ``LINE_HANDLERS`` says which class of a configuration is served by which of these.
"""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
from collections.abc import Mapping
from typing import Any, Final, TextIO


class LineHandler(logging.StreamHandler[TextIO]):
    """A ``logging.StreamHandler`` that writes each record in one piece, without a lock.

    A stream that is no file is written as ever.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """See logging.Handler."""
        if _descriptor(self.stream) is None:
            return bool(super().handle(record))
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        stream = self.stream
        if _descriptor(stream) is None:
            super().emit(record)
            return
        try:
            line = self.format(record) + self.terminator
            self.write_line(stream, line.encode(stream.encoding or "utf-8", "backslashreplace"))
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - as every handler: what cannot be told must not stop a request
            self.handleError(record)

    def write_line(self, stream: TextIO, line: bytes) -> None:
        """Write it whole. Raises OSError."""
        left = memoryview(line)
        while left:
            left = left[os.write(stream.fileno(), left) :]


class RotatingLineHandler(LineHandler, logging.handlers.RotatingFileHandler):
    """A ``logging.handlers.RotatingFileHandler`` that takes its lock for the change of files only."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        descriptor = _descriptor(self.stream)
        self._size = 0 if descriptor is None else os.fstat(descriptor).st_size

    def write_line(self, stream: TextIO, line: bytes) -> None:
        """Write it whole, to a new file when the present one would outgrow its size. Raises OSError."""
        self._size += len(line)
        if 0 < self.maxBytes <= self._size:
            stream = self._next_file(len(line))
        super().write_line(stream, line)

    def doRollover(self) -> None:  # noqa: N802 - the name of the base class
        """See logging.handlers.RotatingFileHandler. The file that was written to is closed with its last writer."""
        self.stream = None
        super().doRollover()

    def close(self) -> None:
        """See logging.Handler. Who is writing does so to the end."""
        self.acquire()
        try:
            self.stream = None
            super().close()
        finally:
            self.release()

    def _next_file(self, size: int) -> TextIO:
        """Where a line of ``size`` bytes goes that did not fit."""
        self.acquire()
        try:
            if self._size >= self.maxBytes:  # nobody was faster
                self._size = size
                if os.path.isfile(self.baseFilename):
                    self.doRollover()
            if self.stream is None:
                self.stream = self._open()
            return self.stream
        finally:
            self.release()

    def _open(self) -> _File:
        return _File(open(self.baseFilename, f"{self.mode}b"), encoding=self.encoding, errors=self.errors)


class _File(io.TextIOWrapper):
    """Is closed when nobody has it any more: closed earlier, its number could be another file's, or a client's
    connection, when a thread writes.
    """

    def __del__(self) -> None:
        self.close()


LINE_HANDLERS: Final[Mapping[str, type[logging.Handler]]] = {
    "logging.StreamHandler": LineHandler,
    "logging.handlers.RotatingFileHandler": RotatingLineHandler,
}


def with_line_handlers(document: Mapping[str, Any]) -> dict[str, Any]:
    """A ``dictConfig`` document whose handlers are those above where they do the same."""
    handlers = document.get("handlers")
    if not isinstance(handlers, Mapping):
        return dict(document)
    return {**document, "handlers": {name: _replaced(handler) for name, handler in handlers.items()}}


def _replaced(handler: object) -> object:
    if not isinstance(handler, Mapping):
        return handler
    name = handler.get("class")
    found = LINE_HANDLERS.get(name) if isinstance(name, str) else None
    return {**handler, "class": f"{found.__module__}.{found.__qualname__}"} if found else handler


def _descriptor(stream: TextIO | None) -> int | None:
    """The file behind a stream; None when there is none, or it is not open yet."""
    try:
        return None if stream is None else stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
