"""Waiting for a pod to run: what counts as progress, as failure, and how long (spec orchestration.md 6.3)."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.errors import KubernetesError, LaunchFailedError
from oc.od.orchestrator.eventfeed import EventFeed
from oc.od.orchestrator.podcache import PodCache, Subscription
from oc.od.orchestrator.podmodel import POD, Pod, PodEvent
from oc.od.orchestrator.reflector import Reflector
from oc.od.orchestrator.resources import PODS
from oc.od.orchestrator.startrules import ended, stuck_containers, why_not_yet

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]

PATIENCE_SECONDS = 30.0
DOUBT_SECONDS = 15.0
MAX_TEXT = 200
MAX_CAUSE = 400


class PodVanishedError(ODError):
    """The pod was deleted while it was waited for; ``after`` is the seconds that was."""

    status = 500
    default_message = "the desktop was removed while it was starting, please try again"

    def __init__(self, after: float, *, doing: str) -> None:
        super().__init__(doing=doing)
        self.after = after


class Patience:
    """Tells when the containers of a pod have been in a hopeless state for too long."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: dict[str, float] = {}

    def cause(self, pod: Pod) -> str | None:
        """Why the launch must be given up, or None. Call it at every change and at the time of ``next_check``."""
        stuck = {one.container: one.text for one in stuck_containers(pod)}
        now = self._clock()
        self._since = {name: self._since.get(name, now) for name in stuck}
        for name, since in self._since.items():
            if now - since >= self._seconds:
                return stuck[name]
        return None

    def next_check(self) -> float | None:
        """Seconds until a container now stuck has been so for too long."""
        if not self._since:
            return None
        return max(0.0, min(self._since.values()) + self._seconds - self._clock())


class PodStarter:
    """Waits on the shared watches; makes no call of its own but when the watch seems to sleep."""

    def __init__(
        self,
        client: KubernetesClient,
        cache: PodCache,
        events: EventFeed,
        reflector: Reflector,
        *,
        patience: float = PATIENCE_SECONDS,
        doubt: float = DOUBT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._cache = cache
        self._events = events
        self._reflector = reflector
        self._patience = patience
        self._doubt = doubt
        self._clock = clock

    def watching(self, name: str, progress: Progress) -> StartWatch:
        """Begin to collect what is said about the pod of that name: before it is created, so that nothing is missed."""
        return StartWatch(self, self._cache, self._events, name, progress)

    def run(self, watch: StartWatch, subscription: Subscription, uid: str, deadline: Deadline) -> Pod:
        """Wait until the pod runs and has an address.

        Raises LaunchFailedError when it cannot or did not in time, PodVanishedError when it was deleted.
        """
        patience = Patience(self._patience, self._clock)
        started = self._clock()
        phase = ""
        while True:
            pod = self._current(watch.name, uid, started)
            watch.tell()
            if pod is not None:
                if pod.phase != phase:
                    phase = pod.phase
                    watch.progress(f"b.Pod {pod.name} is {phase}")
                if self._is_running(pod, patience):
                    return pod
            left = deadline.remaining()
            if left <= 0:
                raise LaunchFailedError(
                    _too_late(pod),
                    doing=f"pod {watch.name} is {phase or 'unknown'} at the deadline; last: {watch.last}",
                )
            pause = min(left, self._doubt, *(second for second in [patience.next_check()] if second is not None))
            if not subscription.wait(max(pause, 0.01)) and pause >= self._doubt:
                self._look(watch.name, uid)

    def _current(self, name: str, uid: str, started: float) -> Pod | None:
        pod = self._cache.get(name)
        if self._cache.was_deleted(uid) or (pod is not None and (pod.uid != uid or pod.terminating)):
            raise PodVanishedError(self._clock() - started, doing=f"waiting for pod {name}")
        return pod

    @staticmethod
    def _is_running(pod: Pod, patience: Patience) -> bool:
        over = ended(pod)
        if over:
            raise LaunchFailedError(over, doing=f"waiting for pod {pod.name}")
        if pod.phase == "Running" and pod.status.pod_ip:
            return True
        cause = patience.cause(pod)
        if cause:
            raise LaunchFailedError(
                f"the desktop cannot start: {cause}"[:MAX_CAUSE], doing=f"waiting for pod {pod.name}"
            )
        return False

    def _look(self, name: str, uid: str) -> None:
        """Nothing was heard for long: ask once, and wake the watch up when the answer is news."""
        known = self._cache.get(name)
        try:
            pod = self._client.get(PODS, name, decoder=POD)
        except KubernetesError as error:
            if error.code == 404:
                self._cache.forget(name, uid)
            else:
                logger.warning("pod %s cannot be read: %s", name, error)
            return
        self._cache.take(pod)
        if known is None or pod.version > known.version:
            logger.warning("the watch of pods is stale: connecting it again")
            self._reflector.reconnect()


def _too_late(pod: Pod | None) -> str:
    why = why_not_yet(pod)
    if why:
        return f"the desktop did not start in time: {why}"
    return "the desktop did not start in time, please try again"


class StartWatch:
    """What is said about one pod while it starts; a context manager that gives the subscription to its changes."""

    def __init__(self, starter: PodStarter, cache: PodCache, events: EventFeed, name: str, progress: Progress) -> None:
        self.name = name
        self.progress = progress
        self.last = "nothing"
        self._starter = starter
        self._said: deque[PodEvent] = deque(maxlen=50)
        self._pod = cache.subscribe(name)
        self._feed = events.subscribe(name, self._receive)
        self._subscription: Subscription | None = None

    def __enter__(self) -> StartWatch:
        self._subscription = self._pod.__enter__()
        self._feed.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.__exit__(None, None, None)
        self._pod.__exit__(None, None, None)

    def wait_running(self, uid: str, deadline: Deadline) -> Pod:
        """See PodStarter.run."""
        assert self._subscription is not None
        return self._starter.run(self, self._subscription, uid, deadline)

    def _receive(self, event: PodEvent) -> None:
        self._said.append(event)
        if self._subscription:
            self._subscription.wake()

    def tell(self) -> None:
        """Hand the last of what was said since the last call to ``progress``: the user sees one text at a time."""
        text = ""
        while self._said:
            event = self._said.popleft()
            self.last = f"{event.reason} {event.message}"[:MAX_TEXT]
            text = event.message or text
        if text:
            self.progress(f"b.{text}"[:MAX_TEXT])
