"""The gate of ``auth.prelogin``: from some networks only users announced by a front service may log in, as themselves.

Spec auth.md 6.2. A session is a key of the shared cache whose value is the announced user id.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from typing import Protocol

from oc.auth.requests import LoginRequest
from oc.errors import AuthenticationError, UnavailableError
from oc.model.identity import ClientInfo

SESSION_LENGTH = 36
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PreloginMismatchError(AuthenticationError):
    """The session is unknown or belongs to somebody else. Counts for fail2ban."""

    default_message = "invalid auth request, verify prelogin request failed"


class PreloginSettings(Protocol):
    """What is read of the configuration key ``auth.prelogin``."""

    @property
    def enable(self) -> bool: ...
    @property
    def url(self) -> str | None: ...
    @property
    def network_list(self) -> tuple[Network, ...]: ...
    @property
    def http_attribut_to_force_auth_prelogin(self) -> str | None: ...


class SessionStore(Protocol):
    """The part of the shared cache the gate reads."""

    @property
    def available(self) -> bool: ...

    def get(self, key: str) -> str | None: ...


class PreloginGate:
    """Refuses logins that must have come through prelogin and have not."""

    def __init__(self, settings: PreloginSettings, sessions: Callable[[], SessionStore | None]) -> None:
        self._settings = settings
        self._sessions = sessions

    @property
    def enabled(self) -> bool:
        """Whether prelogin is switched on; without a page to show it cannot be."""
        return self._settings.enable and bool(self._settings.url)

    def needed(self, client: ClientInfo, headers: Mapping[str, str]) -> bool:
        """Whether this client must show a prelogin session. ``headers`` have names in lower case."""
        if not self.enabled:
            return False
        force = self._settings.http_attribut_to_force_auth_prelogin
        if force is not None and force.lower() in headers:
            return True
        try:
            address = ipaddress.ip_address(client.ipaddr)
        except ValueError:
            return True  # nobody knows where it comes from
        return any(address in network for network in self._settings.network_list)

    def check(self, request: LoginRequest, client: ClientInfo, headers: Mapping[str, str]) -> None:
        """Raises AuthenticationError when a session is needed and missing, PreloginMismatchError when it is wrong,
        UnavailableError when sessions cannot be read."""
        if not self.needed(client, headers):
            return
        if not request.userid:
            raise AuthenticationError("invalid auth parameters, request must use set userid")
        if not request.loginsessionid:
            raise AuthenticationError("invalid auth parameters, request must use a prelogin session")
        store = self._sessions()
        if store is None or not store.available:
            raise UnavailableError("prelogin sessions are not available", doing="check a prelogin session")
        announced = store.get(request.loginsessionid) if len(request.loginsessionid) == SESSION_LENGTH else None
        if announced is None or not hmac.compare_digest(_comparable(announced), _comparable(request.userid)):
            raise PreloginMismatchError(doing="check a prelogin session")


def _comparable(userid: str) -> bytes:
    """Without a ``DOMAIN\\`` prefix, which clients cut off, and in one case."""
    return userid.rpartition("\\")[2].casefold().encode()
