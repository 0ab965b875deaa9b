"""Who may pass: the checks of http-api.md 2.9 in one order for every route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from oc.auth.tokens import TokenInvalidError
from oc.errors import AuthenticationError, BanAuthIPError, BanAuthUserError
from oc.model.identity import Identity
from oc.web.address import ClientAddress
from oc.web.exposing import Auth

TOKEN_HEADER = "ABCAuthorization"  # noqa: S105 - the name of a header
PREFIX = "Bearer "


class SpoofedHeaderError(AuthenticationError):
    """X-Forwarded-For names proxies that nobody knows."""

    default_message = "spoofed X-Forwarded-For header detected"


class BanList(Protocol):
    """What the guard needs of fail2ban. The calls neither raise nor block for long."""

    def is_banned_ip(self, address: str, /) -> bool: ...
    def is_banned_login(self, login: str, /) -> bool: ...
    def fail_ip(self, address: str, /) -> object: ...


class TokenReader(Protocol):
    """What the guard needs of the user tokens. Raises TokenExpiredError or TokenInvalidError."""

    def decode(self, token: str, /) -> Identity: ...


class NoBans:
    """Stands where no fail2ban was built."""

    def is_banned_ip(self, address: str, /) -> bool:
        return False

    def is_banned_login(self, login: str, /) -> bool:
        return False

    def fail_ip(self, address: str, /) -> object:
        return None


@dataclass(frozen=True, slots=True)
class Guard:
    """Turns the token of a request into an identity, or refuses. Holds no state of a request."""

    tokens: TokenReader | None
    bans: BanList

    def admit(self, auth: Auth, address: ClientAddress, header: str | None) -> Identity | None:
        """Check one request. Raises AuthenticationError (401).

        Without a token: ``user`` is refused, ``optional`` gets None. Nothing is recorded for a missing or merely
        expired token, because pages poll with them; a foreign or broken one counts.
        """
        if auth in ("none", "manager"):
            return None
        if self.bans.is_banned_ip(address.ip):
            raise BanAuthIPError
        if address.spoofed:
            self._fail(address)
            raise SpoofedHeaderError
        if auth == "login":
            return None
        identity = self._optional(header) if auth == "optional" else self._required(address, header)
        if identity is not None and self.bans.is_banned_login(identity.userid):
            raise BanAuthUserError
        return identity

    def _required(self, address: ClientAddress, header: str | None) -> Identity:
        if header is None:
            raise AuthenticationError("user is not authenticated")
        try:
            identity = self._decode(header)
        except TokenInvalidError:
            self._fail(address)
            raise
        if not identity.userid:
            self._fail(address)
            raise AuthenticationError("user is not identified")
        return identity

    def _optional(self, header: str | None) -> Identity | None:
        if header is None:
            return None
        try:
            identity = self._decode(header)
        except AuthenticationError:
            return None
        return identity if identity.userid else None

    def _decode(self, header: str) -> Identity:
        if self.tokens is None:
            raise AuthenticationError("user tokens are not configured")
        if not header.startswith(PREFIX):
            raise TokenInvalidError
        return self.tokens.decode(header[len(PREFIX) :])

    def _fail(self, address: ClientAddress) -> None:
        if address.chargeable:
            self.bans.fail_ip(address.ip)
