"""The head of a request: its first line and its header fields, read strictly (RFC 9112).

A proxy in front and this server must agree where a request ends, or one user's bytes become another's request. What
proxies read differently (two lengths, a length beside chunks, blanks before a colon) is therefore refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

MAX_FIELDS: Final = 200

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]+")
_PROTOCOL: Final = re.compile(r"HTTP/\d\.\d")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Also what ends a line for some readers, and not for others.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")
_HOST: Final = re.compile(r"[0-9A-Za-z._~!$&'()*+,;=%\[\]:-]*")
_BLANKS: Final = " \t"
#: Repeated, nobody knows which one counts.
_ONCE: Final = frozenset(
    {"Host", "Content-Length", "Transfer-Encoding", "Content-Type", "Abcauthorization", "Authorization", "X-Api-Key"}
)
#: Several lines are one list.
_LISTS: Final = frozenset(
    {"Accept", "Accept-Language", "Connection", "Expect", "If-None-Match", "Te", "Via", "X-Forwarded-For"}
)


class RefusedHeadError(Exception):
    """What came is no request that is served. The text is for the client."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """fields: by name in title case. length: of the body, 0 without one; not known when it is ``chunked``."""

    method: str
    target: str
    protocol: str
    fields: dict[str, str]
    length: int
    chunked: bool

    @property
    def keeps_connection(self) -> bool:
        """Whether the client wants to send another request (RFC 9112 9.3); options are of any case."""
        text = self.fields.get("Connection")
        if text is None:
            return self.protocol == "HTTP/1.1"
        options = {option.strip(_BLANKS).lower() for option in text.split(",")}
        return "close" not in options and (self.protocol == "HTTP/1.1" or "keep-alive" in options)

    @property
    def awaits_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body; in HTTP/1.0 nobody does (RFC 9110 10.1.1)."""
        return self.protocol == "HTTP/1.1" and self.fields.get("Expect", "").lower() == "100-continue"


def read_head(data: bytes) -> Head:
    """``data``: all up to the empty line, without it. Raises RefusedHeadError."""
    text = data.decode("latin-1")
    first, _, rest = text.partition("\r\n")
    method, target, protocol = _first_line(first)
    if _CONTROL.search(text):
        raise RefusedHeadError("a control character, or a line that does not end with CRLF")
    fields = _fields(rest) if rest else {}
    if not _HOST.fullmatch(fields.get("Host", "")):
        raise RefusedHeadError("invalid Host")
    length, chunked = _framing(fields, protocol)
    return Head(method, target, protocol, fields, length, chunked)


def _first_line(line: str) -> tuple[str, str, str]:
    try:
        method, target, protocol = line.split(" ")
    except ValueError:
        raise RefusedHeadError("Malformed Request-Line") from None
    if protocol not in ("HTTP/1.1", "HTTP/1.0"):
        if _PROTOCOL.fullmatch(protocol):
            raise RefusedHeadError("HTTP Version Not Supported", 505)
        raise RefusedHeadError("Malformed Request-Line: bad protocol")
    if not _METHOD.fullmatch(method):
        raise RefusedHeadError("Malformed method name")
    if not _is_target(method, target):
        raise RefusedHeadError("Malformed Request-URI")
    return method, target, protocol


def _is_target(method: str, target: str) -> bool:
    """A path, a whole URL, or ``*`` where the server itself is meant (RFC 9112 3.2)."""
    if not target.isascii() or not target.isprintable() or "#" in target:
        return False
    if target[:1] == "/" and target[1:2] != "/":
        return True
    if target == "*":
        return method == "OPTIONS"
    try:
        url = urlsplit(target)
    except ValueError:
        return False
    return target[:1] == "/" or (url.scheme in ("http", "https") and bool(url.netloc))


def _fields(text: str) -> dict[str, str]:
    """Names with ``_`` are dropped: elsewhere they look like those with ``-``. Folded lines are joined by a blank
    (nginx sends client certificates so).
    """
    lines = text.split("\r\n")
    if len(lines) > MAX_FIELDS:
        raise RefusedHeadError("too many headers")
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t"):
            if not name:
                raise RefusedHeadError("the first header line is folded")
            if name in fields:
                fields[name] += " " + line.strip(_BLANKS)
            continue
        raw, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(raw):
            raise RefusedHeadError("illegal header line")
        name = raw.title()
        if "_" not in name:
            _add(fields, name, value.strip(_BLANKS))
    return fields


def _add(fields: dict[str, str], name: str, value: str) -> None:
    known = fields.get(name)
    if known is None:
        fields[name] = value
    elif name in _ONCE:
        raise RefusedHeadError(f"repeated header {name}")
    elif name in _LISTS:
        fields[name] = f"{known}, {value}"
    else:
        fields[name] = f"{known}; {value}" if name == "Cookie" else value


def _framing(fields: dict[str, str], protocol: str) -> tuple[int, bool]:
    """Length of the body, and whether it comes in chunks; refused when nobody can tell for sure where it ends."""
    length, coding = fields.get("Content-Length"), fields.get("Transfer-Encoding")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) < 19):
        raise RefusedHeadError("invalid Content-Length")
    if coding is None:
        return int(length or 0), False
    if coding.lower() != "chunked":
        raise RefusedHeadError("unknown Transfer-Encoding")
    if length is not None:
        raise RefusedHeadError("both Content-Length and Transfer-Encoding")
    if protocol != "HTTP/1.1":
        raise RefusedHeadError("Transfer-Encoding needs HTTP/1.1")
    return 0, True
