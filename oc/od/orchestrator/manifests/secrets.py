"""The secrets of a user: written at login and at launch, read back later (orchestration.md 4, auth.md 8)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from oc.model.identity import Identity, Login
from oc.od.orchestrator.manifests import drivers, labels, naming, posix
from oc.od.orchestrator.manifests.types import Json, ManifestError, SecretDraft, SecretRef
from oc.od.settings import Settings

AUTH_KINDS: Final = ("kerberos", "ntlm", "cntlm", "citrix")
"""Identities of a login that become secrets with ``access_type=auth``, in writing order."""

MAX_SECRET_BYTES: Final = 900_000
"""Most bytes of data in one secret; Kubernetes refuses more than 1 MiB."""

_PHOTOS: Final = ("jpegPhoto", "thumbnailPhoto", "photo", "thumbnailLogo")
_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_KEY: Final = re.compile(r"[-._A-Za-z0-9]{1,253}")
_SENSITIVE: Final = re.compile(
    r"passw(or)?d|passphrase|pwd$|unicodepwd|pwdhistory|hash|sha512|principalkey|krb5key|krbextradata|krbmkey"
    r"|supplementalcredentials|secret|token$|ms-mcs-adm|mslaps|keytab|privatekey|userpkcs12",
    re.IGNORECASE,
)


def login_secrets(settings: Settings, login: Login) -> list[SecretDraft]:
    """Every secret one login writes, the required ones (``ldif``, ``localaccount``) first.

    Raises ManifestError when the login carries no account files, without which no desktop can start.
    """
    identity = login.identity
    drafts = [
        _draft(settings, identity, "ldif", "ldif", ldif_data(login), required=True),
        _draft(settings, identity, "localaccount", "localaccount", encoded(_account_files(login)), required=True),
    ]
    if login.posix is not None:
        account = encoded(posix.account_dict(login.posix))
        drafts.append(_draft(settings, identity, "posixaccount", "posixaccount", account))
    for kind in AUTH_KINDS:
        claim = login.claims.get(kind)
        if claim:
            drafts.append(_draft(settings, identity, kind, "auth", encoded(claim)))
    return drafts + _driver_secrets(settings, login)


def _driver_secrets(settings: Settings, login: Login) -> list[SecretDraft]:
    """One secret for each share of a volume rule; a share whose place or credentials are not known gets none."""
    found = [rule for _, rule in drivers.matching_rules(settings.policies.rules.volumes, login.identity.labels)]
    if not found:
        return []
    known = encoded(posix.account_dict(login.posix)) if login.posix is not None else None
    account = posix.resolve_account(settings, known, encoded(_account_files(login)))
    drafts = []
    for rule in found:
        data = drivers.secret_data(settings, login, account, rule)
        if data is not None:
            draft = _draft(settings, login.identity, rule["type"], "driver", encoded(data))
            name, other = drivers.secret_kind_name(rule, login.identity)
            draft.manifest["metadata"]["name"] = name
            drafts.append(SecretDraft(draft.manifest, other, required=False))
    return drafts


def vnc_secret(settings: Settings, identity: Identity, password: str) -> SecretDraft:
    """The VNC password of one desktop: 15 characters ``[A-Za-z0-9]`` drawn by the caller."""
    return _draft(settings, identity, "vnc", "vnc", {"password": password.encode()}, required=True)


def _draft(
    settings: Settings,
    identity: Identity,
    kind: str,
    access_type: str,
    data: Mapping[str, bytes],
    *,
    required: bool = False,
) -> SecretDraft:
    namespace, name = settings.kubernetes.namespace, naming.secret_name(kind, identity)
    if sum(map(len, data.values())) > MAX_SECRET_BYTES:
        raise ManifestError(f"the {kind} data of your account are too big")
    manifest: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels.secret_labels(identity, access_type),
        },
        "type": f"{namespace}/{kind}",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
    return SecretDraft(manifest, naming.own_secret_name(name, identity), required)


def encoded(data: Mapping[str, Any]) -> dict[str, bytes]:
    """The values of a secret as bytes: text and bytes as they are, numbers as decimal text, dicts and lists as JSON.

    Null, other types and keys Kubernetes does not know are left out.
    """
    made: dict[str, bytes] = {}
    for key, value in data.items():
        if _KEY.fullmatch(key) is None or key in (".", "..") or key.startswith(".."):
            continue
        raw = _bytes(value)
        if raw is not None:
            made[key] = raw
    return made


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return str(value).encode()
    if isinstance(value, (Mapping, list, tuple)):
        return _json(value)
    return None


def _json(value: Any) -> bytes | None:
    if isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], bytes):
        return value[0]
    try:
        return _COMPACT.encode(_decoded(value)).encode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError):
        return None


def _decoded(value: Any) -> Any:
    """JSON knows no bytes: those of an LDAP attribute are text, or the whole value is not serialisable."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Mapping):
        return {str(key): _decoded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_decoded(item) for item in value]
    return value


def ldif_data(login: Login) -> dict[str, bytes]:
    """What ``whoami`` may show of a user: nothing like a password, at most ``MAX_SECRET_BYTES`` (photos go first)."""
    told = {key: value for key, value in login.attributes.items() if not _SENSITIVE.search(key)}
    if login.posix is not None:
        told["posix"] = posix.account_dict(login.posix)
    data = encoded({**told, "userid": login.identity.userid, "name": login.identity.name})
    total = sum(len(key) + len(value) for key, value in data.items())
    if total > MAX_SECRET_BYTES:
        for key in sorted(data.keys() - {"userid", "name"}, key=lambda key: (key not in _PHOTOS, -len(data[key]), key)):
            total -= len(key) + len(data.pop(key))
            if total <= MAX_SECRET_BYTES:
                break
    return data


def _account_files(login: Login) -> Mapping[str, Any]:
    files = login.claims.get("localaccount") or {}
    missing = [name for name in ("passwd", "shadow", "group", "gshadow") if not files.get(name)]
    if missing:
        raise ManifestError("your account files could not be made", doing=f"login without {', '.join(missing)}")
    return files


def decode_secret(obj: Mapping[str, Any]) -> dict[str, bytes]:
    """The data of a Secret object; an entry that is not base64 is left out."""
    made: dict[str, bytes] = {}
    for key, value in (obj.get("data") or {}).items():
        try:
            made[key] = base64.b64decode(value or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            continue
    return made


def secret_text(data: Mapping[str, bytes]) -> dict[str, str]:
    """Decoded data as text; what is not UTF-8 (photos) stays base64."""
    made: dict[str, str] = {}
    for key, value in data.items():
        try:
            made[key] = value.decode()
        except UnicodeDecodeError:
            made[key] = base64.b64encode(value).decode()
    return made


def secret_kind(obj: Mapping[str, Any]) -> str:
    """The part of a Secret's type after ``/``: the namespace before it is no matter."""
    return str(obj.get("type") or "").rpartition("/")[2]


def secret_ref(obj: Mapping[str, Any]) -> SecretRef | None:
    """What the pod builders need of a Secret object; None for an empty one or one being deleted."""
    metadata = obj.get("metadata") or {}
    if not obj.get("data") or metadata.get("deletionTimestamp"):
        return None
    access_type = str((metadata.get("labels") or {}).get("access_type", ""))
    share = decode_secret(obj).get("data", b"").decode("utf-8", "replace") if access_type == "driver" else ""
    return SecretRef(str(metadata.get("name", "")), secret_kind(obj), access_type, share)
