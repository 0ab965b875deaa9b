"""Names for Kubernetes objects and labels (spec orchestration.md 2, auth.md 4.4; RFC 1123; Kubernetes label syntax).

Everything here is pure. Distinct user ids always give distinct label values and object names.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_NAME = 63
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_HASHED = re.compile(r"([a-z0-9]([-a-z0-9_.]{0,44}[a-z0-9])?-)?[0-9a-f]{16}")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def dns_name(text: str, length: int = MAX_NAME) -> str:
    """An RFC 1123 label made from any text: accents dropped, lower case, other characters ``-``; may be empty."""
    return re.sub(r"[^a-z0-9-]", "-", _ascii(text).lower()).strip("-")[:length].strip("-")


def label_value(text: str) -> str:
    """A valid label value made from any text: ``Philip J. Fry`` gives ``philip-j.-fry``. Not collision-free."""
    value = re.sub(r"[^a-z0-9._-]", "-", _ascii(text).lower())
    return value.strip("-._")[:MAX_NAME].strip("-._")


def label_key(text: str) -> str:
    """A valid label key; an existing DNS ``prefix/`` is kept. May be empty."""
    prefix, slash, name = text.rpartition("/")
    if slash and len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix):
        name = label_value(name)
        return f"{prefix}/{name}" if name else ""
    return label_value(text)


def is_label_value(text: str) -> bool:
    """True when Kubernetes accepts ``text`` as a label value unchanged (empty included)."""
    return len(text) <= MAX_NAME and _LABEL_VALUE.fullmatch(text) is not None


def is_dns_label(text: str) -> bool:
    """True for a lower-case RFC 1123 label of at most 63 characters."""
    return len(text) <= MAX_NAME and _DNS_LABEL.fullmatch(text) is not None


def user_label(userid: str) -> str:
    """The ``access_userid`` label of a user: the id itself where valid, else its cleaned start + 16 hex of sha256."""
    if userid and is_label_value(userid) and not _looks_hashed(userid):
        return userid
    digest = hashlib.sha256(userid.encode()).hexdigest()[:16]
    start = label_value(userid)[:46].strip("-._")
    return f"{start}-{digest}" if start else digest


def _looks_hashed(userid: str) -> bool:
    """An id that has the shape of a made label could otherwise be chosen to equal somebody else's."""
    return _HASHED.fullmatch(userid) is not None


def user_object_name(userid: str) -> str:
    """The user's part of object names: the label where it is a DNS label, else a lower-case hashed form."""
    label = user_label(userid)
    if is_dns_label(label) and (label == userid or _looks_hashed(label)):
        return label
    digest = hashlib.sha256(userid.encode()).hexdigest()[:16]
    start = dns_name(userid)[:46].strip("-")
    return f"{start}-{digest}" if start else digest


def object_name(*parts: str) -> str:
    """Join ``parts`` with ``-`` into a DNS label; the front is cut, never the last part (the random suffix)."""
    last = dns_name(parts[-1])
    front = dns_name("-".join(parts[:-1]))[: MAX_NAME - 1 - len(last)].strip("-")
    return f"{front}-{last}" if front else last


def volume_name(text: str) -> str:
    """A volume name: the DNS form of ``text``; a cut or empty one gets a hash so that two never meet."""
    name = dns_name(text, 1000)
    if name and len(name) <= MAX_NAME:
        return name
    return f"{name[:54].strip('-') or 'volume'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
