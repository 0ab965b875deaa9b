"""Start, list, inspect and stop the applications of a user (spec orchestration.md 7, http-api.md 3.3-3.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from oc.errors import BadRequestError, ODResourceNotFoundError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo, Identity
from oc.od.accounting import Accounting
from oc.od.apps import ApplicationCatalogue
from oc.od.composer.launchlock import LaunchLock
from oc.od.orchestrator import ApplicationInstance, Desktop, NotOwnerError, Orchestrator
from oc.od.orchestrator.applications import RunningApplication
from oc.od.settings import Settings
from oc.sharecache import ShareCache

LISTED = ("Running", "Terminated", "Waiting", "Completed", "Succeeded", "Failed", "Error", "Terminating")
PHASES = ("Running", "Terminated", "Waiting", "Completed", "Succeeded")
STOP_SECONDS = 15.0
START_SECONDS = 30.0


class Applications:
    """The user-level operations on applications."""

    def __init__(
        self,
        settings: Settings,
        orchestrator: Orchestrator,
        apps: ApplicationCatalogue,
        accounting: Accounting,
        fail_login: Callable[[str], None],
        sharecache: ShareCache,
    ) -> None:
        self._settings = settings
        self._orchestrator = orchestrator
        self._apps = apps
        self._accounting = accounting
        self._fail_login = fail_login
        self._lock = LaunchLock(sharecache, family="application")

    def run(self, identity: Identity, client: ClientInfo, image: str, args: str, timezone: str) -> dict[str, Any]:
        """Start the application that ``image`` names (id, name, launch, path, executable or MIME type) in the desktop.

        args: a file or URL to open, empty for none. timezone: an IANA name or empty.
        Returns ``container_id``, ``state``, ``type``, ``wm_class``, ``icon``, ``icondata``. Raises 404 without a
        desktop or such an application, 401 when the application's ACL denies, 400 at the limit of running ones.
        """
        desktop = self._desktop(identity)
        application = self._apps.find_for_user(identity.labels, image)
        with self._within_limit(desktop, identity):
            instance: ApplicationInstance = self._orchestrator.run_application(
                desktop, identity, application, client, args, timezone
            )
        return {
            "container_id": instance.container_id,
            "state": instance.state,
            "type": instance.type,
            "wm_class": application.launch,
            "icon": application.icon,
            "icondata": application.icondata,
        }

    @contextmanager
    def _within_limit(self, desktop: Desktop, identity: Identity) -> Iterator[None]:
        """Count, then start, one application of a user after the other: the limit holds for clicks at once too."""
        limit = self._settings.policies.max_app_counter
        if limit is None:
            yield
            return
        with self._lock.hold(identity, Deadline(START_SECONDS), lambda: False):
            if self._orchestrator.running_count(desktop, identity) >= limit:
                raise BadRequestError(f"the limit of {limit} running applications is reached")
            yield

    def running(self, identity: Identity) -> list[dict[str, Any]]:
        """The user's applications, whatever their phase. Raises 404 without a desktop."""
        desktop = self._desktop(identity)
        running = self._orchestrator.applications(desktop, identity)
        self._accounting.increment("api", "list_container_app")
        return [self.entry(application) for application in running if application.status in LISTED]

    def entry(self, running: RunningApplication) -> dict[str, Any]:
        """One item of a list, as the front end and the console read it (http-api.md 3.5)."""
        record = self._apps.find_by_image(running.image)
        entry: dict[str, Any] = {
            "podname": running.podname,
            "id": running.id,
            "short_id": running.short_id,
            "status": running.status,
            "image": running.image,
            "oc.path": list(running.command) if running.command is not None else None,
            "nodehostname": running.node,
            "architecture": record.architecture if record else None,
            "os": record.os if record else None,
            "oc.icondata": record.icondata if record else None,
            "oc.args": record.args if record else None,
            "oc.icon": record.icon if record else None,
            "oc.launch": record.launch if record else None,
            "oc.displayname": record.displayname if record else None,
            "runtime": "kubernetes",
            "type": running.type,
        }
        return entry

    def by_phase(self, identity: Identity, phase: str) -> list[dict[str, Any]]:
        """Those in one phase, with the keys of the desktop notification added (http-api.md 8, row 4)."""
        desktop = self._desktop(identity)
        if phase not in PHASES:
            raise BadRequestError(f"phase must be one of {', '.join(PHASES)}")
        entries = []
        for running in self._orchestrator.applications(desktop, identity):
            if running.status != phase:
                continue
            record = self._apps.find_by_image(running.image)
            entries.append(
                self.entry(running)
                | {
                    "container_id": running.id,
                    "name": record.name if record else None,
                    "displayname": record.displayname if record else None,
                    "icon": record.icon if record else None,
                    "icondata": record.icondata if record else None,
                    "launch": record.launch if record else None,
                    "reason": running.reason or running.status,
                }
            )
        return entries

    def log(self, identity: Identity, podname: str, containerid: str) -> str:
        """The log text of one application, possibly empty. Raises 404, or 401 for somebody else's."""
        with self._counting_foreign(identity):
            text = self._orchestrator.application_log(self._desktop(identity), identity, podname, containerid)
        self._accounting.increment("api", "log_container_app")
        return text

    def env(self, identity: Identity, podname: str, containerid: str) -> dict[str, str | None]:
        """The declared environment of one application, name to value. Raises as ``log``."""
        with self._counting_foreign(identity):
            values = self._orchestrator.application_env(self._desktop(identity), identity, podname, containerid)
        self._accounting.increment("api", "env_container_app")
        return values

    def stop(self, identity: Identity, podname: str, containerid: str) -> bool:
        """End one application. Raises as ``log``, and 400 when an ephemeral container cannot be stopped."""
        self._stop(identity, podname, containerid)
        self._accounting.increment("api", "stop_container_app")
        return True

    def remove(self, identity: Identity, podname: str, containerid: str) -> bool:
        """The same as ``stop``, counted apart."""
        self._stop(identity, podname, containerid)
        self._accounting.increment("api", "remove_container_app")
        return True

    def _stop(self, identity: Identity, podname: str, containerid: str) -> None:
        desktop = self._desktop(identity)
        with self._counting_foreign(identity):
            self._orchestrator.stop_application(desktop, identity, podname, containerid, Deadline(STOP_SECONDS))

    @contextmanager
    def _counting_foreign(self, identity: Identity) -> Iterator[None]:
        """Asking for somebody else's container counts against the login (fail2ban)."""
        try:
            yield
        except NotOwnerError:
            self._fail_login(identity.userid)
            raise

    def _desktop(self, identity: Identity) -> Desktop:
        desktop = self._orchestrator.find_desktop(identity)
        if desktop is None:
            raise ODResourceNotFoundError("desktop not found")
        return desktop
