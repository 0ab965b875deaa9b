"""Cleans up after applications that have ended (spec orchestration.md 9.1).

It rides on the orchestrator's shared watch and opens none of its own. Finished application and image pull pods are
deleted; the user is told of one that ran out of memory. With several replicas the share cache decides which one acts.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Protocol

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.od.memory import give_back
from oc.od.orchestrator.facade import Orchestrator
from oc.od.orchestrator.notify import notify_user
from oc.od.orchestrator.podmodel import APPLICATION, DESKTOP, PULL, Pod, choose, pack, unpack
from oc.od.orchestrator.resources import PODS
from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)

CLAIM_SECONDS = 120
SWEEP_SECONDS = 60.0
DELETE_SECONDS = 15.0
STOP_SECONDS = 5.0
QUEUE_LENGTH = 10_000


class Icon(Protocol):
    """What a notification shows of an application (a catalogue entry)."""

    @property
    def icon(self) -> str: ...
    @property
    def icondata(self) -> str: ...
    @property
    def launch(self) -> str: ...


class KubernetesWatcher:
    """Start it before the orchestrator, so that it sees the first list (a catch-up after a restart).

    find_icon: the catalogue entry of an image, or None. desktop_deleted: called, in the watcher's thread, once a
    replica for every desktop pod that is gone.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        sharecache: ShareCache,
        find_icon: Callable[[str], Icon | None] = lambda image: None,
        desktop_deleted: Callable[[Pod], None] | None = None,
        *,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        self._orchestrator = orchestrator
        self._sharecache = sharecache
        self._find_icon = find_icon
        self._desktop_deleted = desktop_deleted
        self._sweep_seconds = sweep_seconds
        self._todo: queue.Queue[tuple[str, bytes] | None] = queue.Queue(QUEUE_LENGTH)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        orchestrator.cache.listen(self._take)

    def start(self) -> None:
        """Start the thread. Twice is harmless."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="kuberneteswatcher", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop it, waiting at most five seconds."""
        self._stopping.set()
        if self._thread is not None:
            try:
                self._todo.put_nowait(None)
            except queue.Full:
                logger.debug("the thread finds out by itself")
            self._thread.join(STOP_SECONDS)
            self._thread = None

    def _take(self, change: str, pod: Pod) -> None:
        """In the thread of the watch: only note what concerns us."""
        if change == "DELETED":
            relevant = pod.kind == DESKTOP and self._desktop_deleted is not None
        else:
            relevant = is_finished(pod)
        if relevant:
            try:
                self._todo.put_nowait((change, pack(pod)))
            except queue.Full:
                logger.warning("pod %s is left to the next sweep: too much to do", pod.name)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                item = self._todo.get(timeout=self._sweep_seconds)
                if item is not None:
                    self._act(item[0], unpack(item[1]))
            except queue.Empty:
                self._sweep()
            except Exception:
                # the loop must live
                logger.exception("an application pod could not be dealt with")

    def _sweep(self) -> None:
        """Once more what is still there: whoever claimed it may have died, or been refused."""
        if self._orchestrator.cache.forget_old_deletions():
            give_back()
        for kind in (APPLICATION, PULL):
            for pod in self._orchestrator.cache.of_kind(kind):
                if is_finished(pod) and not self._stopping.is_set():
                    self._act("MODIFIED", pod)

    def _act(self, change: str, pod: Pod) -> None:
        if change == "DELETED":
            if self._desktop_deleted is not None and self._claims(pod, "destroyed"):
                self._desktop_deleted(pod)
            return
        if not self._claims(pod, "finished"):
            return
        if out_of_memory(pod):
            self._tell(pod)
        client = self._orchestrator.client
        try:
            if client.delete(PODS, pod.name, uid=pod.uid, grace=0, deadline=Deadline(DELETE_SECONDS)):
                logger.info("application pod %s has ended and is deleted", pod.name)
            self._orchestrator.cache.forget(pod.name, pod.uid)
        except ODError as error:
            logger.warning("application pod %s has ended and stays for now: %s", pod.name, error)

    def _claims(self, pod: Pod, action: str) -> bool:
        """True when this replica is the one to act. Without a cache every replica does: deleting twice is harmless."""
        return self._sharecache.add(f"podaction.{pod.uid}:{action}", "1", CLAIM_SECONDS) is not False

    def _tell(self, pod: Pod) -> None:
        user, provider = pod.labels.get("access_userid", ""), pod.labels.get("access_provider", "")
        desktops = self._orchestrator.cache.of_user(user, DESKTOP)
        desktop = choose([found for found in desktops if found.labels.get("access_provider") == provider])
        if desktop is None or desktop.phase != "Running" or desktop.graphical is None:
            return
        image = pod.spec.containers[0].image if pod.spec.containers else ""
        entry = self._find_icon(image)
        payload = {
            "name": "OOMKilled",
            "message": pod.name,
            "icon": entry.icon if entry else None,
            "icondata": entry.icondata if entry else None,
            "image": image,
            "launch": entry.launch if entry else None,
        }
        notify_user(self._orchestrator.client, desktop.name, desktop.graphical, "container", payload)


def is_finished(pod: Pod) -> bool:
    """True for an application or pull pod that has ended and is not being deleted yet."""
    if pod.kind not in (APPLICATION, PULL) or pod.terminating:
        return False
    return pod.phase in ("Succeeded", "Failed") or _first_end(pod) is not None


def out_of_memory(pod: Pod) -> bool:
    """True when the first container was ended for its use of memory."""
    return _first_end(pod) == "OOMKilled"


def _first_end(pod: Pod) -> str | None:
    first = pod.spec.containers[0].name if pod.spec.containers else ""
    status = next((one for one in pod.status.container_statuses if one.name == first), None)
    return status.state.terminated.reason if status and status.state.terminated else None
