"""Which labels a login may carry (spec auth.md 5.4): they become pod labels, environment names and policy keys."""

from __future__ import annotations

import ipaddress
import re

from oc.model.names import is_label_value

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_RESERVED_NAMES = frozenset({"type", "domain", "xauthkey"})
_RESERVED_PREFIXES = ("access_", "service_", "abcdesktop/", "netpol/")
_RESERVED_SUFFIX = "_cookie"


def is_label_key(text: str) -> bool:
    """True for the Kubernetes label-key syntax: ``[dns-prefix/]name``, name at most 63 characters."""
    prefix, slash, name = text.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        return False
    return _NAME.fullmatch(name) is not None


def is_reserved(key: str) -> bool:
    """True for keys the product sets itself: a rule that could set them would change whose desktop a pod is."""
    folded = key.lower()
    return folded in _RESERVED_NAMES or folded.startswith(_RESERVED_PREFIXES) or folded.endswith(_RESERVED_SUFFIX)


def is_user_label(key: object, value: object) -> bool:
    """True for a label a login may carry: str key and value, valid for Kubernetes, not reserved."""
    return (
        isinstance(key, str)
        and isinstance(value, str)
        and is_label_key(key)
        and not is_reserved(key)
        and is_label_value(value)
    )


def address_label(address: str) -> str | None:
    """The label value of an address, None when ``address`` is none.

    IPv4 unchanged; IPv6 in compressed form with ``-`` for ``:``, a leading or trailing ``::`` completed by ``0``
    because a label value starts and ends with a letter or digit.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    text = parsed.compressed.replace(":", "-")
    return f"{'0' if text.startswith('-') else ''}{text}{'0' if text.endswith('-') else ''}"
