"""The service container: builds and owns every long-lived object of the process (services.md 2).

``services`` is the only global of the product. Controllers reach everything through it; everything below the
controllers gets what it needs through its constructor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oc.od.accounting import Accounting
from oc.od.settings import Settings

if TYPE_CHECKING:
    from oc.auth import AuthService
    from oc.auth.tokens import DesktopTokens, UserTokens
    from oc.datastore import DataStore
    from oc.od.apps import ApplicationCatalogue
    from oc.od.composer import Composer
    from oc.od.fail2ban import Fail2Ban
    from oc.od.history import History
    from oc.od.kuberneteswatcher import KubernetesWatcher
    from oc.od.messageinfo import MessageInfo
    from oc.od.orchestrator import Orchestrator
    from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)


class ODServices:
    """Every attribute exists from the start, None until ``build`` has made it.

    A test may set attributes before ``build``: what is already there is not made again.
    """

    settings: Settings
    messageinfo: MessageInfo
    accounting: Accounting
    datastore: DataStore
    sharecache: ShareCache
    auth: AuthService
    usertokens: UserTokens
    jwtdesktop: DesktopTokens
    fail2ban: Fail2Ban
    history: History
    orchestrator: Orchestrator
    apps: ApplicationCatalogue
    composer: Composer
    kuberneteswatcher: KubernetesWatcher
    internaldns: Any
    locatorPublicInternet: Any  # noqa: N815 - the name controllers and operators know
    locatorPrivateActiveDirectory: Any  # noqa: N815
    keymanager: Any
    prelogin: Any
    logmein: Any
    asnumber: Any
    authorized_keys: Any

    def __init__(self) -> None:
        for name in _ATTRIBUTES:
            setattr(self, name, None)
        self._started: list[tuple[str, Callable[[], None]]] = []
        self._running = False

    def _have(self, name: str, make: Callable[[], Any]) -> None:
        if getattr(self, name) is None:
            setattr(self, name, make())


_ATTRIBUTES = tuple(ODServices.__annotations__)
services = ODServices()
