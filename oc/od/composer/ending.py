"""The one history record of a desktop's end, whoever causes or sees it, on whatever replica."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from oc.model.identity import ClientInfo, Identity
from oc.od.accounting import Accounting
from oc.od.history import History
from oc.od.orchestrator.owner import identity_in
from oc.od.orchestrator.podmodel import Pod
from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)

REMEMBERED_SECONDS = 3600


class Endings:
    """Records a desktop's end once. Whoever removes a desktop announces it before, so that the watchers, who see
    its pod go, know that the record is being written.
    """

    def __init__(self, accounting: Accounting, history: History, sharecache: ShareCache) -> None:
        self._accounting = accounting
        self._history = history
        self._sharecache = sharecache

    @contextmanager
    def caused(self, uid: str) -> Iterator[bool]:
        """Announce the removal of the pod of that uid; gives whether the record is to be written by the caller.

        A removal that raises takes the announcement back; one that found nothing to remove does it by ``withdraw``.
        """
        ours = self._sharecache.add(_key(uid), "1", REMEMBERED_SECONDS) is not False
        try:
            yield ours
        except BaseException:
            if ours:
                self.withdraw(uid)
            raise

    def withdraw(self, uid: str) -> None:
        """Take an announcement back: the desktop was not removed after all."""
        self._sharecache.delete(_key(uid))

    def record(
        self, identity: Identity, client: ClientInfo | None, name: str, node: str, isgarbaged: bool = False
    ) -> None:
        """Write the record."""
        self._history.desktop(identity, client, "stop", name, node, isgarbaged)

    def seen(self, pod: Pod) -> None:
        """A desktop's pod is gone: record it, when nobody announced that and nobody else has."""
        if self._sharecache.add(_key(pod.uid), "1", REMEMBERED_SECONDS) is not True:
            return
        reason = pod.status.reason or pod.phase
        logger.info("desktop %s has ended without being removed here: %s", pod.name, reason)
        self._accounting.increment("desktop", "ended")
        self.record(identity_in(pod.labels), None, pod.name, pod.spec.node_name or "")


def _key(uid: str) -> str:
    return f"desktopended.{uid}"
