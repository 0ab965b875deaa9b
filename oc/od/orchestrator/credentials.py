"""The headers that say who calls the Kubernetes API."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from kubernetes.client import Configuration

KEPT_SECONDS: Final = 10.0
"""The official client reads the configuration again for each call, environment included, which costs as much as the
call. Tokens outlive this: it exchanges those that end minutes before they do."""


class Credentials:
    """What the configuration gives now; asked for again every ``KEPT_SECONDS``, and when the API refused it.

    Thread-safe. clock: monotonic seconds.
    """

    def __init__(self, configuration: Configuration, clock: Callable[[], float] = time.monotonic) -> None:
        self._configuration = configuration
        self._clock = clock
        self._lock = threading.Lock()
        self._headers: Mapping[str, str] = {}
        self._until = float("-inf")

    def headers(self) -> Mapping[str, str]:
        """The headers to add to a call."""
        with self._lock:
            if self._clock() >= self._until:
                self._headers = self._read()
                self._until = self._clock() + KEPT_SECONDS
            return self._headers

    def refused(self) -> None:
        """The API answered 401: the next call asks the configuration again."""
        with self._lock:
            self._until = float("-inf")

    def _read(self) -> dict[str, str]:
        settings: Any = self._configuration.auth_settings()
        return {one["key"]: one["value"] for one in settings.values() if one["in"] == "header" and one["value"]}
