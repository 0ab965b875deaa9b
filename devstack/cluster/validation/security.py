"""Security contexts of pods and containers."""

from __future__ import annotations

import re

from devstack.cluster.errors import FieldError, forbidden_field, invalid, required, unsupported
from devstack.cluster.objects import Object, encode

_ID_RANGE = "must be between 0 and 2147483647, inclusive"
_MAX_ID = 2**31 - 1
_SYSCTL = re.compile(r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$")
_SYSCTL_RULE = (
    r"must have at most 253 characters and match regex "
    r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)
_GO_CONTEXT = (
    "capabilities", "privileged", "seLinuxOptions", "windowsOptions", "runAsUser", "runAsGroup", "runAsNonRoot",
    "readOnlyRootFilesystem", "allowPrivilegeEscalation", "procMount", "seccompProfile", "appArmorProfile",
)  # fmt: skip


def _ids(context: Object, names: tuple[str, ...], field: str) -> list[FieldError]:
    return [
        invalid(f"{field}.{name}", context[name], _ID_RANGE)
        for name in names
        if context.get(name) is not None and not 0 <= context[name] <= _MAX_ID
    ]


def _seccomp(profile: Object | None, field: str) -> list[FieldError]:
    if profile is None:
        return []
    kind, local = profile.get("type"), profile.get("localhostProfile")
    if kind not in ("Localhost", "RuntimeDefault", "Unconfined"):
        return [unsupported(f"{field}.type", kind or "", ["Localhost", "RuntimeDefault", "Unconfined"])]
    if kind == "Localhost" and not local:
        return [required(f"{field}.localhostProfile", "must be set when seccomp type is Localhost")]
    if kind != "Localhost" and local is not None:
        return [invalid(f"{field}.localhostProfile", local, "can only be set when seccomp type is Localhost")]
    return []


def pod_context(spec: Object) -> list[FieldError]:
    """Faults of spec.securityContext and of the host settings beside it."""
    context, field = spec.get("securityContext") or {}, "spec.securityContext"
    errors = _ids(context, ("fsGroup", "runAsUser", "runAsGroup"), field)
    for number, group in enumerate(context.get("supplementalGroups") or ()):
        if not 0 <= group <= _MAX_ID:
            errors.append(invalid(f"{field}.supplementalGroups[{number}]", group, _ID_RANGE))
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid(f"{field}.shareProcessNamespace", True, why))
    for number, sysctl in enumerate(context.get("sysctls") or ()):
        name = sysctl.get("name", "")
        if not name:
            errors.append(required(f"{field}.sysctls[{number}].name"))
        elif len(name) > 253 or not _SYSCTL.match(name):
            errors.append(invalid(f"{field}.sysctls[{number}].name", name, _SYSCTL_RULE))
    policy = context.get("fsGroupChangePolicy")
    if policy is not None and policy not in ("Always", "OnRootMismatch"):
        errors.append(unsupported(f"{field}.fsGroupChangePolicy", policy, ["Always", "OnRootMismatch"]))
    errors += _seccomp(context.get("seccompProfile"), f"{field}.seccompProfile")
    if spec.get("hostUsers") is False:
        why = "when `hostUsers` is false"
        errors += [forbidden_field(f"spec.{n}", why) for n in ("hostNetwork", "hostPID", "hostIPC") if spec.get(n)]
    return errors


def container_context(context: Object | None, spec: Object, field: str) -> list[FieldError]:
    """Faults of a container's securityContext."""
    if context is None:
        return []
    errors = _ids(context, ("runAsUser", "runAsGroup"), field)
    mount = context.get("procMount")
    if mount is not None:
        if mount not in ("Default", "Unmasked"):
            errors.append(unsupported(f"{field}.procMount", mount, ["Default", "Unmasked"]))
        elif mount == "Unmasked" and spec.get("hostUsers", True):
            errors.append(invalid(f"{field}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"))
    errors += _seccomp(context.get("seccompProfile"), f"{field}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        added = (context.get("capabilities") or {}).get("add") or ()
        start = "cannot set `allowPrivilegeEscalation` to false and "
        if context.get("privileged"):
            errors.append(_whole(field, context, start + "`privileged` to true"))
        if "CAP_SYS_ADMIN" in added:
            errors.append(_whole(field, context, start + "`capabilities.Add` CAP_SYS_ADMIN"))
    return errors


def _whole(field: str, context: Object, detail: str) -> FieldError:
    """The message shows the whole context in the words of Go's internal type."""
    shown: Object = {_title(name): context.get(name) for name in _GO_CONTEXT}
    shown["SELinuxOptions"] = shown.pop("SeLinuxOptions")
    ordered = {("SELinuxOptions" if n == "seLinuxOptions" else _title(n)): context.get(n) for n in _GO_CONTEXT}
    capabilities = context.get("capabilities")
    if capabilities is not None:
        ordered["Capabilities"] = {"Add": capabilities.get("add"), "Drop": capabilities.get("drop")}
    return FieldError("FieldValueInvalid", field, f"Invalid value: {encode(ordered).decode()}: {detail}")


def _title(name: str) -> str:
    return name[0].upper() + name[1:]
