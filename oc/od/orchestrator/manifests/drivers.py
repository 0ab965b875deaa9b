"""Shares that a volume driver mounts with the user's credentials: cifs, cifs_kerberos, webdav (orchestration.md 5.9).

A login writes one secret a share, with the credentials and where the share is and goes. A pod's flexVolume refers to
it by name; the node's driver reads it.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from oc.model import names
from oc.model.identity import Identity, Login, PosixAccount
from oc.od.orchestrator.manifests import naming, posix
from oc.od.orchestrator.manifests.types import Json, SecretRef
from oc.od.settings import Settings

KINDS: Final = ("cifs", "cifs_kerberos", "webdav")
HOME: Final = "homedirectory"
"""The ``name`` of the rule for the home directory the user's directory entry tells (homeDrive, homeDirectory)."""

_DRIVE: Final = re.compile(r"([A-Za-z]):?")
_ENTRY: Final = re.compile(r"[\w][\w .@+-]{0,127}")
_SHARE: Final = re.compile(r"//[\w.:-]+(/[^/\x00-\x1f\x7f,]+)+/?")
_URL: Final = re.compile(r"(https?|davs?)://[^\x00-\x20\x7f]+")


def matching_rules(rules: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(label, rule) of every share the user gets, in configuration order."""
    for label, given in rules.items():
        if label in labels:
            for rule in given if isinstance(given, (list, tuple)) else [given]:
                if isinstance(rule, Mapping) and rule.get("type") in KINDS:
                    yield label, rule


def share_name(rule: Mapping[str, Any]) -> str:
    """What tells the shares of a user apart: ``flexvol-<type>-<volumename or name>``."""
    own = rule.get("volumename") or rule.get("name") or ""
    return names.dns_name(f"flexvol-{rule['type']}-{own}", 200)


def secret_kind_name(rule: Mapping[str, Any], identity: Identity) -> tuple[str, str]:
    """The preferred and the other name of a share's secret."""
    return (
        naming.driver_secret_name(rule["type"], identity, share_name(rule)),
        naming.driver_secret_name(rule["type"], identity, f"{share_name(rule)}\0{identity.provider}"),
    )


def secret_data(settings: Settings, login: Login, account: PosixAccount, rule: Mapping[str, Any]) -> Json | None:
    """The data of a share's secret; None when credentials or place are not to be had."""
    place = _place(settings, login, account, rule)
    if place is None:
        return None
    if rule["type"] == "cifs_kerberos":
        found = login.claims.get("kerberos") or {}
        wanted = {"principal": "PRINCIPAL", "realm": "REALM", "keytab": "keytab", "krb5_conf": "krb5_conf"}
        data = {key: found.get(name) for key, name in wanted.items()}
        return {**data, "authprotocol": "kerberos", "data": place} if all(data.values()) else None
    found = login.claims.get("driver") or {}
    if not found.get("username") or not found.get("password"):
        return None
    data = {key: found[key] for key in ("username", "password", "domain") if found.get(key)}
    return {**data, "authprotocol": "ntlm", "data": place}


def _place(settings: Settings, login: Login, account: PosixAccount, rule: Mapping[str, Any]) -> Json | None:
    """``mountPath``, ``networkPath``, ``mountOptions`` of a share."""
    network, entry = _network_path(login, rule), str(rule.get("name") or rule.get("volumename") or "")
    if rule.get("name") == HOME:
        drive = _DRIVE.fullmatch(_text(login.attributes.get("homeDrive")))
        entry = drive[1].upper() if drive else ""
    if network is None or not _ENTRY.fullmatch(entry):
        return None
    path = posixpath.join(posix.home_directory(settings, account), entry)
    return {"mountPath": path, "networkPath": network, "mountOptions": str(rule.get("mountOptions") or "")}


def _network_path(login: Login, rule: Mapping[str, Any]) -> str | None:
    if rule["type"] == "webdav":
        url = _text(rule.get("url"))
        return url if _URL.fullmatch(url) else None
    given = login.attributes.get("homeDirectory") if rule.get("name") == HOME else rule.get("unc")
    path = _text(given).replace("\\", "/")
    return path if _SHARE.fullmatch(path) and "/../" not in f"{path}/" else None


def _text(value: Any) -> str:
    """The text of an attribute, of its first value when it has several; at most 1024 characters count."""
    if isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) and len(value) <= 1024 else ""


def flex_volume(settings: Settings, account: PosixAccount, ref: SecretRef) -> tuple[Json, str] | None:
    """Volume source and mount path of a share whose secret exists; None when the secret is not readable."""
    try:
        place = json.loads(ref.share)
        path, network, options = place["mountPath"], place["networkPath"], place.get("mountOptions") or ""
    except (ValueError, TypeError, KeyError):
        return None
    if not all(isinstance(text, str) for text in (path, network, options)):
        return None
    owner = f"uid={account.uidNumber},gid={account.gidNumber}"
    source = {
        "driver": f"{settings.kubernetes.namespace}/{ref.kind}",
        "fsType": ref.kind,
        "secretRef": {"name": ref.name},
        "options": {"networkPath": network, "mountOptions": f"{owner},{options}" if options else owner},
    }
    return {"flexVolume": source}, path
