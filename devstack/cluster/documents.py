"""From a request's body to an object of the right kind, strict or lenient about fields the schema does not know."""

from __future__ import annotations

from typing import Any

from devstack.cluster import negotiation, newevents, schema
from devstack.cluster.calls import Call
from devstack.cluster.decoding import Decoder, DecodingError
from devstack.cluster.defaults import apply_defaults
from devstack.cluster.errors import bad_request
from devstack.cluster.objects import Object
from devstack.cluster.resources import BY_KIND, Resource

_SCHEME = "pkg/api/legacyscheme/scheme.go:30"
# Kinds without a resource of their own that bodies may have.
_EXTRA_KINDS = frozenset({("policy/v1", "Eviction"), ("authentication.k8s.io/v1", "TokenRequest"), ("v1", "Binding")})


def read_new(call: Call, validation: str, resource: Resource | None = None) -> Object:
    """The object in the body of a POST or PUT, decoded and with its defaults.  Raises ApiError 400 or 415."""
    resource = resource or call.resource
    document, twice = negotiation.read_object(call.body, call.content_type, resource.kind)
    document = document or {}
    check_kind(document, resource)
    obj, unknown = decode(document, resource)
    strict = [f'duplicate field "{path}"' for path in twice] + [f'unknown field "{path}"' for path in unknown]
    if strict and validation == "Strict":
        raise cannot_handle(resource, resource.kind, "strict decoding error: " + ", ".join(strict))
    if validation == "Warn":
        call.warnings.extend(strict)
    if newevents.is_new_form(resource):
        obj = newevents.to_core(obj)
    apply_defaults(resource.storage, obj)
    return obj


def decode(document: Any, resource: Resource) -> tuple[Object, list[str]]:
    """(object without kind and apiVersion, paths of unknown fields).  Raises ApiError 400."""
    decoder = Decoder()
    try:
        obj = decoder.decode(document, schema.type_of(resource.definition))
    except DecodingError as error:
        raise cannot_handle(resource, resource.kind, str(error)) from error
    obj.pop("kind", None)
    obj.pop("apiVersion", None)
    obj.setdefault("metadata", {})
    return obj, decoder.unknown


def cannot_handle(resource: Resource, kind: str, why: str) -> Exception:
    return bad_request(f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}')


def check_kind(document: Object, resource: Resource) -> None:
    """The body's kind and apiVersion, where given, must be the resource's.  Raises ApiError 400."""
    kind = document.get("kind") or resource.kind
    version = document.get("apiVersion") or resource.group_version
    if (version, kind) == (resource.group_version, resource.kind):
        return
    if (version, kind) in BY_KIND or (version, kind) in _EXTRA_KINDS:
        shown = version.rpartition("/")[2]
        package = "core" if "/" not in resource.group_version else resource.group.split(".")[0]
        why = f"converting ({shown}.{kind}) to ({package}.{resource.kind}): unknown conversion"
    else:
        why = f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"'
    raise cannot_handle(resource, str(kind), why)
