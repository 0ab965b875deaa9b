"""Kubernetes' protobuf bodies, as far as kubectl sends them: read into the JSON form.

The field numbers are those of the generated.proto files of k8s.io/api.  Answers are never protobuf: every client that
sends it accepts JSON too.
"""

from __future__ import annotations

import base64
import datetime
from typing import Any

from devstack.cluster.objects import Object, timestamp

MAGIC = b"k8s\x00"

_Message = dict[int, tuple[str, str]]


def _fields(text: str) -> _Message:
    """ "1 name string, 2 data map:bytes" as a table."""
    table: _Message = {}
    for part in text.split(","):
        number, name, kind = part.split()
        table[int(number)] = (name, kind)
    return table


_MESSAGES: dict[str, _Message] = {
    "ObjectMeta": _fields(
        "1 name string, 2 generateName string, 3 namespace string, 5 uid string, 6 resourceVersion string, "
        "7 generation int, 8 creationTimestamp time, 9 deletionTimestamp time, 10 deletionGracePeriodSeconds int, "
        "11 labels map:string, 12 annotations map:string, 13 ownerReferences []OwnerReference, 14 finalizers []string"
    ),
    "OwnerReference": _fields(
        "1 kind string, 3 name string, 4 uid string, 5 apiVersion string, 6 controller bool, 7 blockOwnerDeletion bool"
    ),
    "Namespace": _fields("1 metadata ObjectMeta, 2 spec NamespaceSpec"),
    "NamespaceSpec": _fields("1 finalizers []string"),
    "Secret": _fields(
        "1 metadata ObjectMeta, 2 data map:bytes, 3 type string, 4 stringData map:string, 5 immutable bool"
    ),
    "ConfigMap": _fields("1 metadata ObjectMeta, 2 data map:string, 3 binaryData map:bytes, 4 immutable bool"),
    "LocalObjectReference": _fields("1 name string"),
    "ObjectReference": _fields(
        "1 kind string, 2 namespace string, 3 name string, 4 uid string, 5 apiVersion string, "
        "6 resourceVersion string, 7 fieldPath string"
    ),
    "ServiceAccount": _fields(
        "1 metadata ObjectMeta, 2 secrets []ObjectReference, 3 imagePullSecrets []LocalObjectReference, "
        "4 automountServiceAccountToken bool"
    ),
    "PolicyRule": _fields(
        "1 verbs []string, 2 apiGroups []string, 3 resources []string, 4 resourceNames []string, "
        "5 nonResourceURLs []string"
    ),
    "Role": _fields("1 metadata ObjectMeta, 2 rules []PolicyRule"),
    "ClusterRole": _fields("1 metadata ObjectMeta, 2 rules []PolicyRule"),
    "Subject": _fields("1 kind string, 2 apiGroup string, 3 name string, 4 namespace string"),
    "RoleRef": _fields("1 apiGroup string, 2 kind string, 3 name string"),
    "RoleBinding": _fields("1 metadata ObjectMeta, 2 subjects []Subject, 3 roleRef RoleRef"),
    "ClusterRoleBinding": _fields("1 metadata ObjectMeta, 2 subjects []Subject, 3 roleRef RoleRef"),
    "TokenRequest": _fields("1 metadata ObjectMeta, 2 spec TokenRequestSpec"),
    "TokenRequestSpec": _fields("1 audiences []string, 3 boundObjectRef BoundObjectReference, 4 expirationSeconds int"),
    "BoundObjectReference": _fields("1 kind string, 2 apiVersion string, 3 name string, 4 uid string"),
    "ResourceAttributes": _fields(
        "1 namespace string, 2 verb string, 3 group string, 4 version string, 5 resource string, "
        "6 subresource string, 7 name string"
    ),
    "NonResourceAttributes": _fields("1 path string, 2 verb string"),
    "SelfSubjectAccessReviewSpec": _fields(
        "1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes"
    ),
    "SelfSubjectAccessReview": _fields("1 metadata ObjectMeta, 2 spec SelfSubjectAccessReviewSpec"),
    "SelfSubjectRulesReviewSpec": _fields("1 namespace string"),
    "SelfSubjectRulesReview": _fields("1 metadata ObjectMeta, 2 spec SelfSubjectRulesReviewSpec"),
    "SelfSubjectReview": _fields("1 metadata ObjectMeta"),
    "Preconditions": _fields("1 uid string, 2 resourceVersion string"),
    "DeleteOptions": _fields(
        "1 gracePeriodSeconds int, 2 preconditions Preconditions, 3 orphanDependents bool, "
        "4 propagationPolicy string, 5 dryRun []string"
    ),
    "Eviction": _fields("1 metadata ObjectMeta, 2 deleteOptions DeleteOptions"),
}
_UNKNOWN = _fields("1 typeMeta TypeMeta, 2 raw bytes, 3 contentEncoding string, 4 contentType string")
_MESSAGES["TypeMeta"] = _fields("1 apiVersion string, 2 kind string")


