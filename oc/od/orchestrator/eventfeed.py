"""Events of pods, handed to whoever waits for one: the progress texts of launches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from oc.od.orchestrator.podmodel import EVENT_CHANGE, Pod, PodEvent

Receiver = Callable[[PodEvent], None]


class EventFeed:
    """Handler of the one event watch of the process. Keeps nothing: an event nobody waits for is dropped."""

    changes = EVENT_CHANGE

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._receivers: dict[str, list[Receiver]] = {}

    @contextmanager
    def subscribe(self, pod: str, receiver: Receiver) -> Iterator[None]:
        """Call ``receiver`` (quickly; in the watch's thread) with every event of the pod of that name."""
        with self._lock:
            self._receivers.setdefault(pod, []).append(receiver)
        try:
            yield
        finally:
            with self._lock:
                others = self._receivers[pod]
                others.remove(receiver)
                if not others:
                    del self._receivers[pod]

    def listed(self, pods: list[Pod]) -> None:
        """Handler: nothing to do, the past is not told."""

    def complete(self, names: set[str], version: str) -> None:
        """Handler: nothing to do."""

    def bookmark(self, version: str) -> None:
        """Handler: nothing to do."""

    def apply(self, change: str, event: PodEvent) -> None:
        """Handler: hand the event on, unless it is being removed."""
        if change != "DELETED":
            with self._lock:
                receivers = list(self._receivers.get(event.involved_object.name, ()))
            for receiver in receivers:
                receiver(event)
