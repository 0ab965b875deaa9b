"""The secrets of one user, read at launch (spec orchestration.md 4); ``loginsecrets`` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from oc.model.deadline import Deadline
from oc.model.identity import Identity, PosixAccount
from oc.od.orchestrator.client import Json, KubernetesClient
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.manifests import homes, selectors
from oc.od.orchestrator.manifests import secrets as manifests
from oc.od.orchestrator.manifests.types import SecretRef
from oc.od.orchestrator.resources import SECRETS
from oc.od.settings import Settings

CLAIMED_DESKTOP = "abcdesktop/desktop"
"""Annotation of a ``vnc`` secret: the name of the desktop pod its password is for."""

WRITTEN = "abcdesktop/written"
"""Annotation of a login's secrets: when the last login wrote them (ISO 8601, UTC), also when nothing changed."""

MAX_ATTRIBUTE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class VncSecret:
    """The user's ``vnc`` secret at one ``version`` (resourceVersion). ``desktop``: see CLAIMED_DESKTOP."""

    name: str
    version: str
    password: str = field(repr=False)
    desktop: str | None
    ref: SecretRef


@dataclass(frozen=True, slots=True)
class UserSecrets:
    """All secrets of a user as of one list."""

    objects: tuple[Json, ...] = field(repr=False)

    @property
    def refs(self) -> tuple[SecretRef, ...]:
        """What the manifest builders need."""
        return tuple(ref for ref in map(manifests.secret_ref, self.objects) if ref)

    def data(self, access_type: str) -> dict[str, bytes] | None:
        """Decoded data of the first secret of that ``access_type``, None when there is none."""
        found = self._of(access_type)
        return manifests.decode_secret(found[0]) if found else None

    @property
    def attributes(self) -> dict[str, str]:
        """What the login told of the user, as far as it is short text: photos and long lists are not."""
        found = {key: value for key, value in (self.data("ldif") or {}).items() if len(value) <= MAX_ATTRIBUTE_BYTES}
        return {key: value.decode() for key, value in found.items() if _is_text(value)}

    def count(self, access_type: str) -> int:
        """Number of usable secrets of that ``access_type``."""
        return len(self._of(access_type))

    @property
    def vnc(self) -> VncSecret | None:
        """The ``vnc`` secret; the oldest, should there be several."""
        found = self._of("vnc")
        return vnc_secret_from(found[0]) if found else None

    def types(self) -> list[str]:
        """Types of the secrets that hold something."""
        return [str(obj.get("type", "")) for obj in self.objects if obj.get("data")]

    def _of(self, access_type: str) -> list[Json]:
        found = [
            obj for obj in self.objects if _labels(obj).get("access_type") == access_type and manifests.secret_ref(obj)
        ]
        return sorted(found, key=lambda obj: (obj["metadata"].get("creationTimestamp", ""), obj["metadata"]["name"]))


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def vnc_secret_from(obj: Json) -> VncSecret | None:
    """Read a ``vnc`` secret; None when it holds no password or is being deleted."""
    ref = manifests.secret_ref(obj)
    password = manifests.decode_secret(obj).get("password", b"").decode("ascii", "replace")
    if ref is None or not password:
        return None
    metadata = obj["metadata"]
    desktop = (metadata.get("annotations") or {}).get(CLAIMED_DESKTOP)
    return VncSecret(ref.name, metadata.get("resourceVersion", ""), password, desktop, ref)


def purpose(obj: Json) -> tuple[str, str, str] | None:
    """What a secret of a login is for: access type, kind and share. None for one without data and for a ``vnc`` secret,
    which is a matter of claims.
    """
    ref = manifests.secret_ref(obj)
    return (ref.access_type, ref.kind, ref.share) if ref and ref.access_type != "vnc" else None


def written(obj: Json) -> str:
    """When a login wrote the secret (see WRITTEN), to compare it with others."""
    return str((obj["metadata"].get("annotations") or {}).get(WRITTEN, ""))


def _current(objects: Sequence[Json]) -> tuple[Json, ...]:
    """Of several secrets for one purpose the one of the last login.

    Each login leaves one; two that run at once leave two when the usual name, another user's until then, becomes free
    between them.
    """
    last = {purpose(obj): obj for obj in sorted(objects, key=written)}
    return tuple(obj for obj in objects if purpose(obj) is None or last[purpose(obj)] is obj)


def _labels(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


class SecretStore:
    """Reads the secrets of users, and creates those of a launch."""

    def __init__(self, settings: Settings, client: KubernetesClient) -> None:
        self._settings = settings
        self._client = client

    def read(self, identity: Identity, deadline: Deadline | None = None, *, pods: bool = False) -> UserSecrets:
        """All secrets of the user in one call. ``pods``: only what pods are made from, without the bulky ``ldif``."""
        selector = selectors.secret_selector(self._settings, identity)
        if pods:
            selector += ",access_type!=ldif"
        return UserSecrets(_current(self._client.items(SECRETS, selector, deadline=deadline)))

    def read_type(self, identity: Identity, access_type: str, deadline: Deadline | None = None) -> UserSecrets:
        """The user's secrets of one ``access_type``."""
        selector = selectors.secret_selector(self._settings, identity, access_type)
        return UserSecrets(_current(self._client.items(SECRETS, selector, deadline=deadline)))

    def attributes(self, identity: Identity, account: PosixAccount, deadline: Deadline) -> dict[str, str]:
        """What the login told of the user; asked for only when a template of the home names some of it."""
        if not homes.wants_attributes(self._settings, identity, account):
            return {}
        return self.read_type(identity, "ldif", deadline).attributes

    def create(self, identity: Identity, body: Json, other_name: str, deadline: Deadline) -> Json | None:
        """POST a secret under its name, or the other one where the first is somebody else's.

        None when the user has one already: somebody was faster, or an earlier answer was lost.
        """
        for name in (body["metadata"]["name"], other_name):
            try:
                return self._client.create(
                    SECRETS, {**body, "metadata": {**body["metadata"], "name": name}}, deadline=deadline
                )
            except KubernetesError as error:
                if error.code != 409 and not error.maybe_done:
                    raise
            existing = self.get(name, deadline)
            if existing is None or selectors.is_users(self._settings, identity, _labels(existing)):
                return None
        return None

    def get(self, name: str, deadline: Deadline | None = None) -> Json | None:
        """One secret by name, None when there is none."""
        try:
            return self._client.get(SECRETS, name, deadline=deadline)
        except KubernetesError as error:
            if error.code == 404:
                return None
            raise


def delete_secret(client: KubernetesClient, obj: Json, deadline: Deadline) -> bool:
    """Delete the object as it was read; False when it was gone or, by a new login, written since."""
    metadata = obj["metadata"]
    return client.delete(
        SECRETS, metadata["name"], uid=metadata["uid"], version=metadata["resourceVersion"], deadline=deadline
    )
