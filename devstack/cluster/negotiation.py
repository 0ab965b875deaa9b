"""Media types: what a client accepts, and reading the body it sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from devstack.cluster import jsontext, protobuf
from devstack.cluster.errors import ApiError, bad_request
from devstack.cluster.objects import encode

JSON = "application/json"
YAML = "application/yaml"
BODY_LIMIT = 3 * 1024 * 1024
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_KNOWN_SENT = f"{JSON}, {YAML}, {_PROTOBUF}"
_WILD = ("*/*", "application/*")
_VIEWS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_NOT_ACCEPTABLE = (
    f"406: Not Acceptable\n\nAvailable representations: {_KNOWN_SENT}, {JSON};stream=watch, {_PROTOBUF};stream=watch"
)


@dataclass(frozen=True)
class Answer:
    """How to write the answer: `media`, and the view asked for by the parameter `as`."""

    media: str = JSON
    view: str = ""
    view_version: str = "v1"

    def write(self, value: Any) -> bytes:
        if self.media == YAML:
            # By way of JSON: parts of an object may be held as text.
            plain = msgspec.json.decode(encode(value))
            return yaml.safe_dump(plain, default_flow_style=False, allow_unicode=True).encode()
        return encode(value)


def _clauses(accept: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[float, int, str, dict[str, str]]] = []
    for number, clause in enumerate(accept.split(",")):
        media, *parameters = [part.strip() for part in clause.split(";")]
        options = dict(p.split("=", 1) for p in parameters if "=" in p)
        try:
            weight = float(options.pop("q", "1"))
        except ValueError:
            weight = 1.0
        if weight > 0:
            found.append((-weight, number, media, options))
    return [(media, options) for _, _, media, options in sorted(found, key=lambda entry: entry[:2])]


def negotiate(accept: str | None) -> Answer:
    """The first acceptable form.  Raises ApiError 406."""
    if not accept or accept == JSON:
        return Answer()
    for media, options in _clauses(accept):
        if media in _WILD:
            media = JSON
        if media not in (JSON, YAML):
            continue
        view = options.get("as", "")
        if view and (
            view not in _VIEWS or options.get("g") != "meta.k8s.io" or options.get("v") not in ("v1", "v1beta1")
        ):
            continue
        return Answer(media, view, options.get("v", "v1"))
    raise ApiError(406, "NotAcceptable", _NOT_ACCEPTABLE, {})


def media_type(content_type: str | None) -> str:
    return (content_type or JSON).split(";")[0].strip().lower()


def unsupported_media() -> ApiError:
    message = f"the body of the request was in an unknown format - accepted media types include: {_KNOWN_SENT}"
    return ApiError(415, "UnsupportedMediaType", message)


def read_object(raw: bytes, content_type: str | None, kind: str) -> tuple[Any, list[str]]:
    """(document, paths of fields named twice) of a POST or PUT body.  Raises ApiError 400 or 415."""
    media = media_type(content_type)
    if media == YAML:
        try:
            return jsontext.read_yaml(raw), []
        except jsontext.JsonSyntaxError as error:
            raise _unrecognized(kind, str(error), raw) from error
    if media == _PROTOBUF:
        try:
            return protobuf.read(raw), []
        except protobuf.ProtobufError as error:
            raise unsupported_media() from error
    if media != JSON:
        raise unsupported_media()
    try:
        document = jsontext.read_json(raw)
    except jsontext.JsonSyntaxError as error:
        raise _unrecognized(kind, str(error), raw) from error
    if document is not None and not isinstance(document, dict):
        name = {str: "string", list: "array", bool: "bool"}.get(type(document), "number")
        target = (
            'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        )
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse "
            f"error: json: cannot unmarshal {name} into Go value of type {target} ({raw.hex()})"
        )
    return document, jsontext.duplicate_fields(raw)


def _unrecognized(kind: str, why: str, raw: bytes) -> ApiError:
    # The server shows a short body as text when it looks like text, longer ones in hexadecimal.
    shown = raw[:32].decode("utf-8", "replace") if raw else "<empty>"
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: "
        f"{why} ({shown})"
    )
