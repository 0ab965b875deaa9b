"""Writes docs/configuration.md from the declarations: `python -m oc.od.settings.reference docs/configuration.md`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from oc.od.settings.declaration import UNSET, Option, all_options, options_of
from oc.od.settings.legacy import OUTDATED, OUTDATED_PREFIXES, QUIETLY_IGNORED
from oc.od.settings.masking import plain
from oc.od.settings.model import Settings
from oc.od.settings.pod_containers import ContainerSettings
from oc.od.settings.provider_keys import ACTIVE_DIRECTORY, COMMON, EXTERNAL, IMPLICIT, LDAP, META
from oc.od.settings.reference_text import EPILOGUE, PROLOGUE

TITLES: Final = {
    "server": "Server",
    "http": "Public address and request gates",
    "logging_settings": "Logging",
    "jwt_user": "User tokens",
    "jwt_desktop": "Desktop tokens",
    "controllers": "Controllers",
    "auth": "Login",
    "fail2ban": "Bans",
    "mongodb": "MongoDB",
    "history": "History",
    "memcached": "memcached",
    "kubernetes": "Kubernetes",
    "executeclasses": "Execute classes",
    "pod": "Desktop pod",
    "policies": "Policies",
    "desktop": "Desktops",
    "front": "Front end",
    "dock": "Dock",
    "webrtc": "Microphone and camera",
    "others": "Other services",
}
_LONGEST_DEFAULT: Final = 120


def reference() -> str:
    """The whole page."""
    lines = [PROLOGUE.strip(), ""]
    for field in dataclasses.fields(Settings):
        if field.name in TITLES:
            lines += [f"## {TITLES[field.name]}", "", *_section(field)]
    lines += _providers()
    lines += _migration()
    return "\n".join([*lines, EPILOGUE.strip()]) + "\n"


def _section(field: dataclasses.Field[Any]) -> Iterator[str]:
    declared = field.metadata.get("option")
    options = [declared] if declared is not None else list(all_options(field.metadata["group"]))
    yield from _table(options)
    for option in options:
        yield from _nested(option.key, option)


def _nested(path: str, option: Option) -> Iterator[str]:
    """Tables of the keys inside a value, recursively."""
    cls = option.kind.nested()
    if cls is None:
        return
    each = "" if option.kind.name == "dict" else " (each entry)"
    yield f"### Inside `{path}`{each}"
    yield ""
    inner = [declared for _, declared in options_of(cls)]
    yield from _table(inner)
    for declared in inner:
        yield from _nested(f"{path}.{declared.key}", declared)
    if option.key == "desktop.pod":
        yield "### Inside an entry of `desktop.pod`"
        yield ""
        yield "An entry is a container, a service inside one, or a template of applications."
        yield ""
        yield from _table([declared for _, declared in options_of(ContainerSettings)])


def _table(options: list[Option]) -> Iterator[str]:
    yield "| Key | Type | Default | Meaning | Since |"
    yield "|---|---|---|---|---|"
    for option in options:
        meaning = [option.meaning]
        if option.required:
            meaning.append("Mandatory.")
        if option.shipped is not UNSET:
            meaning.append(f"Shipped: {_value(option.shipped)}.")
        if option.env:
            meaning.append(f"The environment variable `{option.env}` wins when it is not empty.")
        if option.aliases:
            meaning.append(f"Older or misspelt name: {', '.join(f'`{alias}`' for alias in option.aliases)}.")
        if option.secret:
            whole = "dict" not in option.kind.name
            meaning.append("Masked in every output." if whole else "Secrets inside are masked in every output.")
        cells = (f"`{option.key}`", option.kind.name, _default(option), " ".join(meaning), option.since)
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    yield ""


def _default(option: Option) -> str:
    if option.default_text is not None:
        return option.default_text
    if option.required:
        return "none"
    if dataclasses.is_dataclass(option.default):
        return "see below"
    return _value(plain(option.kind.dump(option.default)))


def _value(value: Any) -> str:
    text = repr(plain(value))
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else "see `od.config`"


def _providers() -> Iterator[str]:
    yield "## Keys of login providers"
    yield ""
    yield (
        "A provider is a dict in `authmanagers.<manager>.providers`. `config_ref` names another key of the file: a "
        "dict of dicts, of which the entry with the provider's name, else the first one, is merged over the provider."
    )
    yield ""
    for title, keys in (
        ("Every provider", COMMON),
        ("`external` (OAuth 2.0, OpenID Connect)", EXTERNAL),
        ("`implicit` (anonymous, client certificate)", IMPLICIT),
        ("`explicit` (LDAP)", LDAP),
        ("`explicit` with `domain` (Active Directory), in addition", ACTIVE_DIRECTORY),
        ("`metaexplicit`, in addition", META),
    ):
        yield f"### {title}"
        yield ""
        yield from _table([dataclasses.replace(key, since="3.0") for key in keys])


def _migration() -> Iterator[str]:
    yield "## Names of older versions"
    yield ""
    yield "Accepted with a warning that names the new key:"
    yield ""
    yield "| Old | New |"
    yield "|---|---|"
    for option in all_options(Settings):
        for alias in option.aliases:
            yield f"| `{alias}` | `{option.key}` |"
    yield "| `desktop.homedirdotcachetoemptydir: True` | `desktop.directorytomemoryemptydir: [ '.cache' ]` |"
    yield ""
    yield "Accepted without effect:"
    yield ""
    for key, why in QUIETLY_IGNORED.items():
        yield f"- `{key}`: {why}"
    yield "- `desktop.pod.storage`: the pause container ended with 4.3"
    yield ""
    outdated = ", ".join(f"`{key}`" for key in (*(f"{prefix}*" for prefix in OUTDATED_PREFIXES), *OUTDATED))
    yield f"Without effect since 3.0, each warned about: {outdated}."
    yield ""


def main(arguments: list[str]) -> int:
    """Write the page to the file named, or to the standard output."""
    if arguments:
        Path(arguments[0]).write_text(reference(), encoding="utf-8")
    else:
        print(reference(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
