"""What a client sends to log in (spec auth.md 2.3), and the checks that need no provider."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import msgspec

from oc.errors import AuthenticationError

MAX_CREDENTIAL = 256

Credential = Annotated[str, msgspec.Meta(max_length=MAX_CREDENTIAL)]


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``auth/auth``.

    ``manager`` is accepted and ignored. ``provider``, ``features``, ``geolocation`` and ``utctimestamp`` may hold
    anything: what is wrong in them is answered with the documented text, or ignored where it is only decoration.
    """

    manager: Any = None
    provider: Any = None
    userid: Credential | None = None
    password: Credential | None = None
    loginsessionid: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    features: Any = None
    geolocation: Any = None
    utctimestamp: Any = None

    def __repr__(self) -> str:
        """Without the password."""
        return f"LoginRequest(provider={self.provider!r:.80}, userid={self.userid!r})"


def chosen_execute_class(features: Any, permissions: Collection[str], classes: Collection[str]) -> str | None:
    """The execute class a user asks for in ``features``, None when it asks for none.

    permissions: ``desktop.features_permissions``. classes: the names in ``executeclasses``.
    Raises AuthenticationError (401) when ``features`` is no dict, not permitted, or names an unknown class.
    """
    if features is None:
        return None
    if not isinstance(features, dict):
        raise AuthenticationError("bad parameters features, features must be a dict")
    if "submit" not in permissions:
        raise AuthenticationError("features are denied, 'submit' is not in desktop.features_permissions")
    name = features.get("executeclassname")
    if not isinstance(name, str):
        return None
    if name not in classes:
        raise AuthenticationError("bad parameters features, executeclassname is unknown")
    return name
