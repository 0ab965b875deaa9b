"""The answer of ``user/whoami`` (spec http-api.md 5.3): who the token names and where the desktop runs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, Protocol

from oc.model.identity import Identity

_PHOTO_ATTRIBUTES: Final = {"ldap": "jpegPhoto", "activedirectory": "thumbnailPhoto"}
_DIRECTORY_FIELDS: Final = ("sn", "cn", "mail", "initials", "givenName", "description")


class DesktopPlace(Protocol):
    """Where a desktop runs: pod name, pod address, node name."""

    @property
    def name(self) -> str: ...
    @property
    def ip(self) -> str | None: ...
    @property
    def node(self) -> str | None: ...


def describe_user(
    identity: Identity | None, ldif: Mapping[str, Any] | None = None, desktop: DesktopPlace | None = None
) -> dict[str, Any]:
    """``identity`` None stands for "no valid token": the same keys with None, which clients expect.

    ldif: the decoded ldif secret; None or empty when the user has none. Photos are bytes, or text already in base64.
    """
    user = {
        "sessionid": "jwt_token",
        "userid": identity.userid if identity else None,
        "name": identity.name if identity else None,
        "photo": None,
        "provider": identity.provider if identity else None,
        "providertype": identity.providertype if identity else None,
        "target_ip": desktop.ip if identity and desktop else None,
        "container_id": desktop.name if identity and desktop else None,
        "hostedby": desktop.node if identity and desktop else None,
    }
    if identity is None or not ldif:
        return user
    user["photo"] = _photo(ldif.get(_PHOTO_ATTRIBUTES.get(identity.providertype, "")))
    return {**user, **{field: _plain(ldif.get(field)) for field in _DIRECTORY_FIELDS}}


def _photo(value: Any) -> str | None:
    value = _first(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if isinstance(value, str) and value else None


def _plain(value: Any) -> Any:
    """A directory value as JSON: bytes as text, several values as a list."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _first(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return value[0] if value else None
    return value
