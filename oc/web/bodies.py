"""Request bodies (http-api.md 2.5): which are accepted, how long they may be, how they are decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec
from cheroot.errors import MaxSizeExceeded

from oc.errors import BadRequestError, ODError, UnavailableError
from oc.web.exposing import METHODS_WITH_BODY, Route
from oc.web.wire import BusyError

ACCEPTED_TYPES = ("application/json", "text/javascript")
FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FORM_FIELDS = 64
RETRY_SECONDS = 5


class LengthRequiredError(ODError):
    status = 411
    default_message = "a Content-Length is required"


class TooLargeError(ODError):
    status = 413
    default_message = "the request body is too large"


class UnsupportedTypeError(ODError):
    status = 415
    default_message = "Expected an entity of content type application/json, text/javascript"


class Readable(Protocol):
    """The socket side of a request body."""

    def read(self, size: int, /) -> bytes: ...


def read_document(route: Route, method: str, headers: Mapping[str, str], stream: Readable) -> object:
    """The JSON value of a request to ``route``; ``{}`` where an empty body may stand for it.

    Raises the 4xx of the table in 2.5. A body on a method without one is ignored.
    """
    if route.body is None or method not in METHODS_WITH_BODY:
        return {}
    length = _content_length(headers)
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    if length is None and not chunked:
        if route.empty_body:
            return {}
        raise LengthRequiredError
    if length is not None and length > route.max_body and not chunked:
        raise TooLargeError
    data = b"" if length == 0 and not chunked else _read(route, stream, None if chunked else length)
    if not data.strip():
        if route.empty_body:
            return {}
        raise BadRequestError("Invalid JSON document: the body is empty")
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if route.form and content_type == FORM_TYPE:
        return parse_form(data)
    if content_type not in ACCEPTED_TYPES:
        raise UnsupportedTypeError
    return parse_json(data)


def parse_form(data: bytes) -> dict[str, str]:
    """Decode a form of a browser, the last of equal names. Raises BadRequestError."""
    try:
        fields = parse_qsl(
            data.decode("utf-8").strip(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError as error:
        raise BadRequestError("the form cannot be read") from error
    return dict(fields)


def parse_json(data: bytes) -> object:
    """Decode UTF-8 JSON. Raises BadRequestError, also for nesting that would exhaust the stack."""
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadRequestError("Invalid JSON document") from error


def typed_body(route: Route, document: object) -> Any:
    """Convert a JSON value to the type that ``route`` declares. Raises BadRequestError for another shape."""
    if route.body is object:
        return document
    try:
        return msgspec.convert(document, route.body, strict=True)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"invalid parameters: {error}") from error


def _content_length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length")
    if text is None or not text.strip():
        return None
    if not text.strip().isascii() or not text.strip().isdigit():
        raise BadRequestError("invalid Content-Length")
    return int(text)


def _read(route: Route, stream: Readable, length: int | None) -> bytes:
    try:
        data = stream.read(route.max_body + 1 if length is None else length)
    except MaxSizeExceeded as error:
        raise TooLargeError from error
    except BusyError as error:
        raise UnavailableError("the service is busy, please try again", retry_after=RETRY_SECONDS) from error
    except (OSError, ValueError) as error:
        raise BadRequestError("the request body could not be read") from error
    if len(data) > route.max_body:
        raise TooLargeError
    if length is not None and len(data) < length:
        raise BadRequestError("the request body is incomplete")
    return data
