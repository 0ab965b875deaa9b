"""From a client's JSON to the stored form of an object, as Go's typed decoding does it.

Values of a wrong JSON type are refused in Go's words, fields the schema does not know are noted and dropped, `null` and
empty optional values are left out, quantities are written canonically.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from devstack.cluster import quantity
from devstack.cluster.objects import Object
from devstack.cluster.schema import Field, Type

# Optional scalars that Go holds by pointer, so that their empty value is kept.
_POINTER_STRINGS = frozenset(
    {
        "storageClassName", "volumeMode", "runtimeClassName", "preemptionPolicy", "volumeAttributesClassName",
        "apiGroup", "ingressClassName", "holderIdentity", "hostnameOverride", "loadBalancerClass", "appProtocol",
        "localhostProfile", "fsGroupChangePolicy", "mountPropagation", "service",
    }
)  # fmt: skip
# Optional booleans and numbers that Go holds by value, so that false and 0 are left out.
_VALUE_BOOLEANS = frozenset(
    {
        "hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly", "paused", "unschedulable",
        "publishNotReadyAddresses", "globalDefault", "denied", "authenticated",
    }
)  # fmt: skip
_VALUE_NUMBERS = frozenset(
    {
        "hostPort", "nodePort", "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
        "failureThreshold", "minReadySeconds", "count", "observedGeneration", "generation",
    }
)  # fmt: skip
# A struct's zero time is written as null instead of being left out.
_NULL_TIMES = frozenset({"lastProbeTime"})
_TIME = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")
_INT_RANGE = {"int32": 2**31, "int64": 2**63}
_BASE64 = re.compile(rb"^[A-Za-z0-9+/]*={0,2}$")


class DecodingError(ValueError):
    """The value cannot be held by the Go type; the message is Go's."""


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


class Decoder:
    """Decodes one document; `unknown` then lists the fields the schema does not have, in their order."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def decode(self, document: Object, type_: Type) -> Object:
        """The cleaned object.  Raises DecodingError."""
        result: Object = self._object(document, type_, "", "")
        return result

    def _object(self, value: Object, type_: Type, dotted: str, path: str) -> Object:
        result: Object = {}
        fields = type_.fields
        for key, item in value.items():
            field = fields.get(key)
            here = f"{path}.{key}" if path else key
            if field is None:
                self.unknown.append(here)
                continue
            if item is None:
                continue
            inner = f"{dotted}.{key}" if dotted else key
            decoded = self._value(item, field.type, _owner(type_), inner, here)
            if not _left_out(decoded, field):
                result[key] = decoded
        return result

    def _value(self, value: Any, type_: Type, owner: str, dotted: str, path: str) -> Any:
        form = type_.form
        if form == "string":
            if isinstance(value, str):
                return value
        elif form == "object":
            if isinstance(value, dict):
                return self._object(value, type_, dotted, path)
        elif form == "array":
            if isinstance(value, list):
                return self._array(value, type_, owner, dotted, path)
        elif form == "map":
            if isinstance(value, dict):
                return self._map(value, type_, owner, dotted, path)
        elif form == "any":
            return value
        else:
            return self._scalar(value, type_, owner, dotted)
        raise _mismatch(_json_kind(value), owner, dotted, type_.go)

    def _array(self, value: list[Any], type_: Type, owner: str, dotted: str, path: str) -> list[Any]:
        items = type_.items
        assert items is not None
        if items.form == "string":
            for item in value:
                if not isinstance(item, str):
                    if item is None:
                        return ["" if item is None else item for item in value]
                    raise _mismatch(_json_kind(item), owner, dotted, "string")
            return value
        result: list[Any] = []
        for number, item in enumerate(value):
            item = {} if item is None and items.form == "object" else item
            result.append(self._value(item, items, owner, dotted, f"{path}[{number}]"))
        return result

    def _map(self, value: Object, type_: Type, owner: str, dotted: str, path: str) -> Object:
        items = type_.items
        assert items is not None
        result: Object = {}
        for key, item in value.items():
            if item is None:
                result[key] = "0" if items.form == "quantity" else "" if items.form in ("string", "bytes") else {}
            else:
                result[key] = self._value(item, items, owner, dotted, f"{path}.{key}")
        return result

    def _scalar(self, value: Any, type_: Type, owner: str, dotted: str) -> Any:
        form = type_.form
        if form == "integer":
            return _integer(value, type_, owner, dotted)
        if form == "boolean":
            if isinstance(value, bool):
                return value
        elif form == "number":
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return value
        elif form == "quantity":
            return _quantity(value, owner, dotted)
        elif form == "intorstring":
            if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
                return value
        elif form == "bytes":
            return _bytes(value, owner, dotted)
        elif form == "time" and isinstance(value, str):
            return _time(value)
        elif form == "microtime" and isinstance(value, str):
            return _micro_time(value)
        raise _mismatch(_json_kind(value), owner, dotted, type_.go)


def _owner(type_: Type) -> str:
    return type_.name.rsplit(".", 1)[-1]


def _mismatch(kind: str, owner: str, dotted: str, go: str) -> DecodingError:
    return DecodingError(f"json: cannot unmarshal {kind} into Go struct field {owner}.{dotted} of type {go}")


def _integer(value: Any, type_: Type, owner: str, dotted: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mismatch(_json_kind(value), owner, dotted, type_.go)
    limit = _INT_RANGE.get(type_.go, 2**63)
    if value != int(value) or not -limit <= value < limit:
        raise _mismatch(f"number {value}", owner, dotted, type_.go)
    return int(value)


def _quantity(value: Any, owner: str, dotted: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DecodingError(quantity.BAD_QUANTITY)
    try:
        return quantity.canonical(str(value))
    except quantity.QuantityError as error:
        raise DecodingError(str(error)) from error


def _bytes(value: Any, owner: str, dotted: str) -> str:
    if not isinstance(value, str):
        raise _mismatch(_json_kind(value), owner, dotted, "[]uint8")
    raw = value.replace("\n", "").replace("\r", "").encode()
    bad = re.search(rb"[^A-Za-z0-9+/=]", raw)
    if bad:
        raise DecodingError(f"illegal base64 data at input byte {bad.start()}")
    try:
        return base64.b64encode(base64.b64decode(raw, validate=True)).decode()
    except binascii.Error as error:
        raise DecodingError(f"illegal base64 data at input byte {len(raw) - len(raw) % 4}") from error


def _time(value: str) -> str:
    if not _TIME.match(value):
        shown = value.replace('"', '\\"')
        raise DecodingError(f'parsing time "{shown}" as "2006-01-02T15:04:05Z07:00": cannot parse "{shown}" as "2006"')
    return value


def _micro_time(value: str) -> str:
    layout = "2006-01-02T15:04:05.000000Z07:00"
    if not _TIME.match(value):
        raise DecodingError(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"')
    match = re.search(r"\.(\d+)", value)
    if match is None or len(match[1]) != 6:
        rest = value[19:]
        raise DecodingError(f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as ".000000"')
    return value


def _left_out(value: Any, field: Field) -> bool:
    """Whether Go's omitempty leaves this value out."""
    form = field.type.form
    if form in ("string", "bytes"):
        return value == "" and not field.required and field.name not in _POINTER_STRINGS
    if form in ("array", "map"):
        return not value and not field.required
    if form == "boolean":
        return value is False and field.name in _VALUE_BOOLEANS
    if form == "integer":
        return value == 0 and field.name in _VALUE_NUMBERS and not field.required
    return False
