"""Volumes of a pod as directories below the state directory, made only when a real process is to see them.

emptyDir, secret, configMap, downwardAPI and projected volumes belong to the pod; a persistent volume's directory
belongs to the volume. A hostPath is an empty directory kept per path, unless the cluster was told to allow real ones.
Contents are written once: a later change of a Secret does not reach a running container.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.cluster.node.environment import field_value
from devstack.cluster.objects import Object
from devstack.cluster.store import Store

DEFAULT_MODE = 0o644
TOKEN_SECONDS = 3600

IssueToken = Callable[[str, str, list[str], int, Object | None], str]


class MountError(Exception):
    """A volume cannot be had (yet); the text is that of the FailedMount event."""


@dataclass(frozen=True)
class Volumes:
    """The volumes of all pods of the cluster."""

    store: Store
    directory: Path
    issue_token: IssueToken
    ca_pem: str
    allow_host_path: bool

    def check(self, pod: Object) -> None:
        """Raise MountError for the first volume whose Secret, ConfigMap, key or claim is missing."""
        for volume in pod["spec"].get("volumes") or ():
            for _ in self._files(pod, volume, check_only=True):
                pass
            claim = volume.get("persistentVolumeClaim")
            if claim:
                self._volume_of_claim(pod, claim["claimName"])

    def pod_directory(self, pod: Object) -> Path:
        """Where the pod's own volumes live."""
        uid: str = pod["metadata"]["uid"]
        return self.directory / "pods" / uid

    def make(self, pod: Object) -> dict[str, Path]:
        """Make the directories that are not there yet; by volume name. Raises MountError."""
        made: dict[str, Path] = {}
        for volume in pod["spec"].get("volumes") or ():
            made[volume["name"]] = self._make(pod, volume)
        return made

    def remove(self, pod: Object) -> None:
        """Remove what belongs to the pod."""
        shutil.rmtree(self.pod_directory(pod), ignore_errors=True)

    def remove_persistent(self, name: str) -> None:
        """Remove the directory of a persistent volume that was provisioned here."""
        shutil.rmtree(self.directory / "persistent" / name, ignore_errors=True)

    def _make(self, pod: Object, volume: Object) -> Path:
        if "persistentVolumeClaim" in volume:
            name = self._volume_of_claim(pod, volume["persistentVolumeClaim"]["claimName"])
            return _directory(self.directory / "persistent" / name, 0o777)
        if "hostPath" in volume:
            return self._host_path(volume["hostPath"]["path"])
        path: Path = self.pod_directory(pod) / "volumes" / volume["name"]
        if path.exists():
            return path
        _directory(path, 0o777 if "emptyDir" in volume else 0o755)
        group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        for name, content, mode in self._files(pod, volume, check_only=False):
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(mode | (0o040 if group is not None else 0))
            if group is not None and os.geteuid() == 0:
                os.chown(file, -1, group)
        return path

    def _host_path(self, path: str) -> Path:
        if self.allow_host_path:
            return Path(path)
        return _directory(self.directory / "host" / hashlib.sha256(path.encode()).hexdigest()[:32], 0o777)

    def _volume_of_claim(self, pod: Object, name: str) -> str:
        claim = self.store.get("persistentvolumeclaims", pod["metadata"]["namespace"], name)
        if claim is None:
            raise MountError(f'persistentvolumeclaim "{name}" not found')
        if (claim.get("status") or {}).get("phase") != "Bound":
            raise MountError(f'persistentvolumeclaim "{name}" is not bound')
        return str(claim["spec"]["volumeName"])

    def _files(self, pod: Object, volume: Object, *, check_only: bool) -> Iterator[tuple[str, bytes, int]]:
        """(relative path, content, mode) of everything in a volume of files. Raises MountError."""
        name = volume["name"]
        if "secret" in volume:
            source = volume["secret"]
            mode = source.get("defaultMode", DEFAULT_MODE)
            yield from self._keys(pod, "secrets", source.get("secretName", ""), source, mode, name)
        elif "configMap" in volume:
            source = volume["configMap"]
            yield from self._keys(
                pod, "configmaps", source.get("name", ""), source, source.get("defaultMode", DEFAULT_MODE), name
            )
        elif "downwardAPI" in volume:
            source = volume["downwardAPI"]
            yield from _downward(pod, source, source.get("defaultMode", DEFAULT_MODE))
        elif "projected" in volume:
            mode = volume["projected"].get("defaultMode", DEFAULT_MODE)
            for source in volume["projected"].get("sources") or ():
                yield from self._projected(pod, source, mode, name, check_only=check_only)

    def _projected(
        self, pod: Object, source: Object, mode: int, volume: str, *, check_only: bool
    ) -> Iterator[tuple[str, bytes, int]]:
        if "secret" in source:
            yield from self._keys(pod, "secrets", source["secret"].get("name", ""), source["secret"], mode, volume)
        elif "configMap" in source:
            part = source["configMap"]
            yield from self._keys(pod, "configmaps", part.get("name", ""), part, mode, volume)
        elif "downwardAPI" in source:
            yield from _downward(pod, source["downwardAPI"], mode)
        elif "serviceAccountToken" in source and not check_only:
            part = source["serviceAccountToken"]
            audience = [part["audience"]] if part.get("audience") else []
            account = pod["spec"].get("serviceAccountName") or "default"
            seconds = part.get("expirationSeconds", TOKEN_SECONDS)
            token = self.issue_token(pod["metadata"]["namespace"], account, audience, seconds, pod)
            yield part["path"], token.encode(), 0o600 if os.geteuid() != 0 else mode

    def _keys(
        self, pod: Object, kind: str, name: str, source: Object, mode: int, volume: str
    ) -> Iterator[tuple[str, bytes, int]]:
        obj = self.store.get(kind, pod["metadata"]["namespace"], name)
        if obj is None:
            if source.get("optional"):
                return
            raise MountError(f'MountVolume.SetUp failed for volume "{volume}" : {_singular(kind)} "{name}" not found')
        data = object_data(obj, kind)
        items = source.get("items")
        if not items:
            for key, content in data.items():
                yield key, content, mode
            return
        for item in items:
            if item["key"] not in data:
                if source.get("optional"):
                    continue
                raise MountError(
                    f'MountVolume.SetUp failed for volume "{volume}" : references non-existent {_singular(kind)} key: '
                    f"{item['key']}"
                )
            yield item["path"], data[item["key"]], item.get("mode", mode)


def object_data(obj: Object, kind: str) -> dict[str, bytes]:
    """The keys of a Secret or ConfigMap with their contents."""
    if kind == "secrets":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    texts = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}


def _downward(pod: Object, source: Object, mode: int) -> Iterator[tuple[str, bytes, int]]:
    for item in source.get("items") or ():
        reference: Any = item.get("fieldRef")
        if reference:
            yield item["path"], field_value(pod, reference["fieldPath"]).encode(), item.get("mode", mode)


def _directory(path: Path, mode: int) -> Path:
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(mode)
    return path


def _singular(kind: str) -> str:
    return {"secrets": "secret", "configmaps": "configmap"}[kind]
