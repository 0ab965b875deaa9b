"""Use cases of a user: what the controllers call.

The composer knows identities, the catalogue, progress messages, history and counters; the orchestrator below it
knows Kubernetes; the controllers above it know HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oc.model.identity import ClientInfo, Identity, Login
from oc.od.accounting import Accounting
from oc.od.apps import ApplicationCatalogue
from oc.od.composer.addresses import desktop_address
from oc.od.composer.administration import Administration
from oc.od.composer.applications import Applications
from oc.od.composer.desktops import Desktops
from oc.od.composer.ending import Endings
from oc.od.composer.garbage import GarbageCollector
from oc.od.composer.sweeping import OrphanSweeps
from oc.od.composer.webhooks import Webhooks
from oc.od.history import History
from oc.od.internaldns import InternalDns
from oc.od.messageinfo import MessageInfo
from oc.od.orchestrator import Desktop, Orchestrator
from oc.od.orchestrator.podmodel import Pod
from oc.od.settings import Settings
from oc.sharecache import ShareCache

__all__ = ["Composer"]


class Composer:
    """All operations of one user on desktop, applications and secrets. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        orchestrator: Orchestrator,
        apps: ApplicationCatalogue,
        messageinfo: MessageInfo,
        accounting: Accounting,
        history: History,
        sharecache: ShareCache,
        fail_login: Callable[[str], None] = lambda userid: None,
        authorized_key: Callable[[str], str | None] = lambda userid: None,
        internaldns: InternalDns | None = None,
    ) -> None:
        """fail_login: counts a failure of a user id (fail2ban), called when somebody else's container is asked for.

        authorized_key: the SSH public key of a user id, if there is one; the user's new desktops get it.
        """
        self._settings = settings
        self._orchestrator = orchestrator
        self._apps = apps
        self.endings = Endings(accounting, history, sharecache)
        self.internaldns = internaldns
        self.webhooks = Webhooks(settings, orchestrator, sharecache)
        self.desktops = Desktops(
            settings,
            orchestrator,
            messageinfo,
            accounting,
            history,
            sharecache,
            self.endings,
            self.webhooks,
            authorized_key,
        )
        self.applications = Applications(settings, orchestrator, apps, accounting, fail_login, sharecache)
        self.garbage = GarbageCollector(settings, orchestrator, accounting, self.endings, sharecache)
        self.sweeps = OrphanSweeps(settings, orchestrator, sharecache)
        self.administration = Administration(orchestrator, self.applications, accounting, self.endings)

    def start(self) -> None:
        """Start the background work of the use cases."""
        self.sweeps.start()

    def stop(self) -> None:
        """End it, waiting at most a few seconds."""
        self.sweeps.stop()
        self.garbage.stop()
        self.webhooks.stop()
        if self.internaldns is not None:
            self.internaldns.stop()

    def desktop_gone(self, pod: Pod) -> None:
        """The pod of a desktop is gone, whatever the reason. Called by one replica for each."""
        self.endings.seen(pod)
        self.webhooks.destroyed(pod)
        if self.internaldns is not None:
            self.internaldns.ended(pod.name)

    def prepare_resources(self, login: Login) -> None:
        """Write the secrets a login brings (auth.md 8.1), before its token is issued.

        Raises ODError when ``ldif`` or ``localaccount`` cannot be written: no desktop could start without them.
        """
        self._orchestrator.write_login_secrets(login)

    def open_desktop(self, identity: Identity, client: ClientInfo) -> Desktop:
        """See Desktops.open."""
        desktop = self.desktops.open(identity, client)
        if self.internaldns is not None:
            self.internaldns.started(desktop.name, desktop.ip)
        return desktop

    def find_desktop(self, identity: Identity) -> Desktop | None:
        """See Desktops.find."""
        return self.desktops.find(identity)

    def remove_desktop(self, identity: Identity, client: ClientInfo) -> bool:
        """See Desktops.remove."""
        return self.desktops.remove(identity, client)

    def desktop_address(self, userid: str) -> str | None:
        """See addresses.desktop_address; the interface is ``fakedns.interfacename``."""
        return desktop_address(self._orchestrator, self._settings.fakedns.interfacename, userid)

    def user_applications_json(self, identity: Identity) -> tuple[bytes, str]:
        """What the user may start, as JSON text, and its entity tag (services.md 5.6).

        Dock entries of the configuration, then the catalogue; made once for all users who may see the same.
        """
        view = self._apps.view(identity.labels)
        return view.json, view.etag

    def secret_types(self, identity: Identity) -> list[str]:
        """The types of the user's non-empty secrets, ``["abcdesktop/ldif", "abcdesktop/vnc"]``."""
        return self._orchestrator.secret_types(identity)

    def userinfo(self, identity: Identity) -> dict[str, Any]:
        """The decoded ldif secret of the user, ``{}`` when there is none."""
        return self._orchestrator.ldif(identity)

    def desktop_log(self, identity: Identity) -> str:
        """The log of the desktop's graphical container, at most its last 2 MiB; empty when there is none."""
        desktop = self.find_desktop(identity)
        return "" if desktop is None else self._orchestrator.desktop_log(desktop)

    def describe_desktop(self, identity: Identity, client: ClientInfo) -> dict[str, Any]:
        """``clientipaddr``, ``user`` and, with several interfaces, ``externalip``, ``internalip``, ``sshconfig``."""
        description: dict[str, Any] = {"clientipaddr": client.ipaddr, "user": identity.userid}
        desktop = self.find_desktop(identity)
        wanted = self._settings.desktop.description
        if desktop is None or not desktop.interfaces:
            return description
        for key in ("externalip", "internalip"):
            interface = desktop.interfaces.get(wanted.get(key) or "")
            if interface is not None:
                description[key] = interface.get("ips")
        if wanted.get("sshconfig") is not None:
            description["sshconfig"] = wanted["sshconfig"]
        return description
