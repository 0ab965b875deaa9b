"""From what a provider says about a user to the user's fields (spec auth.md 1.4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from oc.errors import ExternalAuthUserError
from oc.model.names import dns_name

MAX_USERID: Final = 256
"""Longest id a provider may give a user."""

MAX_NAME: Final = 256
MAX_ROLES: Final = 2000
MAX_ROLE: Final = 512
MAX_FIELDS: Final = 500
_HASH_DIGITS: Final = 20
_KEPT: Final = 63 - len("-h") - _HASH_DIGITS
_LOOKS_HASHED: Final = re.compile(r"(.*-)?h[0-9a-f]{20}")


def map_userinfo(document: Mapping[str, Any], mapping: Mapping[str, str] | None) -> dict[str, Any]:
    """The user's fields: the document itself without a mapping.

    ``{'*': '*'}`` starts from the document, ``{'*': 'k'}`` puts it under ``k``, any other entry reads a dotted path;
    what is not there is None.
    """
    if not mapping:
        return dict(document)
    whole = mapping.get("*")
    fields: dict[str, Any] = {}
    if whole is not None:
        fields = dict(document) if whole == "*" else {whole: dict(document)}
    fields |= {target: read_path(document, path) for target, path in mapping.items() if target != "*"}
    return fields


def read_path(document: object, path: str) -> Any:
    """The value at ``a.b.c``; numbers index lists. None when something on the way is absent."""
    value: Any = document
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def provider_userid(document: Mapping[str, Any], mapping: Mapping[str, str] | None) -> str:
    """The id as the provider gives it: the mapped ``userid``, else ``id``, else ``sub``.

    Raises ExternalAuthUserError when there is none, or when it is an address the provider has not verified.
    """
    mapped = mapping.get("userid", "userid" if mapping.get("*") == "*" else None) if mapping else "userid"
    for path in (mapped, "id", "sub"):
        value = read_path(document, path) if path else None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            if len(value) > MAX_USERID:
                raise ExternalAuthUserError("the identity provider's user id is too long")
            _require_verified(document, path or "")
            return value
    raise ExternalAuthUserError("the identity provider does not say who the user is")


def _require_verified(document: Mapping[str, Any], path: str) -> None:
    """Anybody can claim an e-mail address: as a user id it counts when the provider says it is verified."""
    parent, _, last = path.rpartition(".")
    if last.lower() not in ("email", "mail"):
        return
    beside = read_path(document, parent) if parent else document
    for place in (beside, document):
        for claim in ("email_verified", "verified_email"):
            said = place.get(claim) if isinstance(place, Mapping) else None
            if said is True or said == "true":  # 1 is neither
                return
    raise ExternalAuthUserError("the identity provider has not verified the user's e-mail address")


def local_userid(given: str, *, hashed: bool = True) -> str:
    """A user id of lower-case letters, digits and ``-`` for the id ``given`` by a provider.

    An id that already is one stays as it is. Any other gets its clean start and a hash, so that ``a.b``, ``A-B`` and
    ``a-b`` stay three users. Without ``hashed``, as in older releases, they become one.
    Raises ExternalAuthUserError when nothing is left.
    """
    clean = dns_name(given)
    if clean == given and not _LOOKS_HASHED.fullmatch(given):
        return clean
    if not hashed:
        if not clean:
            raise ExternalAuthUserError("the identity provider's user id cannot be used")
        return clean
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    start = dns_name(given, _KEPT)
    return f"{start}-h{digest}" if start else f"h{digest}"


def display_name(fields: Mapping[str, Any], userid: str) -> str:
    """``name``, else ``lastname``, else the id."""
    for key in ("name", "lastname"):
        value = fields.get(key)
        if isinstance(value, str) and value.strip():
            return "".join(character for character in value[:MAX_NAME] if character.isprintable()).strip() or userid
    return userid


def role_names(value: object) -> tuple[str, ...]:
    """The texts in a list of groups; one text is a list of one. Raises ExternalAuthUserError when it is too long."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return ()
    if len(value) > MAX_ROLES:
        raise ExternalAuthUserError(f"the identity provider lists more than {MAX_ROLES} groups for the user")
    return tuple(dict.fromkeys(role for role in value if isinstance(role, str) and 0 < len(role) <= MAX_ROLE))
