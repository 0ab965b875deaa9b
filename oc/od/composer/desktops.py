"""Open, resume, replace and remove the desktop of a user (spec orchestration.md 6, 8.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from oc.errors import DeadlineExceededError, ODError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo, Identity
from oc.model.names import label_key
from oc.od.accounting import Accounting
from oc.od.composer.ending import Endings
from oc.od.composer.launchlock import LaunchLock
from oc.od.composer.webhooks import Webhooks
from oc.od.history import History
from oc.od.messageinfo import MessageInfo
from oc.od.orchestrator import Desktop, LaunchFailedError, Orchestrator
from oc.od.orchestrator.manifests.labels import uniq_labels
from oc.od.settings import Settings
from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)

READY_SECONDS = 60.0
TOO_LATE = "the desktop did not start in time, please try again"

Progress = Callable[[str], None]


class Desktops:
    """The user-level operations on desktops."""

    def __init__(
        self,
        settings: Settings,
        orchestrator: Orchestrator,
        messageinfo: MessageInfo,
        accounting: Accounting,
        history: History,
        sharecache: ShareCache,
        endings: Endings,
        webhooks: Webhooks,
        authorized_key: Callable[[str], str | None] = lambda userid: None,
    ) -> None:
        self._settings = settings
        self._orchestrator = orchestrator
        self._messageinfo = messageinfo
        self._accounting = accounting
        self._history = history
        self._endings = endings
        self._webhooks = webhooks
        self._authorized_key = authorized_key
        self._lock = LaunchLock(sharecache)
        self._timing = accounting.metrics.timing

    def find(self, identity: Identity) -> Desktop | None:
        """The user's desktop in phase Running or Pending, or None. Writes no progress text."""
        return self._orchestrator.find_desktop(identity)

    def open(self, identity: Identity, client: ClientInfo) -> Desktop:
        """Resume the user's desktop or create one; returns when its services answer (or their time is over).

        Progress goes to the user's message slot, which holds ``stopinfo`` when this returns or raises.
        Raises LaunchFailedError with a text for the user, UnavailableError and ODAPIError for the cluster's failures.
        """
        messages = self._messageinfo.getqueue(identity.userid)
        self._messageinfo.start(identity.userid, "b.Searching a desktop")

        def progress(text: str) -> None:
            messages.push(text)

        deadline = Deadline(self._settings.kubernetes.create_pod_timeout)
        try:
            with self._timing("total"):
                with self._lock.hold(identity, deadline, lambda: self._joinable(identity)):
                    desktop = self._find_or_create(identity, client, progress, deadline)
                return self._reachable(desktop, identity, client)
        except DeadlineExceededError as error:
            progress(f"e.{TOO_LATE}")
            raise LaunchFailedError(TOO_LATE, doing="launching: the deadline has passed") from error
        except ODError as error:
            progress(f"e.{error.message}")
            raise
        finally:
            messages.stop()

    def _joinable(self, identity: Identity) -> bool:
        return self._orchestrator.find_cached_desktop(identity) is not None

    def _find_or_create(
        self, identity: Identity, client: ClientInfo, progress: Progress, deadline: Deadline
    ) -> Desktop:
        with self._timing("find"):
            found = self._orchestrator.find_desktop(identity)
        if found is not None:
            desktop = self._keep(found, identity, client, progress, deadline)
            if desktop is not None:
                return desktop
        return self._create(identity, client, progress, deadline, looked=found is None)

    def _keep(
        self, found: Desktop, identity: Identity, client: ClientInfo, progress: Progress, deadline: Deadline
    ) -> Desktop | None:
        """Resume ``found``, or delete its pod and return None when it cannot be kept."""
        if not self.same_labels(found, identity):
            progress("b.Replacing your desktop, its security labels changed")
            self._discard(found, deadline)
            return None
        progress("c.Resuming your desktop")
        try:
            with self._timing("resume"):
                desktop = self._orchestrator.resume_desktop(found, identity, progress, deadline)
        except LaunchFailedError as error:
            logger.warning("desktop %s cannot be resumed: %s", found.name, error.message)
            self._discard(found, deadline)
            return None
        self._accounting.increment("desktop", "resumed")
        self._record(identity, client, desktop, "resume")
        return desktop

    def same_labels(self, desktop: Desktop, identity: Identity) -> bool:
        """True when every label of ``desktop.policies.user_uniq_labels`` is equal on the user and the running pod."""
        wanted = uniq_labels(identity.labels, self._settings.policies.user_uniq_labels)
        return all(desktop.labels.get(label_key(label)) == value for label, value in wanted.items())

    def _discard(self, desktop: Desktop, deadline: Deadline) -> None:
        """Delete the pod only, its user's secrets stay. Raises LaunchFailedError when that is refused."""
        try:
            with self._endings.caused(desktop.uid):
                self._orchestrator.delete_desktop_pod(desktop, deadline)
        except ODError as error:
            self._accounting.increment("desktop", "deletefailed")
            raise LaunchFailedError(
                "Your running desktop could not be replaced, please try again", doing=f"deleting {desktop.name}"
            ) from error
        self._accounting.increment("desktop", "deletesuccess")

    def _create(
        self, identity: Identity, client: ClientInfo, progress: Progress, deadline: Deadline, *, looked: bool
    ) -> Desktop:
        progress("b.Creating a new desktop")
        self._accounting.increment("desktop", "new")
        try:
            with self._timing("create"):
                desktop = self._orchestrator.create_desktop(
                    identity,
                    client,
                    progress,
                    deadline,
                    authorized_key=self._authorized_key(identity.userid),
                    timezone=client.timezone,
                    looked=looked,
                )
        except ODError:
            self._accounting.increment("desktop", "createfailed")
            raise
        self._accounting.increment("desktop", "createsuccess")
        self._record(identity, client, desktop, "start")
        webhooks_ended = self._webhooks.created(desktop, identity, progress)
        try:
            with self._timing("ready"):
                ready = self._orchestrator.wait_ready(desktop, progress, Deadline(READY_SECONDS))
        except LaunchFailedError:
            self._discard(desktop, Deadline(READY_SECONDS))
            raise
        finally:
            webhooks_ended()
        if not ready:
            logger.warning("desktop %s is handed out before all its services answered", desktop.name)
        return desktop

    def _reachable(self, desktop: Desktop, identity: Identity, client: ClientInfo) -> Desktop:
        if desktop.is_reachable:
            return desktop
        logger.error("desktop %s has no address or no VNC password: removing it", desktop.name)
        self.remove(identity, client)
        raise LaunchFailedError("Your desktop could not be reached and was removed, please reload the page")

    def remove(self, identity: Identity, client: ClientInfo, *, isgarbaged: bool = False) -> bool:
        """Remove the user's desktop with everything that belongs to it; False when there was no pod.

        Raises ODError when a part could not be removed: nothing is lost silently.
        """
        desktop = self._orchestrator.find_desktop(identity)
        if desktop is None:
            return self._orchestrator.remove_desktop(identity)
        with self._endings.caused(desktop.uid) as ours:
            removed = self._orchestrator.remove_desktop(identity)
        self._accounting.increment("desktop", "remove")
        if ours:
            self._endings.record(identity, client, desktop.name, desktop.node or "", isgarbaged)
        return removed

    def _record(self, identity: Identity, client: ClientInfo, desktop: Desktop, eventtype: str) -> None:
        self._history.desktop(identity, client, eventtype, desktop.name, desktop.node or "", None)
