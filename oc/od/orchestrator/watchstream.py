"""An open watch: JSON lines until somebody ends it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from oc.od.orchestrator.errors import KubernetesError

logger = logging.getLogger(__name__)


class WatchStream:
    """An open watch: iterate for its JSON lines; ``close`` from any thread ends the iteration."""

    def __init__(self, response: urllib3.BaseHTTPResponse, doing: str) -> None:
        self._response = response
        self._doing = doing
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        """Yield one event (a JSON line) at a time; end when the server ends the watch.

        Raises KubernetesError when the connection breaks or says nothing for the read time-out.
        """
        rest = b""
        try:
            for chunk in self._response.stream(65536, decode_content=False):
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                yield from (line for line in lines if line.strip())
        except (HTTPError, OSError, ValueError, AttributeError) as error:
            # ValueError and AttributeError: what http.client raises when another thread closes the socket.
            if not self._closed.is_set():
                reason = "Silent" if isinstance(error, ReadTimeoutError) else "Disconnected"
                raise KubernetesError(0, reason, type(error).__name__, doing=self._doing) from error
        finally:
            self._response.close()

    def close(self) -> None:
        """End the watch. The reading thread wakes up at once."""
        self._closed.set()
        try:
            self._response.shutdown()
        except (HTTPError, OSError, ValueError, AttributeError, RuntimeError):
            logger.debug("watch was closed already")
