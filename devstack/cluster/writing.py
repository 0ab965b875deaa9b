"""create, update, patch, delete and deletecollection."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from devstack.cluster import (
    admission,
    defaults,
    documents,
    fieldsets,
    jsontext,
    limits,
    negotiation,
    options,
    patching,
    schema,
    selectors,
    strategies,
    validation,
)
from devstack.cluster.calls import Api, Call, Reply, list_reply, object_reply, value_reply
from devstack.cluster.deletion import DeleteOptions, collect_dependents, delete
from devstack.cluster.errors import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    invalid_object,
    not_found,
    server_error,
    unsupported,
)
from devstack.cluster.objects import Object, copy_json, encode, timestamp
from devstack.cluster.options import WriteOptions
from devstack.cluster.rbac import Attributes
from devstack.cluster.reading import matching
from devstack.cluster.resources import Resource
from devstack.cluster.store import GENERATION_KINDS, Item

_NAME_ROOM = 58
# Kinds whose DELETE answers with the object instead of a Status.
_ANSWERED_BY_OBJECT = frozenset(
    {
        "pods", "services", "serviceaccounts", "persistentvolumeclaims", "persistentvolumes", "resourcequotas",
        "podtemplates", "storageclasses", "csidrivers", "volumeattachments", "namespaces",
    }
)  # fmt: skip
_CREATED_BY_PUT = frozenset(
    {
        "leases", "events", "endpoints", "serviceaccounts", "roles", "rolebindings", "clusterroles",
        "clusterrolebindings", "limitranges", "resourcequotas", "runtimeclasses",
    }
)  # fmt: skip
_VERSION_NEEDED = frozenset({"leases"})
_PROPAGATIONS = ("Foreground", "Background", "Orphan")
_KEPT_NAMESPACES = ("default", "kube-system", "kube-public")


# -- create ----------------------------------------------------------------------------------------------------------
def create(api: Api, call: Call) -> Reply:
    """POST of an object."""
    wanted = options.write_options(call.query, "CreateOptions")
    obj = documents.read_new(call, wanted.validation)
    stored = create_object(api, call, obj, wanted)
    return object_reply(call, stored, 201)


def create_object(
    api: Api, call: Call, obj: Object, wanted: WriteOptions, *, track: Callable[[Object], None] | None = None
) -> Object | Item:
    """Admit, validate and store a new object; the answer is what was (or with dryRun would have been) stored.

    `track` writes managedFields in place of the usual way.
    """
    resource, namespace = call.resource, call.info.namespace
    metadata = obj["metadata"]
    if resource.namespaced and metadata.get("namespace", namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    version = metadata.pop("resourceVersion", "")
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][:_NAME_ROOM] + admission.random_suffix()
    if resource.storage == "namespaces":
        defaults.apply_defaults("namespaces", obj)
    strategies.prepare_new(resource, obj, namespace)
    if resource.namespaced:
        admission.check_namespace(api.store, resource, namespace, metadata.get("name", ""))
    admission.mutate_new(api.store, resource, obj, namespace)
    if resource.storage == "pods":
        strategies.prepare_new(resource, obj, namespace)
    if resource.storage == "persistentvolumes":
        obj["status"]["lastPhaseTransitionTime"] = timestamp(api.store.clock())
    faults = validation.validate_new(resource, obj)
    if faults:
        raise invalid_object(resource.kind, resource.group, metadata.get("name", ""), faults)
    call.warnings.extend(validation.warnings(resource, obj))
    _check_escalation(api, call, obj)
    limits.check_quota(api.store, resource, obj, namespace)
    if version and version != "0":
        raise server_error("resourceVersion should not be set on objects to be created")
    if track is not None:
        track(obj)
    else:
        _track(api, call, None, obj, wanted)
    if api.store.item(resource.storage, metadata.get("namespace"), metadata["name"]):
        raise already_exists(resource.plural, resource.group, metadata["name"])
    if wanted.dry_run:
        return _dry(api, resource, obj)
    api.store.create(resource.storage, obj, copy=False)
    item = api.store.item(resource.storage, metadata.get("namespace"), metadata["name"])
    assert item is not None
    return item


def _dry(api: Api, resource: Resource, obj: Object) -> Object:
    metadata = {**obj["metadata"], "uid": str(uuid.uuid4()), "creationTimestamp": timestamp(api.store.clock())}
    if resource.storage in GENERATION_KINDS:
        metadata["generation"] = 1
    return {**obj, "metadata": metadata}


def _check_escalation(api: Api, call: Call, obj: Object) -> None:
    plural = call.resource.plural
    if call.resource.group != "rbac.authorization.k8s.io":
        return
    if plural in ("roles", "clusterroles"):
        api.authorizer.check_role(call.user, plural, call.info.namespace, obj)
    else:
        api.authorizer.check_binding(call.user, plural, call.info.namespace, obj)


def _track(api: Api, call: Call, old: Object | None, new: Object, wanted: WriteOptions) -> None:
    """Note in managedFields who set what."""
    manager = wanted.manager or call.manager
    fieldsets.track_update(api.store, call.resource, call.info.subresource, old, new, manager)


# -- update ----------------------------------------------------------------------------------------------------------
def update(api: Api, call: Call) -> Reply:
    """PUT of an object or a subresource."""
    wanted = options.write_options(call.query, "UpdateOptions")
    new = documents.read_new(call, wanted.validation)
    info = call.info
    check_identity(call, new)
    item = api.store.item(call.resource.storage, info.namespace, info.name)
    if item is None:
        if call.resource.storage in _CREATED_BY_PUT and not info.subresource:
            new["metadata"]["name"] = info.name
            new["metadata"].pop("resourceVersion", None)
            return object_reply(call, create_object(api, call, new, wanted), 201)
        raise not_found(info.resource, info.group, info.name)
    _check_uid_put(call, item, new)
    check_version(call, item, new, needed=call.resource.storage in _VERSION_NEEDED)
    return object_reply(call, store_update(api, call, item, new, wanted))


def check_identity(call: Call, new: Object) -> None:
    """Name and namespace in a body must be those of the path.  Raises ApiError 400."""
    metadata, info = new["metadata"], call.info
    name = metadata.get("name", info.name)
    if name != info.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({info.name})")
    if call.resource.namespaced and metadata.get("namespace", info.namespace) != info.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _check_uid_put(call: Call, item: Item, new: Object) -> None:
    uid, stored = new["metadata"].get("uid"), item.obj["metadata"]["uid"]
    if uid and uid != stored:
        info = call.info
        group = f"{info.group}/" if info.group else ""
        place = f"{info.namespace}/" if info.namespace else ""
        why = (
            f"StorageError: invalid object, Code: 4, Key: /registry/{group}{info.resource}/{place}{info.name}, "
            f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, "
            f"UID in object meta: {stored}"
        )
        raise conflict(info.resource, info.group, info.name, why)


def check_version(call: Call, item: Item, new: Object, *, needed: bool = False) -> None:
    """The resourceVersion in a body, if any, must be the stored one.  Raises ApiError 409 or 422."""
    version = new["metadata"].get("resourceVersion", "")
    info = call.info
    if version and version != "0":
        if version != item.obj["metadata"]["resourceVersion"]:
            raise conflict(info.resource, info.group, info.name)
    elif needed:
        fault = invalid("metadata.resourceVersion", 0, "must be specified for an update")
        raise invalid_object(info.resource, info.group, info.name, [fault])


def store_update(
    api: Api,
    call: Call,
    item: Item,
    new: Object,
    wanted: WriteOptions,
    *,
    track: Callable[[Object], None] | None = None,
) -> Object | Item:
    """Validate and store the next version of an object; what changes nothing leaves it as it is."""
    resource, subresource = call.resource, call.info.subresource
    strategies.prepare_update(resource, subresource, item.obj, new)
    faults = validation.validate_update(resource, item.obj, new, subresource)
    if faults:
        raise invalid_object(resource.kind, resource.group, call.info.name, faults)
    call.warnings.extend(validation.warnings(resource, new))
    if resource.group == "rbac.authorization.k8s.io" and (
        new.get("rules"),
        new.get("roleRef"),
        new.get("subjects"),
    ) != (
        item.obj.get("rules"),
        item.obj.get("roleRef"),
        item.obj.get("subjects"),
    ):
        _check_escalation(api, call, new)
    admission.check_update(api.store, resource, item.obj, new)
    if track is not None:
        track(new)
    else:
        _track(api, call, item.obj, new, wanted)
    if new == item.obj:
        return item
    if wanted.dry_run:
        api.store.count_generation(resource.storage, item.obj, new)
        return new
    obj = api.store.replace(resource.storage, item, new)
    stored = api.store.item(resource.storage, item.namespace, item.name)
    if stored is None:
        after_removal(api, resource, item.obj)
        return obj
    return stored


# -- patch -----------------------------------------------------------------------------------------------------------
def patch(api: Api, call: Call) -> Reply:
    """PATCH of an object or a subresource."""
    media = negotiation.media_type(call.content_type)
    if media not in patching.PATCH_TYPES:
        raise ApiError(
            415,
            "UnsupportedMediaType",
            "415: Unsupported Media Type",
            {},
        )
    applying = media == patching.APPLY_PATCH
    wanted = options.write_options(call.query, "PatchOptions", apply=applying)
    info = call.info
    if applying:
        from devstack.cluster import applying as apply_module

        return apply_module.apply(api, call, wanted)
    item = api.store.item(call.resource.storage, info.namespace, info.name)
    document = _read_patch(call, media)
    if item is None:
        raise not_found(info.resource, info.group, info.name)
    new = _patched(call, item, media, document, wanted)
    check_identity(call, new)
    check_version(call, item, new)
    return object_reply(call, store_update(api, call, item, new, wanted))


def _read_patch(call: Call, media: str) -> object:
    try:
        document = jsontext.read_json(call.body)
    except jsontext.JsonSyntaxError as error:
        raise bad_request(f"error decoding patch: {error}") from error
    if media != patching.JSON_PATCH and not isinstance(document, dict):
        name = {str: "string", list: "array", bool: "bool", type(None): "null"}.get(type(document), "number")
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {name} into Go value of type map[string]interface {{}}"
        )
    return document


def _patched(call: Call, item: Item, media: str, document: object, wanted: WriteOptions) -> Object:
    resource = call.resource
    current = {"apiVersion": resource.group_version, "kind": resource.kind, **copy_json(item.obj)}
    if media == patching.JSON_PATCH:
        result = patching.json_patch(current, document)
    else:
        assert isinstance(document, dict)
        if media == patching.MERGE_PATCH:
            result = patching.merge_patch(current, document)
        else:
            result = patching.strategic_patch(current, document, schema.type_of(resource.definition))
    shown = encode(result).decode() if media != patching.STRATEGIC_PATCH else patching.go_text(document)
    try:
        new, unknown = documents.decode(result, resource)
    except ApiError as error:
        why = error.message.partition(": ")[2]
        raise _bad_patch(shown, why) from error
    strict = [f'unknown field "{path}"' for path in unknown]
    if strict and wanted.validation == "Strict":
        raise _bad_patch(shown, "strict decoding error: " + ", ".join(strict))
    if wanted.validation == "Warn":
        call.warnings.extend(strict)
    defaults.apply_defaults(resource.storage, new)
    return new


def _bad_patch(shown: str, why: str) -> ApiError:
    return invalid_object("", "", "", [invalid("patch", shown, why)])


# -- delete ----------------------------------------------------------------------------------------------------------
def read_delete_options(call: Call) -> DeleteOptions:
    """From the query and the body.  Raises ApiError 400, 422 or 500."""
    body: Object = {}
    if call.body.strip():
        document, _ = negotiation.read_object(call.body, call.content_type, "DeleteOptions")
        body = document or {}
        kind, version = body.get("kind", "DeleteOptions"), body.get("apiVersion", "v1")
        if kind != "DeleteOptions":
            scheme = "pkg/apis/meta/internalversion/scheme/register.go:27"
            raise server_error(f'no kind "{kind}" is registered for version "{version}" in scheme "{scheme}"')
    grace = options.integer(call.query, "gracePeriodSeconds")
    if grace is None:
        grace = body.get("gracePeriodSeconds")
    dry = call.query.get("dryRun") or body.get("dryRun") or []
    propagation = options.first(call.query, "propagationPolicy") or body.get("propagationPolicy") or ""
    faults = options.dry_run_errors(dry)
    if propagation and propagation not in _PROPAGATIONS:
        faults.append(unsupported("propagationPolicy", propagation, [*_PROPAGATIONS, "nil"]))
    orphan = body.get("orphanDependents")
    if propagation and orphan is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        faults.append(invalid("propagationPolicy", propagation, why))
    options.check("DeleteOptions", faults)
    if orphan:
        propagation = "Orphan"
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(grace, preconditions.get("uid"), preconditions.get("resourceVersion"), propagation, bool(dry))


def delete_object(api: Api, call: Call) -> Reply:
    """DELETE of one object."""
    wanted = read_delete_options(call)
    info, resource = call.info, call.resource
    item = api.store.item(resource.storage, info.namespace, info.name)
    if item is None:
        raise not_found(info.resource, info.group, info.name)
    _check_preconditions(call, item, wanted)
    if resource.storage == "namespaces" and info.name in _KEPT_NAMESPACES:
        raise forbidden("namespaces", "", info.name, "this namespace may not be deleted")
    obj, gone = delete(api.store, resource.storage, item, wanted)
    if gone:
        after_removal(api, resource, obj)
    if resource.storage in _ANSWERED_BY_OBJECT or not (gone or wanted.dry_run):
        return object_reply(call, obj)
    details: Object = {"name": info.name}
    if info.group:
        details["group"] = info.group
    details.update(kind=info.resource, uid=obj["metadata"]["uid"])
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return value_reply(call, status)


def _check_preconditions(call: Call, item: Item, wanted: DeleteOptions) -> None:
    metadata, kind = item.obj["metadata"], call.resource.kind
    if wanted.uid is not None and wanted.uid != metadata["uid"]:
        why = (
            f"the UID in the precondition ({wanted.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind, call.info.group, call.info.name, why)
    if wanted.version is not None and wanted.version != metadata["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({wanted.version}) does not match the ResourceVersion in record "
            f"({metadata['resourceVersion']}). The object might have been modified"
        )
        raise conflict(kind, call.info.group, call.info.name, why)


def after_removal(api: Api, resource: Resource, obj: Object) -> None:
    """Collect what an object owned, once it is gone."""
    collect_dependents(api.store, obj["metadata"]["uid"])


def delete_collection(api: Api, call: Call) -> Reply:
    """DELETE of all objects that fit; the answer is the list of them as they were."""
    wanted = read_delete_options(call)
    listed = options.list_options(call.query, watch=False)
    resource, store = call.resource, api.store
    labels = selectors.parse_labels(listed.labels)
    fields = selectors.parse_fields(listed.fields, resource.storage)
    items = list(matching(store, resource.storage, call.info.namespace or None, labels, fields))
    version = store.version
    for item in items:
        current = store.item(resource.storage, item.namespace, item.name)
        if current is not None:
            obj, gone = delete(store, resource.storage, current, wanted)
            if gone:
                after_removal(api, resource, obj)
    return list_reply(call, items, {"resourceVersion": str(version)})


def allowed(api: Api, call: Call, verb: str) -> bool:
    """Whether the caller may also do another verb on the same object."""
    info = call.info
    return api.authorizer.allows(call.user, Attributes(verb, info.namespace, info.group, info.full_resource, info.name))