class ProtobufError(ValueError):
    """The bytes are no message this server can read."""


def read(body: bytes) -> Object:
    """The object in an envelope (runtime.Unknown).  Raises ProtobufError."""
    if not body.startswith(MAGIC):
        raise ProtobufError("the magic number is missing")
    envelope = _decode(body[len(MAGIC) :], _UNKNOWN, text_bytes=False)
    meta = envelope.get("typeMeta") or {}
    kind = meta.get("kind", "")
    message = _MESSAGES.get(kind)
    if message is None:
        raise ProtobufError(f"kind {kind[:64]} is not known in protobuf")
    raw = envelope.get("raw", b"")
    assert isinstance(raw, bytes)
    return {"kind": kind, "apiVersion": meta.get("apiVersion", ""), **_decode(raw, message)}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ProtobufError("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def _parts(data: bytes) -> list[tuple[int, int | bytes]]:
    """(field number, value) of a message, in its order."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire, number = key & 7, key >> 3
        if wire == 0:
            value, at = _varint(data, at)
            found.append((number, value))
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ProtobufError(f"wire type {wire} is not known")
        if at + length > len(data):
            raise ProtobufError("a field is cut off")
        found.append((number, data[at : at + length]))
        at += length
    return found


def _decode(data: bytes, message: _Message, *, text_bytes: bool = True) -> Object:
    result: Object = {}
    for number, raw in _parts(data):
        if number not in message:
            continue
        name, kind = message[number]
        if kind.startswith("[]"):
            result.setdefault(name, []).append(_value(raw, kind[2:], text_bytes=text_bytes))
        elif kind.startswith("map:"):
            key, value = _entry(_bytes(raw), kind[4:])
            result.setdefault(name, {})[key] = value
        else:
            value = _value(raw, kind, text_bytes=text_bytes)
            if value is not None:
                result[name] = value
    return result


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise ProtobufError("a field has the wrong type")
    return raw


def _value(raw: int | bytes, kind: str, *, text_bytes: bool = True) -> Any:
    if kind in ("int", "bool"):
        if not isinstance(raw, int):
            raise ProtobufError("a field has the wrong type")
        return bool(raw) if kind == "bool" else raw - 2**64 if raw >= 2**63 else raw
    data = _bytes(raw)
    if kind == "string":
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise ProtobufError("a text is not UTF-8") from error
    if kind == "bytes":
        return base64.b64encode(data).decode() if text_bytes else data
    if kind == "time":
        seconds = next((value for number, value in _parts(data) if number == 1), None)
        if not isinstance(seconds, int):
            return None
        return timestamp(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
    return _decode(data, _MESSAGES[kind])


def _entry(data: bytes, kind: str) -> tuple[str, Any]:
    key, value = "", ""
    for number, raw in _parts(data):
        if number == 1:
            key = str(_value(raw, "string"))
        elif number == 2:
            value = _value(raw, kind)
    return key, value
