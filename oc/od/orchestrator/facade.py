"""Everything the layers above may ask of the cluster."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from oc.errors import ODResourceNotFoundError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo, Identity, Login
from oc.od.orchestrator import startrules
from oc.od.orchestrator.announcing import StartAnnouncer
from oc.od.orchestrator.applications import (
    ApplicationInstance,
    ApplicationRunner,
    CatalogueEntry,
)
from oc.od.orchestrator.claiming import DesktopClaims
from oc.od.orchestrator.client import Json, KubernetesClient, Observer, load_configuration
from oc.od.orchestrator.connections import count_connections
from oc.od.orchestrator.desktop import LAST_LOGIN, Desktop, desktop_from
from oc.od.orchestrator.dryrun import DryRun
from oc.od.orchestrator.errors import KubernetesError, LaunchFailedError
from oc.od.orchestrator.eventfeed import EventFeed
from oc.od.orchestrator.inspection import LOG_BYTES, ApplicationInspector
from oc.od.orchestrator.inventory import DesktopInventory
from oc.od.orchestrator.launch import Launcher, LaunchRequest, utc_now
from oc.od.orchestrator.listing import ApplicationLister, RunningApplication
from oc.od.orchestrator.loginsecrets import LoginSecrets
from oc.od.orchestrator.manifests import labels, selectors
from oc.od.orchestrator.manifests import secrets as secret_manifests
from oc.od.orchestrator.masking import masked_pod
from oc.od.orchestrator.notify import notify_user
from oc.od.orchestrator.orphans import OrphanSweeper
from oc.od.orchestrator.owner import owner_in, owner_of
from oc.od.orchestrator.paging import each_pod
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import DESKTOP, POD, SHARED_SELECTOR, Pod, choose
from oc.od.orchestrator.prefetch import Image, Prefetcher
from oc.od.orchestrator.readiness import Readiness
from oc.od.orchestrator.reflector import SILENCE_SECONDS, Reflector
from oc.od.orchestrator.removal import Remover
from oc.od.orchestrator.resources import EVENTS, PODS
from oc.od.orchestrator.starting import PATIENCE_SECONDS, PodStarter, PodVanishedError, Progress
from oc.od.orchestrator.storage import HomeStorage
from oc.od.orchestrator.usersecrets import SecretStore, vnc_secret_from
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

IO_THREADS = 16
BACKGROUND_THREADS = 4
RESUME_SECONDS = 30.0
EVENTS_SECONDS = 3.0
POD_RESOURCES_SINCE = (1, 34)


def _quiet(_: str) -> None:
    """Progress nobody wants to see."""


class Orchestrator:
    """The desktops and applications of one namespace. One per process, thread-safe.

    client: for tests; the default is made from the in-cluster configuration or the kubeconfig, which raises ODError
    naming both causes when neither works. observer: called after every API call (metrics).
    patience: seconds a container may be stuck in a hopeless state before its launch is given up.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        client: KubernetesClient | None = None,
        observer: Observer | None = None,
        patience: float = PATIENCE_SECONDS,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._settings = settings
        self.client = client or KubernetesClient(load_configuration(), settings.kubernetes.namespace, observer=observer)
        self.cache = PodCache()
        self.events = EventFeed()
        self._pods = Reflector(self.client, PODS, self.cache, label_selector=SHARED_SELECTOR, silence=silence)
        self._said = Reflector(
            self.client, EVENTS, self.events, field_selector="involvedObject.kind=Pod", items=False, silence=silence
        )
        self._executor = ThreadPoolExecutor(IO_THREADS, "orchestrator")
        self._background = ThreadPoolExecutor(BACKGROUND_THREADS, "orchestrator-background")
        self._checking = ThreadPoolExecutor(IO_THREADS, "readiness")
        self._version_lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._silence = silence
        self._secrets = SecretStore(settings, self.client)
        self._login_secrets = LoginSecrets(settings, self.client, self._secrets, self._executor)
        self._claims = DesktopClaims(settings, self.client, self._secrets)
        storage = HomeStorage(settings, self.client)
        self._starter = PodStarter(self.client, self.cache, self.events, self._pods, patience=patience)
        self._launcher = Launcher(
            settings,
            self.client,
            self.cache,
            self._secrets,
            self._claims,
            storage,
            self._starter,
            pod_level_resources=self.pod_level_resources,
        )
        self._dry_run = DryRun(settings, self.client, self._launcher, self._secrets, storage)
        self._readiness = Readiness(settings, self.client, self._checking)
        self._remover = Remover(settings, self.client, self.cache, storage, self._executor, self._background)
        self._orphans = OrphanSweeper(settings, self.client, self.cache, storage)
        self._prefetcher = Prefetcher(settings, self.client)
        self._lister = ApplicationLister(settings, self.cache)
        self._announcer = StartAnnouncer(settings, self.events, self._background)
        self._runner = ApplicationRunner(settings, self.client, self.cache, self._secrets, self._announcer)
        self._inspector = ApplicationInspector(self.client, self.cache)

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the shared watches. Desktops can be asked for at once: what the cache lacks is read live."""
        self._pods.start()
        self._said.start()

    def stop(self) -> None:
        """Stop the watches and the workers, within about five seconds. Work in requests is not interrupted."""
        for reflector in (self._pods, self._said):
            reflector.stop()
        self._announcer.stop()
        self._prefetcher.stop()
        self.cache.close()
        for executor in (self._executor, self._background, self._checking):
            executor.shutdown(wait=False, cancel_futures=True)

    def wait_synced(self, seconds: float) -> bool:
        """Wait for the first list of pods; False when it takes longer than ``seconds``.

        The first list of events is waited for too, a moment only: a cluster may refuse to show events.
        """
        synced = self._pods.synced.wait(seconds)
        self._said.synced.wait(min(seconds, EVENTS_SECONDS))
        return synced

    @property
    def watch_age(self) -> float | None:
        """Seconds since the API last said anything on the watch of pods; None before the first list."""
        return self._pods.age() if self._pods.synced.is_set() else None

    def pod_level_resources(self) -> bool:
        """Whether resources go to the pod: as configured, else by the version of the API server, asked once."""
        configured = self._settings.desktop.podlevelresources
        if isinstance(configured, bool):
            return configured
        with self._version_lock:
            if self._version is None:
                try:
                    self._version = self.client.server_version()
                except KubernetesError as error:
                    logger.warning("%s: resources go to the container this time", error)
                    return False
            return self._version >= POD_RESOURCES_SINCE

    # -- login ---------------------------------------------------------------------------------------------------

    def write_login_secrets(self, login: Login) -> None:
        """Write the secrets of a login. Raises ODError when one is missing then without which no desktop starts."""
        self._login_secrets.write(login)

    def secret_types(self, identity: Identity) -> list[str]:
        """Types of the user's secrets that hold something, ``abcdesktop/ldif`` and the like."""
        return self._secrets.read(identity).types()

    def ldif(self, identity: Identity) -> dict[str, Any]:
        """What the login said of the user, as text; ``{}`` when there is no such secret."""
        data = self._secrets.read_type(identity, "ldif").data("ldif")
        return dict(secret_manifests.secret_text(data)) if data else {}

    # -- desktops ------------------------------------------------------------------------------------------------

    def find_cached_desktop(self, identity: Identity) -> Desktop | None:
        """The user's desktop as far as the cache knows: no call."""
        user = labels.userid_label(identity.userid)
        pods = [
            pod for pod in self.cache.of_user(user, DESKTOP) if selectors.is_users(self._settings, identity, pod.labels)
        ]
        found = choose(pods)
        return self._describe(found) if found else None

    def find_desktop(self, identity: Identity) -> Desktop | None:
        """The user's desktop, Running preferred. What the cache does not have is looked for once, live.

        Raises KubernetesError when the API cannot tell: never "none" instead.
        """
        if self._is_current():
            cached = self.find_cached_desktop(identity)
            if cached is not None:
                return cached
        pods = self._launcher.live_desktops(identity)
        if sum(pod.usable for pod in pods) > 1:
            logger.warning("several desktops of one user: %s", ", ".join(sorted(pod.name for pod in pods)))
        found = choose(pods)
        return self._describe(found) if found else None

    def create_desktop(
        self,
        identity: Identity,
        client: ClientInfo,
        progress: Progress,
        deadline: Deadline,
        *,
        authorized_key: str | None = None,
        timezone: str = "",
        looked: bool = False,
    ) -> Desktop:
        """Create the user's desktop and wait until it runs; one that somebody else is creating is joined.

        looked: ``find_desktop`` has just found none, so that the user's pods need not be listed once more.
        Raises LaunchFailedError with a text for the user; nothing half made is left behind. Other ODErrors: the
        cluster is away or the configuration makes no valid pod.
        """
        launched = self._launcher.launch(
            LaunchRequest(identity, client, progress, deadline, authorized_key, timezone, looked)
        )
        desktop = self._describe(launched.pod)
        if launched.vnc is not None:
            return desktop.with_password(launched.vnc.password)
        return self._with_password(desktop, deadline)

    def dry_run_desktop(self, identity: Identity, client: ClientInfo) -> Json:
        """See DryRun.run: nothing is written."""
        return self._dry_run.run(identity, client)

    def resume_desktop(
        self,
        desktop: Desktop,
        identity: Identity,
        progress: Progress = _quiet,
        deadline: Deadline | None = None,
    ) -> Desktop:
        """Hand out a desktop that exists: waits while it is Pending, notes the time of the login.

        Raises LaunchFailedError when it cannot be used (any more).
        """
        deadline = deadline or Deadline(RESUME_SECONDS)
        if desktop.status == "Pending":
            desktop = self._wait_running(desktop, progress, deadline)
        if desktop.status != "Running":
            raise LaunchFailedError(f"your desktop is {desktop.status}", doing=f"resuming {desktop.name}")
        now = utc_now()
        body = {"metadata": {"uid": desktop.uid, "annotations": {LAST_LOGIN: now}}}
        try:
            pod = self.client.patch(PODS, desktop.name, body, repeat=True, deadline=deadline, decoder=POD)
        except KubernetesError as error:
            if error.code in (404, 409, 422):
                if error.code == 404:
                    self.cache.forget(desktop.name, desktop.uid)
                raise LaunchFailedError("your desktop is gone", doing=f"resuming {desktop.name}") from error
            raise
        self.cache.take(pod)
        if not selectors.is_users(self._settings, identity, pod.labels) or not pod.usable:
            raise LaunchFailedError("your desktop is gone", doing=f"resuming {desktop.name}")
        if pod.node_lost:
            raise LaunchFailedError("the node of your desktop is gone", doing=f"resuming {desktop.name}")
        return self._with_password(self._describe(pod), deadline)

    def annotate_desktop(self, desktop: Desktop, annotations: Mapping[str, str], deadline: Deadline) -> None:
        """Add annotations to that very pod. Raises KubernetesError."""
        body = {"metadata": {"uid": desktop.uid, "annotations": dict(annotations)}}
        self.cache.take(self.client.patch(PODS, desktop.name, body, repeat=True, deadline=deadline, decoder=POD))

    def wait_ready(self, desktop: Desktop, progress: Progress, deadline: Deadline) -> bool:
        """Wait for the services of the desktop; False when some did not answer in time.

        Raises LaunchFailedError as soon as the pod has ended or is going away: nothing can answer any more.
        """

        def alive() -> bool:
            pod = self.cache.get(desktop.name)
            return pod is not None and pod.uid == desktop.uid and pod.usable and startrules.ended(pod) is None

        return self._readiness.wait(desktop, progress, deadline, alive)

    def delete_desktop_pod(self, desktop: Desktop, deadline: Deadline | None = None) -> None:
        """Delete the pod at once, secrets stay; the next desktop gets another name and another VNC password."""
        deadline = deadline or Deadline(RESUME_SECONDS)
        if desktop.vnc_secret:
            self._claims.release(desktop.vnc_secret, deadline)
        self.client.delete(PODS, desktop.name, uid=desktop.uid, grace=0, deadline=deadline)
        self.cache.forget(desktop.name, desktop.uid)

    def remove_desktop(self, identity: Identity) -> bool:
        """Remove the user's desktop with all that belongs to it (spec 8.1); False when there was no pod."""
        return self._remover.remove(owner_of(self._settings, identity))

    def remove_desktop_by_name(self, name: str) -> bool:
        """As ``remove_desktop``, of the user the pod's labels name. Raises ODResourceNotFoundError."""
        return self._remover.remove(owner_in(self._desktop_manifest(name)["metadata"]["labels"]))

    def prefetch(self, image: Image, node: str | None) -> bool:
        """See Prefetcher.pull."""
        return self._prefetcher.pull(image, node)

    def inventory(self, name: str) -> DesktopInventory:
        """The desktop of that name, to take apart. Raises ODResourceNotFoundError."""
        files = self._settings.desktop.resources_usage_cgroup_map
        return DesktopInventory(self.client, self._inspector, files, self._desktop_manifest(name))

    def live_desktops(self, node: str = "") -> list[Pod]:
        """All desktop pods of any phase from the API, on ``node`` when it is given."""
        where = f"spec.nodeName={node}" if node else ""
        return list(each_pod(self.client, selectors.ALL_DESKTOPS, field_selector=where))

    def count_connections(self, pod: Pod) -> int | None:
        """Browsers connected to the desktop, None when that cannot be told."""
        return count_connections(self.client, pod)

    def remove_desktop_pod(self, pod: Pod, *, unchanged: bool = False) -> bool:
        """See Remover.remove_pod: the owner is the user the pod's labels name."""
        return self._remover.remove_pod(owner_in(pod.labels), pod, unchanged=unchanged)

    def sweep_orphans(self, minimum_age: timedelta, now: datetime) -> Counter[str]:
        """See OrphanSweeper.sweep."""
        return self._orphans.sweep(minimum_age, now)

    def list_desktops(self, user: str = "") -> Iterator[Desktop]:
        """Desktops that run or are being started, by name, one at a time; of one user id label, when it is given.

        From the cache while its watch is alive, else from the API: raises KubernetesError then, also in between.
        """
        if not self._is_current():
            selector = f"{selectors.ALL_DESKTOPS},access_userid={user}" if user else selectors.ALL_DESKTOPS
            pods = each_pod(self.client, selector)
        else:
            pods = iter(self.cache.of_user(user, DESKTOP)) if user else self.cache.of_kind(DESKTOP)
        return (self._describe(pod) for pod in pods if pod.phase in ("Running", "Pending") and not pod.terminating)

    def get_desktop_pod(self, name: str) -> Json:
        """The pod as the API has it, cookies masked. Raises ODResourceNotFoundError."""
        return masked_pod(self._desktop_manifest(name))

    def desktop_log(self, desktop: Desktop, limit_bytes: int = LOG_BYTES) -> str:
        """The log of the graphical container, empty when there is none."""
        return self._inspector.container_log(desktop.name, desktop.container_name or "", limit_bytes)

    def notify(self, desktop: Desktop, method: str, payload: Mapping[str, Any]) -> bool:
        """Tell the user's browser something through the desktop (spec 9.4); True when it was taken."""
        return notify_user(self.client, desktop.name, desktop.container_name or "", method, payload)

    # -- applications --------------------------------------------------------------------------------------------

    def run_application(
        self,
        desktop: Desktop,
        identity: Identity,
        application: CatalogueEntry,
        client: ClientInfo,
        args: str = "",
        timezone: str = "",
    ) -> ApplicationInstance:
        """See ApplicationRunner.run."""
        return self._runner.run(desktop, identity, application, client, args, timezone)

    def applications(self, desktop: Desktop, identity: Identity) -> list[RunningApplication]:
        """The user's applications of both classes, whatever their state: no call."""
        return self._lister.find(desktop, identity)

    def running_count(self, desktop: Desktop, identity: Identity) -> int:
        """Applications that run or are about to."""
        return self._lister.count_running(desktop, identity)

    def application_log(self, desktop: Desktop, identity: Identity, podname: str, containerid: str) -> str:
        """Log of one application of the user. Raises as ApplicationInspector.find."""
        return self._inspector.log(self._inspector.find(desktop, identity, podname, containerid))

    def application_env(
        self, desktop: Desktop, identity: Identity, podname: str, containerid: str
    ) -> dict[str, str | None]:
        """Declared environment of one application of the user. Raises as ApplicationInspector.find."""
        return self._inspector.environment(self._inspector.find(desktop, identity, podname, containerid))

    def stop_application(
        self, desktop: Desktop, identity: Identity, podname: str, containerid: str, deadline: Deadline
    ) -> None:
        """End one application of the user. Raises as ApplicationInspector.find and ``stop``."""
        self._inspector.stop(self._inspector.find(desktop, identity, podname, containerid), deadline)

    # -- inside --------------------------------------------------------------------------------------------------

    def _is_current(self) -> bool:
        """Whether the cache is kept up to date."""
        age = self.watch_age
        return age is not None and age < 2 * self._silence

    def _describe(self, pod: Pod) -> Desktop:
        return desktop_from(
            pod,
            domain=self._settings.kubernetes.domain if self._settings.desktop.useinternalfqdn else None,
            websocketrouting=self._settings.http.websocketrouting,
        )

    def _wait_running(self, desktop: Desktop, progress: Progress, deadline: Deadline) -> Desktop:
        with self._starter.watching(desktop.name, progress) as watch:
            try:
                return self._describe(watch.wait_running(desktop.uid, deadline))
            except PodVanishedError as error:
                raise LaunchFailedError(error.message, doing=error.doing) from error

    def _with_password(self, desktop: Desktop, deadline: Deadline) -> Desktop:
        """Read the secret the pod mounts; without it the desktop is not reachable, which is for the caller to see."""
        if desktop.vnc_secret is None:
            return desktop
        obj = self._secrets.get(desktop.vnc_secret, deadline)
        found = vnc_secret_from(obj) if obj else None
        return desktop.with_password(found.password) if found else dataclasses.replace(desktop, vnc_password=None)

    def _desktop_manifest(self, name: str) -> Json:
        try:
            pod = self.client.get(PODS, name)
        except KubernetesError as error:
            if error.code in (400, 404):
                raise ODResourceNotFoundError("desktop not found") from error
            raise
        if (pod["metadata"].get("labels") or {}).get("type") != DESKTOP:
            raise ODResourceNotFoundError("desktop not found")
        return pod
