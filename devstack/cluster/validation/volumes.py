"""Volumes of pods."""

from __future__ import annotations

from typing import Any

from devstack.cluster import names, quantity
from devstack.cluster.errors import FieldError, duplicate, forbidden_field, invalid, required, unsupported
from devstack.cluster.objects import Object
from devstack.cluster.validation.containers import path_faults

_HOST_PATH_TYPES = [
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
]  # fmt: skip
_MODE_RANGE = "must be a number between 0 and 0777 (octal), both inclusive"
# The order in which Kubernetes looks at the sources: all but the first are too many.
_SOURCES = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc",
    "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk", "storageos",
    "projected", "scaleIO", "csi", "ephemeral", "image", "flexVolume",
)  # fmt: skip


def validate(spec: Object) -> tuple[list[FieldError], set[str]]:
    """(faults of the volumes, the names that mounts may use)."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, volume in enumerate(spec.get("volumes") or ()):
        field, name = f"spec.volumes[{number}]", volume.get("name", "")
        errors += _source(volume, field)
        if not name:
            errors.append(required(f"{field}.name"))
            continue
        faults = names.label(name)
        errors += [invalid(f"{field}.name", name, fault) for fault in faults]
        if name in seen:
            errors.append(duplicate(f"{field}.name", name))
        if not faults:
            seen.add(name)
    return errors, seen


def _source(volume: Object, field: str) -> list[FieldError]:
    kinds = [kind for kind in _SOURCES if kind in volume]
    errors = [forbidden_field(f"{field}.{kind}", "may not specify more than 1 volume type") for kind in kinds[1:]]
    if not kinds:
        return [required(field, "must specify a volume type")]
    kind = kinds[0]
    return _one(kind, volume[kind], f"{field}.{kind}") + errors


def _one(kind: str, source: Object, field: str) -> list[FieldError]:
    if kind == "emptyDir":
        limit = source.get("sizeLimit")
        if limit is not None and quantity.value_of(limit) < 0:
            return [forbidden_field(f"{field}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
        return []
    if kind == "hostPath":
        return _host_path(source, field)
    if kind == "secret":
        return _keyed(source, "secretName", field)
    if kind == "configMap":
        return _keyed(source, "name", field)
    if kind == "persistentVolumeClaim":
        return [] if source.get("claimName") else [required(f"{field}.claimName")]
    if kind == "nfs":
        return [required(f"{field}.{name}") for name in ("server", "path") if not source.get(name)]
    if kind == "csi":
        driver = source.get("driver", "")
        errors = [] if driver else [required(f"{field}.driver")]
        return errors + [invalid(f"{field}.driver", driver, fault) for fault in names.subdomain(driver.lower())]
    if kind in ("downwardAPI", "projected"):
        return _mode(source.get("defaultMode"), f"{field}.defaultMode") + _projected(source, field)
    return []


def _host_path(source: Object, field: str) -> list[FieldError]:
    path = source.get("path", "")
    if not path:
        return [required(f"{field}.path")]
    errors: list[FieldError] = []
    if ".." in path.split("/"):
        errors.append(invalid(f"{field}.path", path, "must not contain '..'"))
    if source.get("type", "") not in _HOST_PATH_TYPES:
        errors.append(unsupported(f"{field}.type", source["type"], _HOST_PATH_TYPES))
    return errors


def _keyed(source: Object, name: str, field: str) -> list[FieldError]:
    errors = [] if source.get(name) else [required(f"{field}.{name}")]
    errors += _mode(source.get("defaultMode"), f"{field}.defaultMode")
    return errors + _items(source.get("items") or (), f"{field}.items")


def _mode(mode: int | None, field: str) -> list[FieldError]:
    return [] if mode is None or 0 <= mode <= 0o777 else [invalid(field, mode, _MODE_RANGE)]


def _items(items: Any, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, item in enumerate(items):
        here, path = f"{field}[{number}]", item.get("path", "")
        if not item.get("key"):
            errors.append(required(f"{here}.key"))
        if not path:
            errors.append(required(f"{here}.path"))
        errors += [invalid(f"{here}.path", path, fault) for fault in path_faults(path)]
        errors += _mode(item.get("mode"), f"{here}.mode")
    return errors


def _projected(source: Object, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, part in enumerate(source.get("sources") or ()):
        here = f"{field}.sources[{number}]"
        for kind in ("secret", "configMap"):
            if kind in part:
                errors += _keyed(part[kind], "name", f"{here}.{kind}")
        token = part.get("serviceAccountToken")
        if token is not None:
            if not token.get("path"):
                errors.append(required(f"{here}.serviceAccountToken.path"))
            if token.get("expirationSeconds", 3600) < 600:
                why = "may not specify a duration less than 10 minutes"
                where = f"{here}.serviceAccountToken.expirationSeconds"
                errors.append(invalid(where, token["expirationSeconds"], why))
    return errors
