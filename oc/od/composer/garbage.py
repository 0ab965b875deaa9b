"""The garbage collector: desktops nobody uses any more are removed (spec orchestration.md 8.2, http-api.md 4.8)."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from oc.errors import BadRequestError, ConflictError, DeadlineExceededError, ODError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo
from oc.od.accounting import Accounting
from oc.od.composer.ending import Endings
from oc.od.orchestrator import Orchestrator
from oc.od.orchestrator.desktop import LAST_LOGIN
from oc.od.orchestrator.owner import identity_in
from oc.od.orchestrator.podmodel import Pod
from oc.od.settings import Settings
from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)

WORKERS: Final = 8
RUN_SECONDS: Final = 240.0
WAIT_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.25
MAX_EXPIREIN: Final = 10**9
LOCK_KEY: Final = "garbagecollector"
_NODE: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Collection:
    """What to collect.

    expirein: seconds since the last login after which a desktop is idle. force: connected users or not.
    nodename: only desktops of that node, ``""`` for all. dryrun: remove nothing.
    Raises BadRequestError for values out of bounds.
    """

    expirein: int
    force: bool = False
    nodename: str = ""
    dryrun: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.expirein <= MAX_EXPIREIN:
            raise BadRequestError("invalid parameter expirein: a number of seconds is expected")
        if self.nodename and not _NODE.fullmatch(self.nodename):
            raise BadRequestError("invalid parameter nodename: the name of a node is expected")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one desktop. ``removed``: it is removed, or would be in a dry run. ``idle``: in seconds."""

    name: str
    node: str
    removed: bool
    reason: str
    idle: int

    def as_dict(self) -> dict[str, object]:
        """For operators."""
        return {
            "name": self.name,
            "nodehostname": self.node,
            "removed": self.removed,
            "reason": self.reason,
            "idle": self.idle,
        }


def _now() -> datetime:
    return datetime.now(UTC)


class GarbageCollector:
    """One collection at a time over all replicas, as long as the shared cache is there.

    Without it two may meet: each desktop is still removed once, by its uid.
    """

    def __init__(
        self,
        settings: Settings,
        orchestrator: Orchestrator,
        accounting: Accounting,
        endings: Endings,
        sharecache: ShareCache,
        *,
        now: Callable[[], datetime] = _now,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._settings = settings
        self._orchestrator = orchestrator
        self._accounting = accounting
        self._endings = endings
        self._sharecache = sharecache
        self._now = now
        self._wait_seconds = wait_seconds
        self._mutex = threading.Lock()
        self._stopping = threading.Event()

    def collect(self, wanted: Collection, client: ClientInfo) -> list[Verdict]:
        """Judge every desktop and remove those that are not used; one verdict a desktop, by name.

        client: who asked, for the history. Raises ODError when the desktops cannot be listed, ConflictError when
        another collection does not end. What goes wrong with a single desktop is logged and leaves it as it is.
        """
        if wanted.dryrun:
            return self._run(wanted, client)
        with self._alone():
            return self._run(wanted, client)

    def stop(self) -> None:
        """End a wait for another collection."""
        self._stopping.set()

    def _run(self, wanted: Collection, client: ClientInfo) -> list[Verdict]:
        deadline = Deadline(RUN_SECONDS)
        pods = self._orchestrator.live_desktops(wanted.nodename)
        with ThreadPoolExecutor(WORKERS, "garbage") as pool:
            found = pool.map(lambda pod: self._deal_with(pod, wanted, client, deadline), pods)
            verdicts = sorted(found, key=lambda verdict: verdict.name)
        removed = sum(verdict.removed for verdict in verdicts)
        logger.info(
            "garbage collection%s: %d of %d desktops removed", " (dry run)" * wanted.dryrun, removed, len(verdicts)
        )
        return verdicts

    def _deal_with(self, pod: Pod, wanted: Collection, client: ClientInfo, deadline: Deadline) -> Verdict:
        idle = int(self.idle_seconds(pod))
        try:
            if deadline.expired:
                raise DeadlineExceededError("left to the next collection")
            remove, reason = self._judge(pod, idle, wanted)
            if remove and not wanted.dryrun:
                remove = self._remove(pod, wanted, client)
                reason = reason if remove else "gone, or used again meanwhile"
        except ODError as error:
            logger.warning("garbage collection of %s: %s", pod.name, error)
            remove, reason = False, error.message
        except Exception:
            # one desktop must not end the collection of the others
            logger.exception("garbage collection of %s failed", pod.name)
            remove, reason = False, "internal error"
        return Verdict(pod.name, pod.spec.node_name or "", remove, reason, idle)

    def _judge(self, pod: Pod, idle: int, wanted: Collection) -> tuple[bool, str]:
        """Whether the desktop is garbage, and why (not)."""
        if pod.terminating:
            return False, "is being deleted"
        if pod.phase in ("Failed", "Succeeded"):
            return True, f"is {pod.phase}"
        patience = wanted.expirein
        if pod.phase == "Pending":
            # its launch may still be going on
            patience = max(patience, 0 if wanted.force else self._settings.kubernetes.create_pod_timeout)
        if idle <= patience:
            return False, "was used lately"
        if wanted.force:
            return True, "idle"
        connected = self._orchestrator.count_connections(pod)
        if connected is None:
            return False, "its connections cannot be counted"
        return (True, "idle") if connected == 0 else (False, "a user is connected")

    def _remove(self, pod: Pod, wanted: Collection, client: ClientInfo) -> bool:
        with self._endings.caused(pod.uid) as ours:
            if not self._orchestrator.remove_desktop_pod(pod, unchanged=not wanted.force):
                if ours:
                    self._endings.withdraw(pod.uid)
                return False
            if ours:
                self._endings.record(identity_in(pod.labels), client, pod.name, pod.spec.node_name or "", True)
        self._accounting.increment("desktop", "garbaged")
        return True

    def idle_seconds(self, pod: Pod) -> float:
        """Seconds since the last login or resume, else since the creation."""
        return (self._now() - (_last_login(pod) or pod.created)).total_seconds()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        until = Deadline(self._wait_seconds)
        token = secrets.token_hex(8)
        if not self._mutex.acquire(timeout=self._wait_seconds):
            raise ConflictError("another garbage collection is running")
        try:
            while (mine := self._sharecache.add(LOCK_KEY, token, int(RUN_SECONDS) + 60)) is False:
                if until.expired or self._stopping.wait(POLL_SECONDS):
                    raise ConflictError("another garbage collection is running")
            try:
                yield
            finally:
                if mine and self._sharecache.get(LOCK_KEY) == token:
                    self._sharecache.delete(LOCK_KEY)
        finally:
            self._mutex.release()


def _last_login(pod: Pod) -> datetime | None:
    """The annotation ``lastlogin_datetime`` (UTC); None when absent or malformed."""
    try:
        found = datetime.fromisoformat(pod.metadata.annotations.get(LAST_LOGIN, ""))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
