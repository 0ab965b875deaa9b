"""An open watch: JSON lines until somebody ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.wire import Connection, Head, WireError


class WatchStream:
    """An open watch: iterate for its JSON lines; ``close`` from any thread ends the iteration."""

    def __init__(self, connection: Connection, head: Head, doing: str) -> None:
        self._connection = connection
        self._head = head
        self._doing = doing
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        """Yield one event (a JSON line) at a time; end when the server ends the watch.

        Raises KubernetesError when the connection breaks or says nothing for the read time-out.
        """
        begun: list[bytes] = []
        try:
            for part in self._connection.parts(self._head):
                first, *others = part.split(b"\n")
                begun.append(first)
                for other in others:
                    line = b"".join(begun)
                    begun = [other]
                    if line.strip():
                        yield line
        except (OSError, WireError) as error:
            if not self._closed.is_set():
                reason = "Silent" if isinstance(error, TimeoutError) else "Disconnected"
                raise KubernetesError(0, reason, type(error).__name__, doing=self._doing) from error
        finally:
            self._connection.close()

    def close(self) -> None:
        """End the watch. The reading thread wakes up at once."""
        self._closed.set()
        self._connection.interrupt()
