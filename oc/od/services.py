"""The service container: builds and owns every long-lived object of the process (services.md 2).

``services`` is the only global of the product. Controllers reach everything through it; everything below the
controllers gets what it needs through its constructor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from oc.auth import AuthService, DesktopTokens, KeyFileError, UserTokens
from oc.auth.logmein import Logmein
from oc.auth.preloginpage import PreloginPage
from oc.auth.redirectpage import RedirectPage
from oc.datastore import DataStore
from oc.errors import ODError
from oc.od.accounting import Accounting
from oc.od.adsites import ActiveDirectorySites
from oc.od.apps import ApplicationCatalogue
from oc.od.asnumber import AsNumber
from oc.od.authorized_keys import AuthorizedKeys
from oc.od.composer import Composer
from oc.od.fail2ban import Fail2Ban
from oc.od.history import History
from oc.od.internaldns import InternalDns, make_internal_dns
from oc.od.keymanager import KeyManager
from oc.od.kuberneteswatcher import KubernetesWatcher
from oc.od.locator import PublicLocator, ServerAddress
from oc.od.messageinfo import MessageInfo
from oc.od.orchestrator import Orchestrator
from oc.od.reachability import unknown_hosts
from oc.od.settings import Settings
from oc.od.tracker import IssueTracker
from oc.od.version import UNDEFINED, read_version
from oc.sharecache import ShareCache, open_cache

logger = logging.getLogger(__name__)
T = TypeVar("T")

EXIT_FATAL = 255
EXIT_UNUSABLE_FILE = 1
RESOLVE_SECONDS = 5.0


class BootError(Exception):
    """The process cannot serve; the text is for the operator. ``exit_code``: see services.md 1.5."""

    def __init__(self, message: str, exit_code: int = EXIT_FATAL) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ODServices:
    """Every attribute exists from the start, None until ``build`` has made it.

    What a test has set before ``build`` is kept. ``start`` and ``stop`` are idempotent.
    """

    settings: Settings
    version: Mapping[str, object]
    messageinfo: MessageInfo
    accounting: Accounting
    datastore: DataStore
    sharecache: ShareCache
    auth: AuthService
    redirectpage: RedirectPage
    usertokens: UserTokens
    jwtdesktop: DesktopTokens
    fail2ban: Fail2Ban
    history: History
    orchestrator: Orchestrator
    apps: ApplicationCatalogue
    composer: Composer
    kuberneteswatcher: KubernetesWatcher
    locatorPublicInternet: PublicLocator  # noqa: N815 - the names operators and controllers know
    site_address: ServerAddress
    locatorPrivateActiveDirectory: ActiveDirectorySites  # noqa: N815
    internaldns: InternalDns | None
    keymanager: KeyManager
    prelogin: PreloginPage
    logmein: Logmein
    asnumber: AsNumber
    authorized_keys: AuthorizedKeys
    tracker: IssueTracker
    prefetch: Any

    def __init__(self) -> None:
        for name in ODServices.__annotations__:
            setattr(self, name, None)
        self.version = UNDEFINED
        self._running = False

    def build(self, settings: Settings, base: Path | None = None) -> None:
        """Make everything, in the order of services.md 2.2; no connection is opened but to resolve names.

        base: the directory of the account templates and of ``version.json``. Raises BootError.
        """
        self.settings = settings
        directory = base or Path()
        self.version = read_version(directory / "version.json")
        self._check_names()
        self._build_core(directory)
        self._build_cluster()
        self._build_catalogue()
        self._set_gauges()

    def _check_names(self) -> None:
        """MongoDB or memcached may be down; a name that does not exist is a mistake in the configuration."""
        hosts = [host for host, _ in self.settings.mongodb.hosts()]
        if self.settings.memcached.host != "local":
            hosts.append(self.settings.memcached.host)
        unknown = unknown_hosts(hosts, RESOLVE_SECONDS)
        if unknown:
            raise BootError(
                f"cannot resolve the host name {', '.join(unknown)} of MongoDB or memcached: check mongodburl, "
                "memcacheserver, the cluster's DNS and the network policies"
            )

    def _build_core(self, directory: Path) -> None:
        settings = self.settings
        self.sharecache = self.sharecache or open_cache(settings.memcached)
        self.messageinfo = self.messageinfo or MessageInfo(self.sharecache)
        self.accounting = self.accounting or Accounting()
        self.datastore = self.datastore or DataStore(settings.mongodb)
        self.history = self.history or History(self.datastore, settings.history)
        self.fail2ban = self.fail2ban or Fail2Ban(self.datastore, settings.fail2ban)
        self.locatorPublicInternet = self.locatorPublicInternet or PublicLocator(
            directory / settings.geoip.city_database, directory / settings.geoip.asn_database
        )
        self.site_address = self.site_address or ServerAddress(
            settings.server.geolocation_ipaddr, settings.http.default_host_url
        )
        self.asnumber = self.asnumber or AsNumber(
            directory / settings.geoip.ipasn_database, self.locatorPublicInternet.autonomous_system
        )
        self.usertokens = self.usertokens or _reading_files(lambda: UserTokens(settings.jwt_user))
        self.jwtdesktop = self.jwtdesktop or _reading_files(lambda: DesktopTokens(settings.jwt_desktop))
        self.keymanager = self.keymanager or _reading_files(lambda: KeyManager(settings.jwt_desktop, self.sharecache))
        self.redirectpage = self.redirectpage or _reading_files(
            lambda: RedirectPage.load(directory, settings.http.default_host_url)
        )
        self.auth = self.auth or _reading_files(
            lambda: AuthService(
                settings,
                bans=self.fail2ban,
                sessions=lambda: self.sharecache,
                used=lambda: self.sharecache,
                state_key=self.usertokens.derived_secret("links of external logins"),
                asnumber=self.asnumber.of,
                base=directory,
            )
        )
        self.accounting.metrics.know_providers([name for manager in self.auth.managers for name in manager.providers])

        self.locatorPrivateActiveDirectory = self.locatorPrivateActiveDirectory or ActiveDirectorySites(
            lambda: self.auth.active_directories()
        )
        self.prelogin = self.prelogin or PreloginPage(settings.auth.prelogin, lambda: self.sharecache)
        self.logmein = self.logmein or Logmein(settings.auth.logmein)
        self.authorized_keys = self.authorized_keys or AuthorizedKeys(self.sharecache, settings.authorized_keys)
        self.tracker = self.tracker or IssueTracker(settings.jira)

    def _build_cluster(self) -> None:
        """The Kubernetes client and its caches. The cluster may be away; its configuration must be there."""
        self.orchestrator = self.orchestrator or _connecting(
            lambda: Orchestrator(self.settings, observer=self.accounting.metrics.kubernetes_call)
        )

    def _build_catalogue(self) -> None:
        """The application catalogue, read once: MongoDB may be away, the catalogue's watcher repairs that later."""
        self.apps = self.apps or ApplicationCatalogue(self.datastore, self.settings, self.sharecache)
        if not self.apps.load(force=True):
            logger.error("the application catalogue is empty until MongoDB answers")
        self.internaldns = self.internaldns or make_internal_dns(self.settings.internaldns)
        self.composer = self.composer or Composer(
            self.settings,
            self.orchestrator,
            self.apps,
            self.messageinfo,
            self.accounting,
            self.history,
            self.sharecache,
            self.fail2ban.fail_login,
            self.authorized_keys.get_key,
            self.internaldns,
        )
        self.prefetch = self.prefetch or self.orchestrator.prefetch
        self.kuberneteswatcher = self.kuberneteswatcher or KubernetesWatcher(
            self.orchestrator, self.sharecache, self.apps.find_by_image, self.composer.desktop_gone
        )

    def _set_gauges(self) -> None:
        """Values read when the counters are exported."""
        apps = self.apps
        self.accounting.set_gauge("desktop", "current", self._current_desktops)
        self.accounting.set_gauge("applist", "installed", lambda: len(apps.snapshot.by_id))
        self.accounting.set_gauge("applist", "cached", lambda: apps.hits)
        self.accounting.set_gauge("applist", "build", lambda: apps.builds)
        history = self.history
        self.accounting.set_gauge("history", "waiting", lambda: history.waiting)
        self.accounting.set_gauge("history", "dropped", lambda: history.dropped)

    def _current_desktops(self) -> int | None:
        try:
            return sum(1 for _ in self.orchestrator.list_desktops())
        except ODError:
            return None

    def start(self) -> None:
        """Start the background work: catalogue watcher, history writer, shared watch, pod watcher."""
        if self._running:
            return
        self._running = True
        for name, step in self._parts():
            _guarded(f"start {name}", step.start)

    def stop(self) -> None:
        """Stop it in the order of services.md 2.3; each stop is guarded."""
        if not self._running:
            return
        self._running = False
        for name, step in self._parts():
            _guarded(f"stop {name}", step.stop)
        if self.datastore is not None:
            _guarded("close the connections to MongoDB", self.datastore.close)  # else the driver delays the exit by 1 s

    def _parts(self) -> list[tuple[str, Any]]:
        names = ("locatorPrivateActiveDirectory", "apps", "kuberneteswatcher", "orchestrator", "composer", "history")
        parts = [(name, getattr(self, name)) for name in names]
        return [(name, part) for name, part in parts if part is not None]


def _guarded(doing: str, step: Callable[[], object]) -> None:
    try:
        step()
    except Exception:
        logger.exception("could not %s", doing)


def _reading_files(make: Callable[[], T]) -> T:
    """Name the unusable file instead of showing a stack. Raises BootError."""
    try:
        return make()
    except (KeyFileError, OSError, UnicodeDecodeError) as error:
        raise BootError(f"a file that the configuration names cannot be used: {error}", EXIT_UNUSABLE_FILE) from error


def _connecting(make: Callable[[], T]) -> T:
    try:
        return make()
    except ODError as error:
        raise BootError(f"Kubernetes is not configured: {error.message}") from error


services = ODServices()
