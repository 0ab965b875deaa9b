"""Rules for names, labels and keys, with the words of Kubernetes' own messages (apimachinery/util/validation)."""

from __future__ import annotations

import re

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_RE = re.compile(rf"^{_LABEL}$")
_SUBDOMAIN_RE = re.compile(rf"^{_SUBDOMAIN}$")
_QUALIFIED_RE = re.compile(rf"^{_QUALIFIED}$")
_VALUE_RE = re.compile(rf"^({_QUALIFIED})?$")
_DNS1035_RE = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")

LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_DNS1035_MESSAGE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def label(value: str) -> list[str]:
    """Faults of a DNS-1123 label."""
    faults = [] if len(value) <= 63 else ["must be no more than 63 characters"]
    if not _LABEL_RE.match(value):
        faults.append("must not contain dots" if _SUBDOMAIN_RE.match(value) else LABEL_MESSAGE)
    return faults


def subdomain(value: str) -> list[str]:
    """Faults of a DNS-1123 subdomain."""
    faults = [] if len(value) <= 253 else ["must be no more than 253 characters"]
    if not _SUBDOMAIN_RE.match(value):
        faults.append(SUBDOMAIN_MESSAGE)
    return faults


def dns1035(value: str) -> list[str]:
    """Faults of a DNS-1035 label (services)."""
    faults = [] if len(value) <= 63 else ["must be no more than 63 characters"]
    if not _DNS1035_RE.match(value):
        faults.append(_DNS1035_MESSAGE)
    return faults


def path_segment(value: str) -> list[str]:
    """Faults of a name that is a path segment (RBAC objects)."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{character}'" for character in "/%" if character in value]


def qualified(value: str) -> list[str]:
    """Faults of a label or annotation key: [prefix/]name."""
    parts = value.split("/")
    if len(parts) > 2:
        return [
            f"a qualified name {_QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        ]
    faults: list[str] = []
    if len(parts) == 2:
        if not parts[0]:
            faults.append("prefix part must be non-empty")
        else:
            faults.extend("prefix part " + fault for fault in subdomain(parts[0]))
    name = parts[-1]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > 63:
        faults.append("name part must be no more than 63 characters")
    if not _QUALIFIED_RE.match(name):
        faults.append("name part " + _QUALIFIED_RULE)
    return faults


def label_value(value: str) -> list[str]:
    """Faults of a label's value."""
    faults = [] if len(value) <= 63 else ["must be no more than 63 characters"]
    if not _VALUE_RE.match(value):
        faults.append(VALUE_MESSAGE)
    return faults
