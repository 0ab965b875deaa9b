"""Volumes of a pod and where its containers mount them (orchestration.md 5.8, 5.9)."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from oc.model import names
from oc.model.identity import Identity, PosixAccount
from oc.od.orchestrator.manifests import drivers, homes, naming, posix
from oc.od.orchestrator.manifests.types import HomeVolume, Json, ManifestError, SecretRef
from oc.od.settings import Settings

FILE_MODE: Final = 0o644
SHADOW_MODE: Final = 0o640
_ACCOUNT_FILES: Final = (("passwd", FILE_MODE), ("group", FILE_MODE), ("shadow", SHADOW_MODE), ("gshadow", SHADOW_MODE))
_NOT_BY_REQUIREMENT: Final = frozenset({"vnc", "localaccount", "ldif", "posixaccount"})


@dataclass(frozen=True, slots=True)
class Mountable:
    """A volume and the place where a container sees it."""

    volume: Json
    mount: Json

    @property
    def name(self) -> str:
        """The volume's name."""
        return str(self.volume["name"])


def _mountable(name: str, source: Mapping[str, Any], path: str, **more: Any) -> Mountable:
    volume = {"name": name, **copy.deepcopy(dict(source))}
    return Mountable(volume, {"name": name, "mountPath": path, **more})


@dataclass(frozen=True, slots=True)
class Sources:
    """Every volume one user's pods may use. ``account_in_init_only``: the 4.3 layout with a volume ``extrausers``."""

    named: Mapping[str, tuple[Mountable, ...]]
    home: tuple[Mountable, ...]
    account: Mountable
    account_in_init_only: bool
    vnc: Mountable | None
    auth: Mapping[str, Mountable]
    policies: tuple[Mountable, ...]
    localtime: Mountable | None
    warnings: tuple[str, ...]


def sources(
    settings: Settings,
    identity: Identity,
    account: PosixAccount,
    secrets: Sequence[SecretRef],
    home: HomeVolume,
    rules: Mapping[str, Any],
) -> Sources:
    """Collect the volumes of a user. rules: ``rules.volumes``, label to rule or list of rules.

    Raises ManifestError unless exactly one secret ``localaccount`` is given.
    """
    warnings: list[str] = []
    home_mounts = _home(settings, account, home, warnings)
    named: dict[str, tuple[Mountable, ...]] = {key: (found,) for key, found in _defaults(settings, warnings).items()}
    named["home"] = home_mounts
    for part in home_mounts[1:]:
        named.setdefault(part.name, (part,))
    localtime = _localtime(settings)
    if localtime is not None:
        named.setdefault("localtime", (localtime,))
    return Sources(
        named=named,
        home=home_mounts,
        account=_account(settings, identity, secrets),
        account_in_init_only="extrausers" in settings.pod.default_volumes,
        vnc=_vnc(settings, identity, secrets),
        auth=_auth(settings, identity, secrets),
        policies=_policies(_Shares(settings, account, secrets), identity, rules, warnings),
        localtime=localtime,
        warnings=tuple(warnings),
    )


def _defaults(settings: Settings, warnings: list[str]) -> dict[str, Mountable]:
    """What ``default_volumes`` and ``default_volumes_mount`` say together."""
    result: dict[str, Mountable] = {}
    for key, configured in settings.pod.default_volumes.items():
        mount = settings.pod.default_volumes_mount.get(key)
        if mount is None or "mountPath" not in mount:
            warnings.append(f"volume {key!r} of desktop.pod has no entry in default_volumes_mount, it is not used")
            continue
        name = names.volume_name(str(configured.get("name") or key))
        volume = {**copy.deepcopy(dict(configured)), "name": name}
        result[key] = Mountable(volume, {**copy.deepcopy(dict(mount)), "name": name})
    return result


def _home(settings: Settings, account: PosixAccount, home: HomeVolume, warnings: list[str]) -> tuple[Mountable, ...]:
    """The home volume, then the memory volumes over its sub-directories."""
    more = {"subPath": home.sub_path} if home.sub_path else {}
    result = [_mountable("home", home.source, homes.mount_path(settings, account), **more)]
    root = posix.home_directory(settings, account)
    taken = {"home", *settings.pod.default_volumes}
    for entry in settings.storage.directorytomemoryemptydir:
        path = posixpath.normpath(posixpath.join(root, entry))
        name = names.volume_name(entry)
        if not path.startswith(f"{root.rstrip('/')}/"):
            warnings.append(f"directory {entry!r} of desktop.directorytomemoryemptydir is not below the home")
            continue
        if name in taken:
            name = names.volume_name(f"home-{entry}")
        if name in taken or any(path == one.mount["mountPath"] for one in result):
            warnings.append(f"directory {entry!r} of desktop.directorytomemoryemptydir is named twice")
            continue
        taken.add(name)
        result.append(_mountable(name, settings.storage.directorytomemory, path))
    return tuple(result)


