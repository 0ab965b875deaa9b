"""What handlers return, and how it becomes bytes: the result envelope of http-api.md 2.6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

JSON_TYPE = "application/json;charset=utf-8"
TEXT_TYPE = "text/plain;charset=utf-8"
BODILESS = (204, 304)
#: The envelope around JSON that is encoded already: a list of applications has more than a megabyte.
_BEFORE, _AFTER = b'{"status":200,"result":', b',"message":"ok"}\n'


@dataclass(frozen=True, slots=True)
class Success:
    """A success envelope with another ``message`` than ``ok``."""

    result: object = None
    message: str | None = "ok"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SoftError:
    """A failure that clients expect as HTTP 200: ``{"status": n, "result": null, "error": text}``."""

    error: str
    status: int = 500


@dataclass(frozen=True, slots=True)
class Bare:
    """A JSON value without envelope, whatever the route declares."""

    value: object
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """Something that is not JSON: text, a page, a token."""

    data: str | bytes
    content_type: str = TEXT_TYPE
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer. ``value`` is the JSON value it was made of (for the trace), None for other content.

    pieces: its body. A large one is not copied to put something around it.
    """

    status: int
    headers: dict[str, str]
    pieces: tuple[bytes | memoryview, ...] = ()
    value: object = None

    @property
    def body(self) -> bytes:
        """All pieces in one."""
        return b"".join(self.pieces)

    @property
    def length(self) -> int:
        """Of the body, in bytes."""
        return sum(map(len, self.pieces))

    @property
    def has_body(self) -> bool:
        """Whether answers of this status have a body at all, be it an empty one."""
        return self.status not in BODILESS


def encode(value: object) -> bytes:
    """JSON text of ``value`` and a newline. A type that JSON cannot carry is a bug (NotImplementedError)."""
    return msgspec.json.encode(value, enc_hook=_fallback) + b"\n"


def finish(value: object, *, envelope: bool) -> Reply:
    """Turn what a handler returned into a reply."""
    headers: dict[str, str] = {"Content-Type": JSON_TYPE}
    if isinstance(value, Content):
        data = value.data.encode() if isinstance(value.data, str) else value.data
        return Reply(value.status, {"Content-Type": value.content_type, **value.headers}, (data,))
    document: object
    if isinstance(value, Success):
        headers.update(value.headers)
        document = {"status": 200, "result": value.result, "message": value.message}
    elif isinstance(value, SoftError):
        document = {"status": value.status, "result": None, "error": value.error}
    elif isinstance(value, Bare):
        headers.update(value.headers)
        document = value.value
    else:
        document = {"status": 200, "result": value, "message": "ok"} if envelope else value
        if envelope and isinstance(value, msgspec.Raw):
            return Reply(200, headers, (_BEFORE, memoryview(value), _AFTER), document)
    return Reply(200, headers, (encode(document),), document)


def _fallback(value: Any) -> Any:
    """Containers that msgspec does not know (immutable mappings and sets)."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    raise NotImplementedError(f"cannot encode {type(value).__name__} as JSON")
