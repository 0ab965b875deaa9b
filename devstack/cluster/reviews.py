"""Questions to the server that are no objects: access reviews, token reviews, token requests."""

from __future__ import annotations

from collections.abc import Callable

from devstack.cluster import documents, negotiation, options, schema
from devstack.cluster.authentication import ISSUER, User
from devstack.cluster.calls import Api, Call, Reply, value_reply
from devstack.cluster.decoding import Decoder, DecodingError
from devstack.cluster.errors import bad_request, invalid, invalid_object, not_found
from devstack.cluster.objects import Object, timestamp
from devstack.cluster.rbac import Attributes

_TOKEN_LIFE_S = 3600
_MIN_LIFE_S, _MAX_LIFE_S = 600, 2**32
_AUTHORIZATION = "authorization.k8s.io"


def _read(call: Call) -> Object:
    wanted = options.write_options(call.query, "CreateOptions")
    return documents.read_new(call, wanted.validation)


def _answer(call: Call, obj: Object) -> Reply:
    body = {"kind": call.resource.kind, "apiVersion": call.resource.group_version, "metadata": obj.get("metadata", {})}
    for part in ("spec", "status"):
        if part in obj:
            body[part] = obj[part]
    return value_reply(call, body, 201)


def _attributes(spec: Object) -> Attributes:
    wanted, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if wanted is None:
        path = path or {}
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    resource = wanted.get("resource", "")
    if wanted.get("subresource"):
        resource += "/" + wanted["subresource"]
    return Attributes(
        wanted.get("verb", ""), wanted.get("namespace", ""), wanted.get("group", ""), resource, wanted.get("name", "")
    )


def _decide(api: Api, user: User, spec: Object) -> Object:
    reason = api.authorizer.reason(user, _attributes(spec))
    if reason is None:
        return {"allowed": False}
    return {"allowed": True, **({"reason": reason} if reason else {})}


def _check_attributes(spec: Object) -> None:
    given = [name for name in ("resourceAttributes", "nonResourceAttributes") if spec.get(name)]
    if len(given) != 1:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        fault = invalid("spec.resourceAttributes", spec.get("resourceAttributes"), why)
        raise invalid_object("", _AUTHORIZATION, "", [fault])


def self_access(api: Api, call: Call) -> Reply:
    obj = _read(call)
    spec = obj.setdefault("spec", {})
    _check_attributes(spec)
    return _answer(call, {**obj, "status": _decide(api, call.user, spec)})


def access(api: Api, call: Call) -> Reply:
    """SubjectAccessReview and LocalSubjectAccessReview."""
    obj = _read(call)
    spec = obj.setdefault("spec", {})
    namespace = call.info.namespace
    if namespace:
        named = (spec.get("resourceAttributes") or {}).get("namespace", "")
        if named != namespace:
            fault = invalid("spec.resourceAttributes.namespace", named, "must match metadata.namespace")
            raise invalid_object("", _AUTHORIZATION, "", [fault])
        obj["metadata"]["namespace"] = namespace
    if not spec.get("user") and not spec.get("groups"):
        fault = invalid("spec.user", "", "at least one of user or group must be specified")
        raise invalid_object("", _AUTHORIZATION, "", [fault])
    _check_attributes(spec)
    user = User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""))
    return _answer(call, {**obj, "status": _decide(api, user, spec)})


def rules(api: Api, call: Call) -> Reply:
    obj = _read(call)
    namespace = (obj.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    found = [grant.rule for grant in api.authorizer.grants(call.user, namespace)]
    status = {
        "resourceRules": [rule for rule in found if rule.get("resources")],
        "nonResourceRules": [rule for rule in found if rule.get("nonResourceURLs")],
        "incomplete": False,
    }
    return _answer(call, {"metadata": {}, "spec": {}, "status": status})


def self_subject(api: Api, call: Call) -> Reply:
    _read(call)
    metadata = {"creationTimestamp": timestamp(api.store.clock())}
    return _answer(call, {"metadata": metadata, "status": {"userInfo": call.user.describe()}})


def token_review(api: Api, call: Call) -> Reply:
    obj = _read(call)
    user = api.authenticator.user_of((obj.get("spec") or {}).get("token", ""))
    if user is None:
        status: Object = {"user": {}, "error": "invalid bearer token"}
    else:
        status = {"authenticated": True, "user": user.describe(), "audiences": [ISSUER]}
    return _answer(call, {**obj, "status": status})


HANDLERS: dict[str, Callable[[Api, Call], Reply]] = {
    "selfsubjectaccessreviews": self_access,
    "subjectaccessreviews": access,
    "localsubjectaccessreviews": access,
    "selfsubjectrulesreviews": rules,
    "selfsubjectreviews": self_subject,
    "tokenreviews": token_review,
}


def token(api: Api, call: Call) -> Reply:
    """POST to serviceaccounts/NAME/token."""
    options.write_options(call.query, "CreateOptions")
    document, _ = negotiation.read_object(call.body, call.content_type, "TokenRequest")
    try:
        obj = Decoder().decode(document or {}, schema.type_of("io.k8s.api.authentication.v1.TokenRequest"))
    except DecodingError as error:
        raise bad_request(f'TokenRequest in version "v1" cannot be handled as a TokenRequest: {error}') from error
    info = call.info
    account = api.store.get("serviceaccounts", info.namespace, info.name)
    if account is None:
        raise not_found("serviceaccounts", "", info.name)
    spec = obj.get("spec") or {}
    seconds = spec.get("expirationSeconds", _TOKEN_LIFE_S)
    field = "spec.expirationSeconds"
    if seconds < _MIN_LIFE_S:
        fault = invalid(field, seconds, "may not specify a duration less than 10 minutes")
        raise invalid_object("TokenRequest", "authentication.k8s.io", "", [fault])
    if seconds > _MAX_LIFE_S:
        fault = invalid(field, seconds, "may not specify a duration larger than 2^32 seconds")
        raise invalid_object("TokenRequest", "authentication.k8s.io", "", [fault])
    audiences = spec.get("audiences") or [ISSUER]
    reference = spec.get("boundObjectRef")
    pod = None
    if reference and reference.get("kind") == "Pod":
        pod = api.store.get("pods", info.namespace, reference.get("name", ""))
        if pod is None:
            raise not_found("pods", "", reference.get("name", ""))
    text, expires = api.authenticator.issue(info.namespace, info.name, audiences, seconds, pod)
    answer = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": info.name,
            "namespace": info.namespace,
            "uid": account["metadata"]["uid"],
            "creationTimestamp": timestamp(api.store.clock()),
        },
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
        "status": {"token": text, "expirationTimestamp": timestamp(expires)},
    }
    return value_reply(call, answer, 201)
