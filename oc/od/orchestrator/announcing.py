"""Tells users how the start of an application goes, where the configuration wants it (spec orchestration.md 7.4, 9.4).

``front.imagenotification`` switches it on by class. A start that is quick stays quiet: the user is told of a pull, or
of a start, only when it took longer than the configured quiet time; of a failure always.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from oc.od.orchestrator.eventfeed import EventFeed
from oc.od.orchestrator.podmodel import PodEvent
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

Send = Callable[[Mapping[str, Any]], object]

MAX_FOLLOWED = 1000
MAX_MESSAGE = 200
_FAILURES = frozenset(("Failed", "BackOff"))


@dataclass(slots=True)
class Story:
    """One start so far. ``facts``: what every message about it holds. ``path``: fieldPath of its events.

    pulled_after, started_after: quiet times in seconds; end: monotonic second after which nothing is told.
    """

    facts: Mapping[str, Any]
    path: str
    began: float
    pulled_after: float
    started_after: float
    end: float
    send: Send = field(repr=False)
    over: bool = False
    pulling: str | None = None
    cleanup: ExitStack = field(default_factory=ExitStack, repr=False)

    def hear(self, event: PodEvent, now: float) -> dict[str, Any] | None:
        """Take an event in; the message to send because of it, or None."""
        if self.over or event.involved_object.field_path != self.path:
            return None
        waited = now - self.began
        if event.reason == "Pulling":
            self.pulling = event.message
            return None
        if event.reason == "Pulled":
            self.pulling = None
            return self._message(event.reason, event.message) if waited >= self.pulled_after else None
        if event.reason == "Started":
            self.over = True
            return self._message(event.reason, event.message) if waited >= self.started_after else None
        if event.type == "Warning" and event.reason in _FAILURES:
            self.over = True
            return self._message(event.reason, event.message)
        return None

    def due(self, now: float) -> dict[str, Any] | None:
        """The message to send because time has passed: a pull that lasts. Ends the story when its time is over."""
        if now >= self.end:
            self.over = True
        elif self.pulling is not None and now - self.began >= self.pulled_after:
            message, self.pulling = self.pulling, None
            return self._message("Pulling", message)
        return None

    def next_due(self) -> float:
        """Monotonic second at which ``due`` is to be asked."""
        return self.end if self.pulling is None else min(self.end, self.began + self.pulled_after)

    def _message(self, reason: str, message: str) -> dict[str, Any]:
        return {**self.facts, "message": message[:MAX_MESSAGE], "reason": reason}


class StartAnnouncer:
    """Follows starts: one thread for all of them; messages are sent by the executor."""

    def __init__(
        self,
        settings: Settings,
        events: EventFeed,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = settings.front.imagenotification
        self._times = settings.kubernetes
        self._events = events
        self._executor = executor
        self._clock = clock
        self._heard: queue.Queue[tuple[Story, PodEvent] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._stories: list[Story] = []
        self._thread: threading.Thread | None = None

    def follow(self, kind: str, pod: str, path: str, facts: Mapping[str, Any], send: Send) -> Story | None:
        """Begin to follow a start, before it is asked for; None when nobody wants to know of that class."""
        if not self._wanted.get(kind):
            return None
        now = self._clock()
        story = Story(
            facts=facts,
            path=path,
            began=now,
            pulled_after=self._times.notify_pulled_delay,
            started_after=self._times.notify_started_delay,
            end=now + self._times.create_ephemeral_container_timeout,
            send=send,
        )
        with self._lock:
            if len(self._stories) >= MAX_FOLLOWED:
                logger.warning("too many starts at once: the user is not told of one in %s", pod)
                return None
            story.cleanup.enter_context(self._events.subscribe(pod, lambda event: self._heard.put((story, event))))
            self._stories.append(story)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="start-announcer", daemon=True)
                self._thread.start()
        return story

    def drop(self, story: Story | None) -> None:
        """The start was refused: nothing is told of it."""
        if story is not None:
            story.over = True
            self._forget_ended()

    def stop(self) -> None:
        """Stop following everything, waiting at most five seconds."""
        with self._lock:
            thread, self._thread = self._thread, None
            for story in self._stories:
                story.over = True
        self._forget_ended()
        if thread is not None:
            self._heard.put(None)
            thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                if not self._step():
                    return
            except Exception:
                # the loop must live
                logger.exception("a start could not be announced")

    def _step(self) -> bool:
        """Deal with the next event or the next story that is due; False to end."""
        with self._lock:
            due = min((story.next_due() for story in self._stories), default=None)
        pause = None if due is None else max(0.01, due - self._clock())
        try:
            item = self._heard.get(timeout=pause)
        except queue.Empty:
            self._tell_what_is_due()
        else:
            if item is None:
                return False
            self._tell(item[0], item[0].hear(item[1], self._clock()))
        self._forget_ended()
        return True

    def _tell_what_is_due(self) -> None:
        with self._lock:
            stories = list(self._stories)
        for story in stories:
            self._tell(story, story.due(self._clock()))

    def _tell(self, story: Story, message: Mapping[str, Any] | None) -> None:
        if message is not None:
            self._executor.submit(story.send, message)

    def _forget_ended(self) -> None:
        with self._lock:
            ended = [story for story in self._stories if story.over]
            self._stories = [story for story in self._stories if not story.over]
        for story in ended:
            story.cleanup.close()
