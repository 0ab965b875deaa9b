"""Looks for orphans now and then, one replica at a time."""

from __future__ import annotations

import logging
import random
import threading
from datetime import UTC, datetime, timedelta

from oc.errors import ODError
from oc.od.orchestrator import Orchestrator
from oc.od.settings import Settings
from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)

LOCK_KEY = "orphansweep"
STOP_SECONDS = 5.0


class OrphanSweeps:
    """A thread that sweeps every ``K8S_ORPHAN_SWEEP_INTERVAL_SECONDS``; 0 switches it off.

    The key in the shared cache lasts almost an interval: of all replicas one sweeps in that time. Without the cache
    each does, which costs calls only.
    """

    def __init__(self, settings: Settings, orchestrator: Orchestrator, sharecache: ShareCache) -> None:
        self._interval = settings.kubernetes.orphan_sweep_interval
        self._minimum_age = timedelta(seconds=settings.kubernetes.orphan_minimum_age)
        self._orchestrator = orchestrator
        self._sharecache = sharecache
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it is switched off. Twice is harmless."""
        if self._interval and self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="orphansweeps", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop it, waiting at most five seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            self._thread = None

    def once(self) -> bool:
        """Sweep now, unless a replica has done so lately; whether it was done."""
        if self._sharecache.add(LOCK_KEY, "1", max(1, int(self._interval * 0.9))) is False:
            return False
        removed = self._orchestrator.sweep_orphans(self._minimum_age, datetime.now(UTC))
        if removed:
            told = ", ".join(f"{count} {kind}" for kind, count in sorted(removed.items()))
            logger.warning("orphans deleted: %s", told)
        return True

    def _run(self) -> None:
        while not self._stopping.wait(self._interval * random.uniform(0.9, 1.1)):
            try:
                self.once()
            except ODError as error:
                logger.warning("orphans are looked for later: %s", error)
            except Exception:
                # the loop must live
                logger.exception("orphans are looked for later")
