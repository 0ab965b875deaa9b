"""Changes of pods: what may change at all, by the pod itself and by its subresources."""

from __future__ import annotations

from devstack.cluster.errors import FieldError, forbidden_field, invalid, required
from devstack.cluster.objects import Object, copy_json
from devstack.cluster.pod_defaults import qos_class
from devstack.cluster.validation import amounts, containers, pods, volumes
from devstack.cluster.validation.pods import IP_FAULT, is_ip

_MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_TOLERATIONS = "existing toleration can not be modified except its tolerationSeconds"


def validate(old: Object, new: Object, subresource: str) -> list[FieldError]:
    """Faults of the change, apart from the metadata's."""
    if subresource == "status":
        return _status(new)
    if subresource == "ephemeralcontainers":
        return _ephemeral(old, new)
    if subresource == "resize":
        return _resize(old, new)
    if old.get("spec") == new.get("spec"):
        return []
    return _spec(old["spec"], new["spec"])


def _status(new: Object) -> list[FieldError]:
    status = new.get("status") or {}
    addresses = [entry.get("ip", "") for entry in status.get("podIPs") or ()]
    single = status.get("podIP")
    if single and not addresses:
        addresses = [single]
    return [
        invalid(f"status.podIPs[{number}]", address, IP_FAULT)
        for number, address in enumerate(addresses)
        if not is_ip(address)
    ]


def _ephemeral(old: Object, new: Object) -> list[FieldError]:
    spec = new["spec"]
    _, mountable = volumes.validate(spec)
    seen = {c.get("name") for part in ("containers", "initContainers") for c in spec.get(part) or ()}
    errors = containers.ephemeral(spec, mountable, {name for name in seen if name})
    field = "spec.ephemeralContainers"
    present = {container.get("name"): container for container in spec.get("ephemeralContainers") or ()}
    for container in old["spec"].get("ephemeralContainers") or ():
        name = container["name"]
        if name not in present:
            errors.append(forbidden_field(field, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif present[name] != container:
            errors.append(forbidden_field(field, f'existing ephemeral containers "{name}" may not be changed\n'))
    return errors


def _resize(old: Object, new: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, container in enumerate(new["spec"]["containers"]):
        field = f"spec.containers[{number}].resources"
        errors += amounts.requirements(container.get("resources") or {}, field)
    if errors:
        return errors
    before = qos_class(old["spec"])
    if qos_class(new["spec"]) != before:
        errors.append(invalid("spec", before, "Pod QOS Class may not change as a result of resizing"))
    return errors


def _spec(old: Object, new: Object) -> list[FieldError]:
    errors = pods.validate_spec(new)
    for part in ("containers", "initContainers"):
        before, after = old.get(part) or [], new.get(part) or []
        if len(before) != len(after):
            return [*errors, forbidden_field(f"spec.{part}", "pod updates may not add or remove containers")]
        for number, container in enumerate(after):
            if not container.get("image"):
                errors.append(required(f"spec.{part}[{number}].image"))
    deadline = _deadline(old.get("activeDeadlineSeconds"), new.get("activeDeadlineSeconds"))
    if deadline is not None:
        return [*errors, deadline]
    kept = _tolerations_kept(old, new)
    if not kept:
        errors.append(forbidden_field("spec.tolerations", _TOLERATIONS))
    if _fixed(old) != _fixed(new):
        errors.append(forbidden_field("spec", _MAY_CHANGE))
    return errors


def _deadline(before: int | None, after: int | None) -> FieldError | None:
    field = "spec.activeDeadlineSeconds"
    if before is None:
        return None
    if after is None:
        return invalid(field, None, "must not update from a positive integer to nil value")
    if after > before:
        return invalid(field, after, "must be less than or equal to previous value")
    return None


def _tolerations_kept(old: Object, new: Object) -> bool:
    def bare(toleration: Object) -> Object:
        return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}

    after = [bare(toleration) for toleration in new.get("tolerations") or ()]
    return all(bare(toleration) in after for toleration in old.get("tolerations") or ())


def _fixed(spec: Object) -> Object:
    """The spec without what may change."""
    bare: Object = copy_json(spec)
    for part in ("containers", "initContainers"):
        for container in bare.get(part) or ():
            container.pop("image", None)
    bare.pop("activeDeadlineSeconds", None)
    bare.pop("tolerations", None)
    if bare.get("terminationGracePeriodSeconds") == 1:
        bare.pop("terminationGracePeriodSeconds")
    if not bare.get("schedulingGates"):
        bare.pop("schedulingGates", None)
    return bare
