"""Small helpers for JSON objects: copies, encodings, clocks."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import msgspec

Object = dict[str, Any]
Clock = Callable[[], datetime.datetime]

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()

encode: Callable[[Any], bytes] = _encoder.encode


def copy_json(value: Any) -> Any:
    """A deep copy of a JSON value; about ten times faster than copy.deepcopy."""
    if isinstance(value, dict):
        return {key: copy_json(item) if isinstance(item, (dict, list)) else item for key, item in value.items()}
    if isinstance(value, list):
        return [copy_json(item) if isinstance(item, (dict, list)) else item for item in value]
    return value


def utcnow() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def timestamp(moment: datetime.datetime) -> str:
    """RFC 3339 with whole seconds, as metav1.Time is written."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: datetime.datetime) -> str:
    """RFC 3339 with six digits, as metav1.MicroTime is written."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
