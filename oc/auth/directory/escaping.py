"""Text from outside inside filters (RFC 4515) and distinguished names (RFC 4514), and comparing such names."""

from __future__ import annotations

import re
from typing import Final

from oc.auth.directory.library import LDAPExceptionError, parse_filter

PLACE: Final = "%s"
"""Where a filter of the configuration takes a value."""

_FILTER_SPECIAL: Final = frozenset(b"*()\\&|=!<>~:")
_DN_SPECIAL: Final = frozenset('"#+,;<>\\=')


class TemplateError(ValueError):
    """A filter of the configuration cannot be used; ``str()`` says why."""


def escape_filter(text: str) -> str:
    r"""``text`` as an assertion value: every byte that is special, not printable or not ASCII as ``\xx``."""
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte not in _FILTER_SPECIAL else f"\\{byte:02x}"
        for byte in text.encode("utf-8", "surrogatepass")
    )


def escape_dn(text: str) -> str:
    """``text`` as an attribute value of a DN: what is special, and blanks at the ends, in hexadecimal form."""
    escaped: list[str] = []
    last = len(text) - 1
    for index, character in enumerate(text):
        at_an_end = index in (0, last) and character == " "
        if character in _DN_SPECIAL or at_an_end or not character.isprintable():
            escaped.extend(f"\\{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        else:
            escaped.append(character)
    return "".join(escaped)


def fill(template: str, *values: str) -> str:
    """``template`` with each ``%s`` replaced by the next value, escaped; what a value holds is never replaced again."""
    pieces = template.split(PLACE)
    filled = [pieces[0]]
    for value, piece in zip(values, pieces[1:], strict=True):
        filled += (escape_filter(value), piece)
    return "".join(filled)


def check_template(template: str, places: int) -> str:
    """``template`` if it is a filter with that many ``%s``. Raises TemplateError."""
    if len(template) > 4096:
        raise TemplateError("expected a filter of at most 4096 characters")
    if template.count(PLACE) != places:
        raise TemplateError(f"expected {places} times %s in the filter, found {template.count(PLACE)}")
    try:
        parse_filter(fill(template, *("x",) * places), None, True, True, None, False)
    except LDAPExceptionError as error:
        raise TemplateError("expected a filter as of RFC 4515, such as (&(objectClass=Person)(cn=%s))") from error
    return template


def is_dn(text: str) -> bool:
    """Whether ``text`` looks like a DN, not like a plain group name."""
    return re.match(r"\s*[A-Za-z0-9.-]+\s*=", text) is not None
