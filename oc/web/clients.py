"""What the headers of a request say about the browser behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from oc.i18n import negotiate_locale
from oc.model.identity import ClientInfo

_MAX_USERAGENT = 512
_MAX_ORIGIN = 512
_MAX_HOST = 253
#: Order matters: Android names Linux, and iPads name Mac OS X.
_FAMILIES = (
    (("android", "iphone", "ipad", "cros "), ""),
    (("windows",), "windows"),
    (("mac os x", "macintosh"), "macosx"),
    (("linux", "x11"), "linux"),
)


def client_info(headers: Mapping[str, str], ipaddr: str, languages: Sequence[str]) -> ClientInfo:
    """Describe the caller; every text is cut to a sane length."""
    useragent = _printable(headers.get("User-Agent", ""))[:_MAX_USERAGENT]
    origin = headers.get("Origin")
    return ClientInfo(
        ipaddr=ipaddr,
        useragent=useragent,
        os_family=os_family(useragent),
        locale=negotiate_locale(headers.get("Accept-Language"), languages),
        host=host_name(headers.get("Host", "")),
        origin=_printable(origin)[:_MAX_ORIGIN] if origin else None,
    )


def os_family(useragent: str) -> str:
    """``linux``, ``macosx``, ``windows`` or ``""``."""
    low = useragent.lower()
    for marks, family in _FAMILIES:
        if any(mark in low for mark in marks):
            return family
    return ""


def host_name(host: str) -> str:
    """The name in a Host header, without port; ``""`` when there is none to read."""
    try:
        return (urlsplit(f"//{host}").hostname or "")[:_MAX_HOST]
    except ValueError:
        return ""


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(character for character in text if character.isprintable())
