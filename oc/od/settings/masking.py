"""The effective configuration as plain values, with secrets masked, in the format of the file."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

from oc.od.settings.declaration import Option, all_options, options_of
from oc.od.settings.model import Settings
from oc.od.settings.provider_keys import PROVIDER_KEYS

MASK: Final = "XXXXXXXXXXX"
WIDTH: Final = 110

_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|credential|api_?key|private_?key|authorization|bearer|(^|[_.-])(token|pwd)$",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)
_ENVIRONMENTS: Final = frozenset({"desktop.envlocal", "desktop.envlocalrules"})
_ALWAYS: Final = frozenset({"desktop.webhookdict", "create", "destroy", "state"})
"""Entries whose every value may be a secret: constants and commands of webhooks, the fixed OAuth state."""

_NEVER: Final = frozenset({"secretRef", "secretName", "serviceaccount"})
_ACCOUNT = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<account>[^/?#\s]*)@")
_QUERY = re.compile(r"(?i)([?&;](?:[a-z_-]*(?:password|passwd|secret|token|apikey|api_key|pwd|key))=)[^&#\s]+")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL)


def effective(settings: Settings) -> dict[str, Any]:
    """Every key with the value in use, as a file could give it, secrets masked."""
    shown: dict[str, Any] = {}
    for declared, value in values_of(settings):
        shown[declared.key] = _masked(declared.key, plain(declared.kind.dump(value)), declared.key in _ENVIRONMENTS)
    shown.update({key: _masked(key, plain(value), False) for key, value in settings.server.cherrypy.items()})
    return shown


def values_of(part: Any) -> Iterator[tuple[Option, Any]]:
    """(declaration, value) of every option of a settings object and its groups."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if "option" in field.metadata:
            yield field.metadata["option"], value
        elif "group" in field.metadata:
            yield from values_of(value)


def plain(value: Any) -> Any:
    """The value with tuples turned into lists and mappings into dicts."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def render(settings: Settings) -> str:
    """The effective configuration in the format of the file; it can be loaded again (with masked secrets)."""
    lines = ["[global]"]
    lines += [f"{key}: {literal(value)}" for key, value in effective(settings).items()]
    return "\n".join(lines) + "\n"


def literal(value: Any, indent: str = "  ") -> str:
    """A value as it is written in the file: continuation lines indented, `%` doubled."""
    return pretty(value, indent).replace("%", "%%")


def pretty(value: Any, indent: str = "  ", used: int = 40) -> str:
    """A literal of at most about WIDTH columns a line; continuation lines start with `indent` or more."""
    text = repr(value)
    if len(text) + used <= WIDTH or not isinstance(value, dict | list) or not value:
        return text
    inner = f",\n{indent}"
    if isinstance(value, dict):
        deeper = indent + "    "
        items = [f"{key!r}: {pretty(item, deeper, len(deeper) + len(repr(key)))}" for key, item in value.items()]
        return f"{{\n{indent}{inner.join(items)} }}"
    if all(isinstance(item, str) and " " not in item for item in value):
        wrapper = textwrap.TextWrapper(WIDTH - len(indent), break_on_hyphens=False, break_long_words=False)
        lines = wrapper.wrap(", ".join(repr(item) for item in value))
        return f"[\n{indent}" + f"\n{indent}".join(lines) + "]"
    return f"[\n{indent}{inner.join(pretty(item, indent + '    ', len(indent)) for item in value)} ]"


def _declared(secret: bool) -> frozenset[str]:
    """Names of declared options, top-level and nested, that are (or are not) marked secret."""
    found: set[str] = set()
    pending = list(all_options(Settings))
    seen: set[type[Any]] = set()
    while pending:
        declared = pending.pop()
        nested = declared.kind.nested()
        if declared.secret is secret and (not secret or nested is None):
            found.add(declared.key)
        if nested is not None and nested not in seen:
            seen.add(nested)
            pending += [inner for _, inner in options_of(nested)]
    return frozenset(found)


_TREES: Final = frozenset(
    {
        "logging",
        "authmanagers",
        "providers",
        "network",
        "webrtc.coturn",
        "webrtc.rtc_configuration",
        "mongodburl",
        "jira",
    }
)
"""Secret-bearing values that are shown with only their secret parts masked."""

_SECRETS: Final = (
    (_declared(secret=True) | frozenset(key.key for keys in PROVIDER_KEYS.values() for key in keys if key.secret))
    - _TREES
    - _NEVER
)
_PUBLIC: Final = _declared(secret=False) | _NEVER


def _masked(name: str, value: Any, environment: bool) -> Any:
    if isinstance(value, dict):
        if name in _ALWAYS:
            return dict.fromkeys(value, MASK)
        return {key: _masked(str(key), item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(name, item, environment) for item in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    if name in _ALWAYS or name in _SECRETS or (name not in _PUBLIC and _SECRET_NAME.search(name)):
        return MASK
    if environment and _SECRET_VARIABLE.search(name):
        return MASK
    return mask_text(value) if isinstance(value, str) else value


def mask_text(text: str) -> str:
    """The text without accounts in URLs, secret query parameters and private keys."""
    text = _ACCOUNT.sub(rf"\g<scheme>{MASK}@", text)
    text = _QUERY.sub(rf"\g<1>{MASK}", text)
    return _PRIVATE_KEY.sub(MASK, text)