def _one(secrets: Sequence[SecretRef], kind: str) -> SecretRef | None:
    found = [secret for secret in secrets if secret.kind == kind]
    if len(found) > 1:
        raise ManifestError(f"your account has {len(found)} {kind} secrets, log out and log in again")
    return found[0] if found else None


def _account(settings: Settings, identity: Identity, secrets: Sequence[SecretRef]) -> Mountable:
    secret = _one(secrets, "localaccount")
    if secret is None:
        raise ManifestError("your account files are gone (you may have logged out elsewhere), log in again")
    source = {
        "secret": {
            "secretName": secret.name,
            "items": [{"key": name, "path": name, "mode": mode} for name, mode in _ACCOUNT_FILES],
        }
    }
    return _mountable(_secret_volume("localaccount", identity), source, settings.desktop.secretslocalaccount)


def _vnc(settings: Settings, identity: Identity, secrets: Sequence[SecretRef]) -> Mountable | None:
    secret = _one(secrets, "vnc")
    return None if secret is None else _secret(settings, identity, secret)


def _auth(settings: Settings, identity: Identity, secrets: Sequence[SecretRef]) -> dict[str, Mountable]:
    return {
        secret.kind: _secret(settings, identity, secret)
        for secret in sorted(secrets, key=lambda secret: (secret.kind, secret.name))
        if secret.access_type == "auth" and secret.kind not in _NOT_BY_REQUIREMENT
    }


def _secret(settings: Settings, identity: Identity, secret: SecretRef) -> Mountable:
    root, namespace = settings.desktop.secretsrootdirectory, settings.kubernetes.namespace
    source = {"secret": {"secretName": secret.name, "defaultMode": FILE_MODE}}
    return _mountable(_secret_volume(secret.kind, identity), source, f"{root}{namespace}/{secret.kind}")


def _secret_volume(kind: str, identity: Identity) -> str:
    return naming.secret_name(kind, identity)


def _localtime(settings: Settings) -> Mountable | None:
    if not settings.desktop.uselocaltime:
        return None
    source = {"hostPath": {"path": "/etc/localtime", "type": "File"}}
    return _mountable("localtime", source, "/etc/localtime", readOnly=True)


@dataclass(frozen=True, slots=True)
class _Shares:
    """What the volume of a share is made of."""

    settings: Settings
    account: PosixAccount
    secrets: Sequence[SecretRef]

    def find(self, identity: Identity, label: str, rule: Mapping[str, Any], warnings: list[str]) -> Mountable | None:
        wanted = drivers.secret_kind_name(rule, identity)
        ref = next((one for one in self.secrets if one.access_type == "driver" and one.name in wanted), None)
        made = drivers.flex_volume(self.settings, self.account, ref) if ref else None
        if made is None or not _is_path(made[1]):
            warnings.append(f"share {rule.get('name')!r} of label {label!r} is left out: its secret is not there")
            return None
        name = f"{drivers.share_name(rule)}-{names.user_object_name(identity.userid)}"
        return _mountable(names.volume_name(name), made[0], made[1])


def _policies(
    shares: _Shares, identity: Identity, rules: Mapping[str, Any], warnings: list[str]
) -> tuple[Mountable, ...]:
    """The volumes of every label the user carries, in configuration order."""
    result: dict[str, Mountable] = {}
    for label, given in rules.items():
        if label not in identity.labels:
            continue
        for rule in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(rule, Mapping) and rule.get("type") in drivers.KINDS:
                found = shares.find(identity, label, rule, warnings)
            else:
                found = _policy(identity, label, rule, warnings)
            if found is None:
                continue
            if result.setdefault(found.name, found) != found:
                warnings.append(f"volume {found.name!r} of label {label!r} is left out: the name is taken")
    return tuple(result.values())


def _policy(identity: Identity, label: str, rule: Any, warnings: list[str]) -> Mountable | None:
    kind = rule.get("type") if isinstance(rule, Mapping) else None
    make = _POLICY_SOURCES.get(str(kind))
    if kind == "csi" and not rule.get("driver"):
        return None  # accepted in old files, without effect
    if make is None:
        warnings.append(f"volume rule of label {label!r}: type {str(kind)[:40]!r} is not supported")
        return None
    path = rule.get("mountPath")
    required, source = make(rule)
    values = [rule.get(key) for key in ("name", *required)]
    if not all(isinstance(value, str) and value for value in values) or not _is_path(path):
        wanted = ", ".join(("name", "mountPath", *required))
        warnings.append(f"volume rule of label {label!r}: {kind} needs {wanted}")
        return None
    more: Json = {}
    if rule.get("readOnly") is True:
        more["readOnly"] = True
    if rule.get("mountPropagation"):
        more["mountPropagation"] = rule["mountPropagation"]
    name = f"{str(kind).lower()}-{rule['name']}-{names.user_object_name(identity.userid)}"
    return _mountable(names.volume_name(name), source, str(path), **more)


