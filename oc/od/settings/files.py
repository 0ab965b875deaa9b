"""The files a configuration names: are they there, can they be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from oc.model.filevalue import is_file, path_of, read_value
from oc.od.settings.controllers import LONGEST_KEY
from oc.od.settings.crosschecks import WELL_KNOWN_PASSWORDS
from oc.od.settings.declaration import Level, Problem
from oc.od.settings.model import Settings

MAX_ICON: Final = 1024 * 1024
"""Largest icon file (bytes), as oc.od.apps.icons reads it."""

MAX_FILE: Final = 1024 * 1024

_PRIVATE: Final = ("-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----")
_PUBLIC: Final = ("-----BEGIN PUBLIC KEY-----", "-----BEGIN RSA PUBLIC KEY-----")


def check_files(settings: Settings) -> list[Problem]:
    """Problems of the files the configuration names, worst first. Reads files, never the network.

    Missing key files and account templates are errors; icons, log directories and address databases are not.
    """
    needed = [*_keys(settings), *_controller_keys(settings), *_templates(settings)]
    problems = [*needed, *_icons(settings), *_logs(settings), *_databases(settings)]
    order = {Level.ERROR: 0, Level.WARNING: 1, Level.ADVICE: 2}
    return sorted(problems, key=lambda problem: order[problem.level])


def _read(base: Path, name: str, most: int = MAX_FILE) -> tuple[bytes, str]:
    """(content, "") or (b"", why it cannot be read)."""
    path = base / name
    try:
        if not path.is_file():
            return b"", f"{name}: no such file"
        if path.stat().st_size > most:
            return b"", f"{name}: larger than {most} bytes"
        return path.read_bytes(), ""
    except OSError as problem:
        return b"", f"{name}: cannot be read ({problem.strerror})"


def _keys(settings: Settings) -> list[Problem]:
    user, desktop = settings.jwt_user, settings.jwt_desktop
    wanted = [
        ("jwt_token_user.jwtuserprivatekeyfile", user.private_key_file, _PRIVATE),
        ("jwt_token_user.jwtuserpublickeyfile", user.public_key_file, _PUBLIC),
        ("jwt_token_desktop.jwtdesktopprivatekeyfile", desktop.private_key_file, _PRIVATE),
        ("jwt_token_desktop.jwtdesktoppublickeyfile", desktop.public_key_file, _PUBLIC),
        ("jwt_token_desktop.payloaddesktoppublickeyfile", desktop.payload_public_key_file, _PUBLIC),
    ]
    if user.public_key_file_previous is not None:
        wanted.append(("jwt_token_user.jwtuserpublickeyfile_previous", user.public_key_file_previous, _PUBLIC))
    problems: list[Problem] = []
    for key, name, marks in wanted:
        content, reason = _read(settings.base, name)
        if reason:
            problems.append(Problem(key, f"{reason}, expected a PEM file"))
        elif not any(mark.encode() in content for mark in marks):
            problems.append(Problem(key, f"{name}: no such key inside, expected a PEM file with {marks[0]}"))
    return problems


def _controller_keys(settings: Settings) -> list[Problem]:
    """API keys that stand in files: what is wrong is told without a word of the content."""
    problems: list[Problem] = []
    for name, policy in settings.controllers.items():
        given = {f"controllers.{name}.apikey[{n}]": entry for n, entry in enumerate(policy.apikey or ())}
        if policy.authdnskey is not None:
            given[f"controllers.{name}.authdnskey"] = policy.authdnskey
        for key, entry in given.items():
            if is_file(entry):
                problems += [Problem(key, f"{path_of(entry)}: {text}", level) for level, text in _key_file(entry)]
    return problems


def _key_file(entry: str) -> list[tuple[Level, str]]:
    expected = "expected a file with the key in its first line"
    try:
        found = read_value(entry)
    except OSError as problem:
        return [(Level.ERROR, f"cannot be read ({problem.strerror}), {expected}")]
    except ValueError:
        return [(Level.ERROR, f"no UTF-8 text, {expected}")]
    if not 0 < len(found) <= LONGEST_KEY:
        return [(Level.ERROR, f"a key of {len(found)} characters, expected 1 to {LONGEST_KEY}")]
    return [(Level.ADVICE, "this key is published, choose another")] if found in WELL_KNOWN_PASSWORDS else []


def _templates(settings: Settings) -> list[Problem]:
    account = settings.account
    wanted = {
        "template_passwd_filename": account.template_passwd_filename,
        "template_group_filename": account.template_group_filename,
        "template_shadow_filename": account.template_shadow_filename,
        "template_gshadow_filename": account.template_gshadow_filename,
    }
    problems: list[Problem] = []
    for key, name in wanted.items():
        _, reason = _read(settings.base, name)
        if reason:
            problems.append(Problem(key, f"{reason}, expected a template of account lines"))
    return problems


def _icons(settings: Settings) -> list[Problem]:
    problems: list[Problem] = []
    for name, entry in settings.dock.entries.items():
        icon = entry.get("icon")
        if not isinstance(icon, str):
            continue
        if Path(icon).name != icon:
            reason = f"{icon[:80]!r} is no plain file name"
        else:
            reason = _read(settings.base / settings.dock.img_path, icon, MAX_ICON)[1]
        if reason:
            text = f"{reason}, the entry is shown with the default icon"
            problems.append(Problem(f"dock.{name}.icon", text, Level.WARNING))
    return problems


def _logs(settings: Settings) -> list[Problem]:
    """File handlers whose directory is missing: logging would fall back to the console."""
    handlers = (settings.logging or {}).get("handlers")
    problems: list[Problem] = []
    for name, handler in handlers.items() if isinstance(handlers, Mapping) else ():
        filename = handler.get("filename") if isinstance(handler, Mapping) else None
        if isinstance(filename, str) and not (settings.base / filename).parent.is_dir():
            text = f"the directory of {filename!r} does not exist, expected it to be made beforehand"
            problems.append(Problem(f"logging.handlers.{name}.filename", text, Level.WARNING))
    return problems


def _databases(settings: Settings) -> list[Problem]:
    wanted = {
        "geoip.city_database": settings.geoip.city_database,
        "geoip.asn_database": settings.geoip.asn_database,
        "asn.database": settings.geoip.ipasn_database,
    }
    return [
        Problem(key, f"{name}: no such file, its look-ups are off", Level.ADVICE)
        for key, name in wanted.items()
        if not (settings.base / name).is_file()
    ]
