"""One request as a handler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oc.errors import AuthenticationError, BadRequestError
from oc.model.identity import ClientInfo, Identity
from oc.web.address import ClientAddress


@dataclass(slots=True)
class Call:
    """A request after routing.

    path: below ``/API``, percent-encoded as received and without query: safe to log. segments: decoded.
    headers: case-insensitive. query: decoded, the last of equal names. peer: address and port of the socket.
    response_headers: what a handler wants to add to the answer. notrace: keep the answer out of the trace log.
    """

    method: str
    path: str
    segments: tuple[str, ...]
    headers: Mapping[str, str]
    query: Mapping[str, str]
    address: ClientAddress
    client: ClientInfo
    peer: tuple[str, int]
    optional_identity: Identity | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    notrace: bool = False

    @property
    def identity(self) -> Identity:
        """The caller. Raises AuthenticationError when the route let somebody in without a token."""
        if self.optional_identity is None:
            raise AuthenticationError("a user token is required")
        return self.optional_identity

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean query parameter: y yes t true on 1, n no f false off 0. Raises BadRequestError otherwise."""
        text = self.query.get(name)
        if text is None:
            return default
        if text.lower() in ("y", "yes", "t", "true", "on", "1"):
            return True
        if text.lower() in ("n", "no", "f", "false", "off", "0"):
            return False
        raise BadRequestError(f"invalid parameter {name}: a boolean is expected")
