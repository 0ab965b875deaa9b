"""Pods."""

from __future__ import annotations

import ipaddress
from typing import Any

from devstack.cluster import names
from devstack.cluster.errors import FieldError, duplicate, forbidden_field, invalid, required, unsupported
from devstack.cluster.objects import Object
from devstack.cluster.validation import affinity, amounts, containers, metadata, security, volumes

RESTART_POLICIES = ["Always", "OnFailure", "Never"]
_DNS_POLICIES = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]
_EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
IP_FAULT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_MAX_SECONDS = 2**31 - 1


def validate_new(pod: Object) -> list[FieldError]:
    """Faults of a new pod, apart from its metadata."""
    spec = pod["spec"]
    errors = validate_spec(spec)
    if spec.get("ephemeralContainers"):
        errors.append(forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
    return errors


def validate_spec(spec: Object) -> list[FieldError]:
    """Faults of a pod spec, in the order Kubernetes finds them."""
    errors, mountable = volumes.validate(spec)
    errors += containers.validate_all(spec, mountable)
    errors += amounts.pod_level(spec)
    if spec.get("restartPolicy") not in RESTART_POLICIES:
        errors.append(unsupported("spec.restartPolicy", spec.get("restartPolicy", ""), RESTART_POLICIES))
    errors += _dns(spec)
    errors += metadata.labels(spec.get("nodeSelector"), "spec.nodeSelector")
    errors += security.pod_context(spec)
    errors += _names(spec)
    errors += affinity.validate(spec.get("affinity") or {})
    errors += _tolerations(spec.get("tolerations") or ())
    errors += _host_aliases(spec.get("hostAliases") or ())
    errors += _gates(spec.get("schedulingGates") or ())
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and not 1 <= seconds <= _MAX_SECONDS:
        errors.append(invalid("spec.activeDeadlineSeconds", seconds, "must be between 1 and 2147483647, inclusive"))
    return errors


def _dns(spec: Object) -> list[FieldError]:
    policy = spec.get("dnsPolicy", "")
    if policy not in _DNS_POLICIES:
        return [unsupported("spec.dnsPolicy", policy, _DNS_POLICIES)]
    config = spec.get("dnsConfig")
    if policy == "None":
        if config is None:
            return [required("spec.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [required("spec.dnsConfig.nameservers", why)]
    return [
        invalid(f"spec.dnsConfig.nameservers[{number}]", address, IP_FAULT)
        for number, address in enumerate((config or {}).get("nameservers") or ())
        if not is_ip(address)
    ]


def _names(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for field, rule in (
        ("serviceAccountName", names.subdomain),
        ("nodeName", names.subdomain),
        ("hostname", names.label),
        ("subdomain", names.label),
        ("priorityClassName", names.subdomain),
        ("runtimeClassName", names.subdomain),
    ):
        value = spec.get(field)
        if value:
            errors += [invalid(f"spec.{field}", value, fault) for fault in rule(value)]
    return errors


def _tolerations(tolerations: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, toleration in enumerate(tolerations):
        field = f"spec.tolerations[{number}]"
        key, value = toleration.get("key", ""), toleration.get("value", "")
        operator, effect = toleration.get("operator", ""), toleration.get("effect", "")
        if key:
            errors += [invalid(f"{field}.key", key, fault) for fault in names.qualified(key)]
        if not key and operator != "Exists":
            errors.append(
                invalid(
                    f"{field}.operator",
                    operator,
                    'operator must be Exists when `key` is empty, which means "match all values and all keys"',
                )
            )
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            errors.append(
                invalid(f"{field}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
            )
        if operator in ("", "Equal"):
            errors += [invalid(f"{field}.operator", value, fault) for fault in names.label_value(value)[:1]]
        elif operator == "Exists":
            if value:
                errors.append(invalid(f"{field}.operator", value, "value must be empty when `operator` is 'Exists'"))
        else:
            errors.append(unsupported(f"{field}.operator", operator, ["Equal", "Exists"]))
        if effect and effect not in _EFFECTS:
            errors.append(unsupported(f"{field}.effect", effect, _EFFECTS))
    return errors


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _host_aliases(aliases: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    for number, alias in enumerate(aliases):
        if not is_ip(alias.get("ip", "")):
            errors.append(invalid(f"spec.hostAliases[{number}].ip", alias.get("ip", ""), IP_FAULT))
        for name in alias.get("hostnames") or ():
            errors += [invalid(f"spec.hostAliases[{number}].hostnames", name, f) for f in names.subdomain(name)]
    return errors


def _gates(gates: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, gate in enumerate(gates):
        name = gate.get("name", "")
        errors += [invalid(f"spec.schedulingGates[{number}]", name, fault) for fault in names.qualified(name)]
        if name in seen:
            errors.append(duplicate(f"spec.schedulingGates[{number}]", name))
        seen.add(name)
    return errors


def _hostname_warning(name: str) -> str:
    faults = ", ".join(names.label(name))
    return (
        "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is "
        f"recommended: [{faults}]"
    )


def warnings(pod: Object) -> list[str]:
    """What Kubernetes accepts, but warns of."""
    found: list[str] = []
    spec = pod["spec"]
    name = pod["metadata"].get("name", "")
    if names.label(name):
        found.append(_hostname_warning(name))
    for number, reference in enumerate(spec.get("imagePullSecrets") or ()):
        if not reference.get("name"):
            found.append(f'spec.imagePullSecrets[{number}].name: invalid empty name ""')
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or ()):
            seen: set[str] = set()
            for number, entry in enumerate(container.get("env") or ()):
                name = entry.get("name", "")
                if name in seen:
                    field = f"spec.{part}[{index}].env[{number}]"
                    found.append(
                        f'{field}: hides previous definition of "{name}", which may be dropped when using apply'
                    )
                seen.add(name)
    return found