def _is_path(path: Any) -> bool:
    return isinstance(path, str) and path.startswith("/") and ":" not in path and posixpath.normpath(path) != "/"


def _nfs(rule: Mapping[str, Any]) -> tuple[tuple[str, ...], Json]:
    source = {"server": rule.get("server"), "path": rule.get("path"), "readOnly": rule.get("readOnly") is True}
    return ("server", "path"), {"nfs": source}


def _pvc(rule: Mapping[str, Any]) -> tuple[tuple[str, ...], Json]:
    return ("claimName",), {"persistentVolumeClaim": {"claimName": rule.get("claimName")}}


def _host_path(rule: Mapping[str, Any]) -> tuple[tuple[str, ...], Json]:
    kind = rule.get("hostPathType")
    source = {"path": rule.get("path"), "type": "DirectoryOrCreate" if kind is None else kind}
    return ("path",), {"hostPath": source}


def _csi(rule: Mapping[str, Any]) -> tuple[tuple[str, ...], Json]:
    """An ephemeral inline volume of a CSI driver."""
    source: Json = {"driver": rule.get("driver"), "readOnly": rule.get("readOnly") is True}
    attributes = {str(key): str(value) for key, value in (rule.get("volumeAttributes") or {}).items()}
    if attributes:
        source["volumeAttributes"] = attributes
    if rule.get("fsType"):
        source["fsType"] = rule["fsType"]
    if rule.get("secretName"):
        source["nodePublishSecretRef"] = {"name": rule["secretName"]}
    return ("driver",), {"csi": source}


def _s3(rule: Mapping[str, Any]) -> tuple[tuple[str, ...], Json]:
    """A bucket, through a CSI driver for them."""
    attributes = {**(rule.get("volumeAttributes") or {}), "bucket": rule.get("bucket")}
    _, source = _csi({**rule, "volumeAttributes": attributes})
    return ("driver", "bucket"), source


_POLICY_SOURCES: Final = {"nfs": _nfs, "pvc": _pvc, "hostPath": _host_path, "csi": _csi, "s3": _s3}


def volume_rules(settings: Settings, overlay: Any = None) -> Mapping[str, Any]:
    """``rules.volumes``: the configured ones, or those of an application's ``rules`` when it has some."""
    if isinstance(overlay, Mapping) and isinstance(overlay.get("volumes"), Mapping):
        own: Mapping[str, Any] = overlay["volumes"]
        return own
    return settings.policies.rules.volumes


@dataclass(slots=True)
class Mounts:
    """The mounts of one container: a path is taken once, the first one wins."""

    owner: str
    items: list[Mountable] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, *found: Mountable | None) -> None:
        """Add mounts that are not there yet."""
        for one in found:
            if one is None or one in self.items:
                continue
            path = _plain(one.mount["mountPath"])
            if any(_plain(other.mount["mountPath"]) == path for other in self.items):
                self.warnings.append(f"{self.owner}: {one.name!r} is not mounted, {path} is taken")
            else:
                self.items.append(one)

    def add_keys(self, keys: Iterable[str], found: Sources) -> None:
        """Add the volumes listed in the configuration of the container."""
        for key in keys:
            if key in found.named:
                self.add(*found.named[key])
            elif key != "localtime":
                self.warnings.append(f"{self.owner}: there is no volume {key[:80]!r}, it is skipped")

    def require(self, kinds: Iterable[str], found: Sources) -> None:
        """Add the auth secrets asked for: ``kerberos``, ``<any namespace>/kerberos``, or ``all``; missing ones not."""
        wanted = {kind.rpartition("/")[2] for kind in kinds}
        self.add(*(one for kind, one in found.auth.items() if kind in wanted or "all" in wanted))

    def manifest(self) -> list[Json]:
        """A fresh ``volumeMounts`` list."""
        return [copy.deepcopy(one.mount) for one in self.items]


def _plain(path: str) -> str:
    return path.rstrip("/") or "/"


def declare(*mounted: Iterable[Mountable]) -> list[Json]:
    """The ``volumes`` of a pod: each volume once, in order of first use.

    Raises ManifestError when two different volumes have one name.
    """
    result: dict[str, Json] = {}
    for many in mounted:
        for one in many:
            if result.setdefault(one.name, one.volume) != one.volume:
                raise ManifestError(f"two volumes of the desktop are named {one.name}")
    return [copy.deepcopy(volume) for volume in result.values()]
