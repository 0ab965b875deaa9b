"""Attributes of an entry as the rest of the product sees a user: texts, bytes for photos, and never a password."""

from __future__ import annotations

import re
from typing import Any, Final

from oc.auth.directory.session import Entry

BINARY: Final = frozenset(
    {"jpegphoto", "thumbnailphoto", "photo", "audio", "objectsid", "objectguid", "usercertificate", "sidhistory"}
)
"""Attributes that stay bytes whatever they look like."""

ONE_VALUE: Final = frozenset({"mail", "jpegphoto", "thumbnailphoto", "displayname", "uid"})
"""Attributes of which clients take one value: the first."""

_SENSITIVE: Final = re.compile(
    r"password|passwd|pwd|nthash|lmhash|krbprincipalkey|krb5key|krbextradata|supplementalcredentials|secret|keytab"
    r"|privatekey|userpkcs12|ms-mcs-adm|mslaps",
    re.IGNORECASE,
)


def user_attributes(entry: Entry) -> dict[str, Any]:
    """Name, as the server writes it -> one value, or a list of several; text where the bytes are UTF-8."""
    attributes: dict[str, Any] = {}
    for key, values in entry.values.items():
        name = entry.names.get(key, key)
        if not values or _SENSITIVE.search(name):
            continue
        decoded = [_decoded(value, key.partition(";")[0]) for value in values]
        attributes[name] = decoded[0] if len(decoded) == 1 or key in ONE_VALUE else decoded
    return attributes


def _decoded(value: bytes, key: str) -> str | bytes:
    if key in BINARY:
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
