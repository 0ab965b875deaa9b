"""Kinds other than pods."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from devstack.cluster import names, quantity
from devstack.cluster.errors import (
    FieldError,
    forbidden_field,
    invalid,
    required,
    too_long,
    unsupported,
)
from devstack.cluster.objects import Object, encode
from devstack.cluster.validation import affinity, pods

_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_DATA_LIMIT = 1024 * 1024
_SECRET_KEYS = {
    "kubernetes.io/dockercfg": [".dockercfg"],
    "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
    "kubernetes.io/ssh-auth": ["ssh-privatekey"],
    "kubernetes.io/tls": ["tls.crt", "tls.key"],
}
_FIXED = "field is immutable when `immutable` is set"
_ACCOUNT = "kubernetes.io/service-account.name"


# -- secrets and config maps -----------------------------------------------------------------------------------------
def _data_keys(data: Object | None, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key in sorted(data or {}):
        errors += [invalid(f"{field}[{key}]", key, fault) for fault in _key_faults(key)]
    return errors


def _key_faults(key: str) -> list[str]:
    if len(key) > 253:
        return ["must be no more than 253 characters"]
    if not _KEY.match(key):
        return [_KEY_RULE]
    if key in (".", ".."):
        return [f"must not be '{key}'"]
    return ["must not start with '..'"] if key.startswith("..") else []


def _secret(obj: Object) -> list[FieldError]:
    data = obj.get("data") or {}
    errors = _data_keys(data, "data")
    size = sum(len(value) * 3 // 4 for value in data.values())
    if size > _DATA_LIMIT:
        errors.append(too_long("data", f"may not be more than {_DATA_LIMIT} bytes"))
    kind = obj.get("type", "")
    if kind == "kubernetes.io/service-account-token":
        annotations = obj["metadata"].get("annotations") or {}
        if not annotations.get(_ACCOUNT):
            errors.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    elif kind == "kubernetes.io/basic-auth":
        if not data.get("username") and not data.get("password"):
            errors += [required("data[username]"), required("data[password]")]
    else:
        missing = [key for key in _SECRET_KEYS.get(kind, ()) if key not in data]
        errors += [required(f"data[{key}]") for key in missing]
        if kind in ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson") and not missing:
            errors += _docker_config(data, _SECRET_KEYS[kind][0])
    return errors


def _docker_config(data: Object, key: str) -> list[FieldError]:
    text = base64.b64decode(data[key]).decode("utf-8", "replace")
    try:
        json.loads(text)
    except json.JSONDecodeError:
        why = (
            f"invalid character '{text[:1]}' looking for beginning of value" if text else "unexpected end of JSON input"
        )
        return [invalid(f"data[{key}]", "<secret contents redacted>", why)]
    return []


def secret_warnings(obj: Object) -> list[str]:
    """A TLS secret without certificates is accepted, with a warning."""
    if obj.get("type") != "kubernetes.io/tls":
        return []
    certificate = base64.b64decode((obj.get("data") or {}).get("tls.crt", ""))
    return [] if b"-----BEGIN" in certificate else ["tls: failed to find any PEM data in certificate input"]


def _immutable_data(old: Object, new: Object, parts: tuple[str, ...]) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    errors = [] if new.get("immutable") else [forbidden_field("immutable", _FIXED)]
    return errors + [forbidden_field(p, _FIXED) for p in parts if (old.get(p) or {}) != (new.get(p) or {})]


def _secret_update(old: Object, new: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    if old.get("type") != new.get("type"):
        errors.append(invalid("type", new.get("type", ""), "field is immutable"))
    return errors + _immutable_data(old, new, ("data",)) + _secret(new)


def _config_map(obj: Object) -> list[FieldError]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    errors = _data_keys(data, "data")
    errors += [
        invalid(f"data[{k}]", k, "duplicate of key present in binaryData") for k in sorted(set(data) & set(binary))
    ]
    errors += _data_keys(binary, "binaryData")
    size = sum(len(value.encode()) for value in data.values()) + sum(len(value) * 3 // 4 for value in binary.values())
    if size > _DATA_LIMIT:
        errors.append(too_long("[]", f"may not be more than {_DATA_LIMIT} bytes"))
    return errors


def _config_map_update(old: Object, new: Object) -> list[FieldError]:
    return _immutable_data(old, new, ("data", "binaryData")) + _config_map(new)


# -- leases, events, services ----------------------------------------------------------------------------------------
def _lease(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        errors.append(invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return errors


def _event(obj: Object) -> list[FieldError]:
    namespace, involved = obj["metadata"].get("namespace", ""), obj.get("involvedObject") or {}
    about = involved.get("namespace", "")
    if about != namespace and (about or namespace != "default"):
        return [invalid("involvedObject.namespace", about, "does not match event.namespace")]
    return []


def _service(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    ports, kind = spec.get("ports") or [], spec.get("type")
    errors: list[FieldError] = []
    if kind not in ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"):
        known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
        errors.append(unsupported("spec.type", kind, known))
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        errors.append(required("spec.ports"))
    if kind == "ExternalName" and not spec.get("externalName"):
        errors.append(required("spec.externalName"))
    for number, port in enumerate(ports):
        field = f"spec.ports[{number}]"
        if len(ports) > 1 and not port.get("name"):
            errors.append(required(f"{field}.name"))
        if not 1 <= port.get("port", 0) <= 65535:
            errors.append(invalid(f"{field}.port", port.get("port", 0), "must be between 1 and 65535, inclusive"))
        if port.get("protocol") not in ("SCTP", "TCP", "UDP"):
            errors.append(unsupported(f"{field}.protocol", port.get("protocol"), ["SCTP", "TCP", "UDP"]))
    return errors


def _service_update(old: Object, new: Object) -> list[FieldError]:
    before, after = old["spec"], new["spec"]
    errors = _service(new)
    if before.get("type") != "ExternalName" and before.get("clusterIP") != after.get("clusterIP"):
        errors.append(invalid("spec.clusterIPs[0]", after.get("clusterIPs"), "may not change once set"))
    return errors


# -- volumes ---------------------------------------------------------------------------------------------------------
_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]
_VOLUME_MODES = ["Block", "Filesystem"]


def _access_modes(spec: Object) -> list[FieldError]:
    modes = spec.get("accessModes") or []
    if not modes:
        return [required("spec.accessModes", "at least 1 access mode is required")]
    errors = [unsupported("spec.accessModes", mode, _MODES) for mode in modes if mode not in _MODES]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        errors.append(forbidden_field("spec.accessModes", "may not use ReadWriteOncePod with other access modes"))
    return errors


def _claim(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = affinity.label_selector(spec.get("selector"), "spec.selector") if spec.get("selector") else []
    errors = _access_modes(spec) + errors
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        errors.append(required("spec.resources[storage]"))
    elif quantity.value_of(storage) <= 0:
        errors.append(invalid("spec.resources[storage]", storage, "must be greater than zero"))
    name = spec.get("storageClassName")
    if name:
        errors += [invalid("spec.storageClassName", name, fault) for fault in names.subdomain(name)]
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        errors.append(unsupported("spec.volumeMode", mode, _VOLUME_MODES))
    return errors


_CLAIM_FIXED = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def _claim_update(old: Object, new: Object) -> list[FieldError]:
    errors = _claim(new)
    before, after = dict(old["spec"]), dict(new["spec"])
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if bound:
        errors += _claim_shrinks(old, new)
        before.pop("resources", None)
        after.pop("resources", None)
        before.pop("volumeAttributesClassName", None)
        after.pop("volumeAttributesClassName", None)
    if not before.get("volumeName"):
        # The binder sets it once.
        before.pop("volumeName", None)
        after.pop("volumeName", None)
    if before != after:
        errors.append(forbidden_field("spec", _CLAIM_FIXED))
    return errors


def _claim_shrinks(old: Object, new: Object) -> list[FieldError]:
    wanted = ((new["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
    held = ((old.get("status") or {}).get("capacity") or {}).get("storage", "0")
    before = ((old["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
    if wanted != before and quantity.value_of(wanted) < quantity.value_of(held):
        why = "field can not be less than status.capacity"
        return [forbidden_field("spec.resources.requests.storage", why)]
    return []


_VOLUME_KNOWN = frozenset(
    {
        "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions",
        "volumeMode", "nodeAffinity", "volumeAttributesClassName",
    }
)  # fmt: skip


def _volume(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    modes = spec.get("accessModes") or []
    if not modes:
        errors.append(required("spec.accessModes"))
    errors += [unsupported("spec.accessModes", mode, _MODES) for mode in modes if mode not in _MODES]
    capacity = spec.get("capacity") or {}
    if not capacity:
        errors.append(required("spec.capacity"))
    if set(capacity) != {"storage"}:
        errors.append(unsupported("spec.capacity", capacity, ["storage"]))
    for name, text in capacity.items():
        if quantity.value_of(text) <= 0:
            errors.append(invalid(f"spec.capacity[{name}]", text, "must be greater than zero"))
    if not set(spec) - _VOLUME_KNOWN:
        errors.append(required("spec", "must specify a volume type"))
    return errors


# -- RBAC ------------------------------------------------------------------------------------------------------------
def _rules(obj: Object, *, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, rule in enumerate(obj.get("rules") or ()):
        field = f"rules[{number}]"
        if not rule.get("verbs"):
            errors.append(required(f"{field}.verbs", "verbs must contain at least one value"))
        paths = rule.get("nonResourceURLs")
        if paths:
            if namespaced:
                why = "namespaced rules cannot apply to non-resource URLs"
                errors.append(invalid(f"{field}.nonResourceURLs", paths, why))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                why = "rules cannot apply to both regular resources and non-resource URLs"
                errors.append(invalid(f"{field}.nonResourceURLs", paths, why))
            continue
        if not rule.get("apiGroups"):
            errors.append(required(f"{field}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            errors.append(required(f"{field}.resources", "resource rules must supply at least one resource"))
    return errors


def _binding(obj: Object, kinds: list[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    reference = obj.get("roleRef") or {}
    if reference.get("kind") not in kinds:
        errors.append(unsupported("roleRef.kind", reference.get("kind", ""), kinds))
    if not reference.get("name"):
        errors.append(required("roleRef.name"))
    for number, subject in enumerate(obj.get("subjects") or ()):
        if not subject.get("name"):
            errors.append(required(f"subjects[{number}].name"))
        if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            known = ["ServiceAccount", "User", "Group"]
            errors.append(unsupported(f"subjects[{number}].kind", subject.get("kind", ""), known))
    return errors


def _role_binding(obj: Object) -> list[FieldError]:
    return _binding(obj, ["Role", "ClusterRole"])


def _cluster_role_binding(obj: Object) -> list[FieldError]:
    return _binding(obj, ["ClusterRole"])


def _binding_update(check: Callable[[Object], list[FieldError]]) -> Callable[[Object, Object], list[FieldError]]:
    def validate(old: Object, new: Object) -> list[FieldError]:
        errors = check(new)
        if old.get("roleRef") != new.get("roleRef"):
            reference = new.get("roleRef") or {}
            shown = {name.upper()[:1] + name[1:]: reference.get(name, "") for name in ("kind", "name")}
            text = encode({"APIGroup": reference.get("apiGroup", ""), **shown}).decode()
            errors.append(FieldError("FieldValueInvalid", "roleRef", f"Invalid value: {text}: cannot change roleRef"))
        return errors

    return validate


# -- workloads -------------------------------------------------------------------------------------------------------
def _workload(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    replicas = spec.get("replicas", 1)
    if replicas < 0:
        errors.append(invalid("spec.replicas", replicas, "must be greater than or equal to 0"))
    selector = spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
    else:
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            errors.append(invalid("spec.selector", selector, "empty selector is invalid for deployment"))
        labels = (spec["template"].get("metadata") or {}).get("labels") or {}
        wanted: dict[str, Any] = selector.get("matchLabels") or {}
        if any(labels.get(key) != value for key, value in wanted.items()):
            why = "`selector` does not match template `labels`"
            errors.append(invalid("spec.template.metadata.labels", labels, why))
    return errors + _template(_with_claims(spec), "spec.template", ["Always"])


def _with_claims(spec: Object) -> Object:
    """The pod template with a volume for each claim of a StatefulSet, which its containers may mount."""
    template: Object = spec["template"]
    claims = [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in spec.get("volumeClaimTemplates") or ()]
    if not claims:
        return template
    pod = template["spec"]
    return {**template, "spec": {**pod, "volumes": [*(pod.get("volumes") or ()), *claims]}}


def _template(template: Object, field: str, restart: list[str]) -> list[FieldError]:
    spec = template["spec"]
    prefix = f"{field}.spec"
    errors = [
        FieldError(error.reason, error.field.replace("spec", prefix, 1), error.message)
        for error in pods.validate_spec(spec)
    ]
    policy = spec.get("restartPolicy", "")
    if policy in pods.RESTART_POLICIES and policy not in restart:
        errors.append(unsupported(f"{prefix}.restartPolicy", policy, restart))
    return errors


def _workload_update(old: Object, new: Object) -> list[FieldError]:
    errors = _workload(new)
    if old["spec"].get("selector") != new["spec"].get("selector"):
        errors.append(invalid("spec.selector", new["spec"].get("selector"), "field is immutable"))
    return errors


def _job(obj: Object) -> list[FieldError]:
    return _template(obj["spec"]["template"], "spec.template", ["OnFailure", "Never"])


def _cron_job(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    schedule = spec.get("schedule", "")
    if not schedule:
        errors.append(required("spec.schedule"))
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        why = f"expected exactly 5 fields, found {len(schedule.split())}: {schedule.split()}"
        errors.append(invalid("spec.schedule", schedule, why))
    policies = ["Allow", "Forbid", "Replace"]
    if spec.get("concurrencyPolicy") not in policies:
        errors.append(unsupported("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), policies))
    template = spec["jobTemplate"]["spec"]["template"]
    return errors + _template(template, "spec.jobTemplate.spec.template", ["OnFailure", "Never"])


def _network_policy(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors = affinity.label_selector(spec.get("podSelector"), "spec.podSelector")
    for number, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Ingress", "Egress"):
            errors.append(unsupported(f"spec.policyTypes[{number}]", kind, ["Egress", "Ingress"]))
    return errors


VALIDATORS: dict[str, Callable[[Object], list[FieldError]]] = {
    "secrets": _secret,
    "configmaps": _config_map,
    "leases": _lease,
    "events": _event,
    "services": _service,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "roles": lambda obj: _rules(obj, namespaced=True),
    "clusterroles": lambda obj: _rules(obj, namespaced=False),
    "rolebindings": _role_binding,
    "clusterrolebindings": _cluster_role_binding,
    "deployments": _workload,
    "replicasets": _workload,
    "statefulsets": _workload,
    "daemonsets": _workload,
    "jobs": _job,
    "cronjobs": _cron_job,
    "networkpolicies": _network_policy,
}
UPDATE_VALIDATORS: dict[str, Callable[[Object, Object], list[FieldError]]] = {
    "secrets": _secret_update,
    "configmaps": _config_map_update,
    "services": _service_update,
    "persistentvolumeclaims": _claim_update,
    "rolebindings": _binding_update(_role_binding),
    "clusterrolebindings": _binding_update(_cluster_role_binding),
    "deployments": _workload_update,
}
