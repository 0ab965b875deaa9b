"""Names, labels, annotations, finalizers and owners."""

from __future__ import annotations

from collections.abc import Callable

from devstack.cluster import names
from devstack.cluster.errors import FieldError, forbidden_field, invalid, required, too_long
from devstack.cluster.objects import Object
from devstack.cluster.resources import Resource

_ANNOTATIONS_LIMIT = 256 * 1024
_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")
_RBAC = "rbac.authorization.k8s.io"


def name_rule(resource: Resource) -> Callable[[str], list[str]]:
    """The rule that names of a resource follow."""
    if resource.group == _RBAC:
        return names.path_segment
    if resource.plural == "namespaces":
        return names.label
    if resource.plural == "services":
        return names.dns1035
    return names.subdomain


def validate(resource: Resource, obj: Object) -> list[FieldError]:
    """Faults of the metadata of a new object."""
    metadata = obj["metadata"]
    name, generated = metadata.get("name", ""), metadata.get("generateName", "")
    errors: list[FieldError] = []
    rule = name_rule(resource)
    if generated:
        # The prefix is checked as if a character followed it.
        probe = generated[:-1] + "a" if generated.endswith("-") else generated
        errors.extend(invalid("metadata.generateName", generated, fault) for fault in rule(probe))
    if not name:
        return [*errors, required("metadata.name", "name or generateName is required")]
    errors.extend(invalid("metadata.name", name, fault) for fault in rule(name))
    return errors + common(resource, metadata)


def common(resource: Resource, metadata: Object) -> list[FieldError]:
    errors = labels(metadata.get("labels"), "metadata.labels")
    errors += annotation_faults(metadata.get("annotations"))
    errors += _owners(metadata.get("ownerReferences"))
    return errors + finalizers(metadata.get("finalizers"))


def labels(values: Object | None, field: str) -> list[FieldError]:
    """Faults of a map of labels."""
    errors: list[FieldError] = []
    for key, value in sorted((values or {}).items()):
        errors.extend(invalid(field, key, fault) for fault in names.qualified(key))
        errors.extend(invalid(field, value, fault) for fault in names.label_value(value))
    return errors


def annotation_faults(values: Object | None, field: str = "metadata.annotations") -> list[FieldError]:
    errors: list[FieldError] = []
    size = 0
    for key, value in (values or {}).items():
        errors.extend(invalid(field, key, fault) for fault in names.qualified(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > _ANNOTATIONS_LIMIT:
        errors.append(too_long(field, f"may not be more than {_ANNOTATIONS_LIMIT} bytes"))
    return errors


def _owners(references: list[Object] | None) -> list[FieldError]:
    errors: list[FieldError] = []
    field = "metadata.ownerReferences"
    for reference in references or ():
        if not reference.get("apiVersion"):
            errors.append(invalid(f"{field}.apiVersion", "", "version must not be empty"))
        empty = [key for key in ("kind", "name", "uid") if not reference.get(key)]
        errors.extend(invalid(f"{field}.{key}", "", "must not be empty") for key in empty)
    if sum(bool(reference.get("controller")) for reference in references or ()) > 1:
        errors.append(invalid(field, references, "Only one reference can have Controller set to true."))
    return errors


def finalizers(values: list[str] | None) -> list[FieldError]:
    errors: list[FieldError] = []
    for value in values or ():
        errors.extend(invalid("metadata.finalizers", value, fault) for fault in names.qualified(value))
    for number, value in enumerate(values or ()):
        if "/" not in value and value not in _STANDARD_FINALIZERS and not names.qualified(value):
            why = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(invalid(f"metadata.finalizers[{number}]", value, why))
    return errors


def validate_update(resource: Resource, old: Object, new: Object) -> list[FieldError]:
    """Faults of a change of the metadata."""
    before, after = old["metadata"], new["metadata"]
    errors: list[FieldError] = []
    if after.get("uid", before["uid"]) != before["uid"]:
        errors += [invalid("metadata.uid", after["uid"], "field is immutable")] * 2
    # Kubernetes looks at each map of metadata twice in each of the two checks.
    errors += [error for error in common(resource, after) for _ in range(4)]
    if before.get("deletionTimestamp"):
        kept = set(before.get("finalizers") or ())
        added = [value for value in after.get("finalizers") or () if value not in kept]
        if added:
            shown = ", ".join(f'"{value}"' for value in added)
            why = "no new finalizers can be added if the object is being deleted, found new finalizers "
            errors[:0] = [forbidden_field("metadata.finalizers", f"{why}[]string{{{shown}}}")] * 2
    return errors
