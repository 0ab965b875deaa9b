"""The secrets of one user: written at login, read at launch (spec orchestration.md 4)."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import Identity, Login, PosixAccount
from oc.od.orchestrator.client import JSON_PATCH, Json, KubernetesClient
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.manifests import homes, selectors
from oc.od.orchestrator.manifests import secrets as manifests
from oc.od.orchestrator.manifests.types import SecretDraft, SecretRef
from oc.od.orchestrator.resources import SECRETS
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

CLAIMED_DESKTOP = "abcdesktop/desktop"
"""Annotation of a ``vnc`` secret: the name of the desktop pod its password is for."""

WRITTEN = "abcdesktop/written"
"""Annotation of a login's secrets: when the last login wrote them (ISO 8601, UTC), also when nothing changed."""

LOGIN_SECONDS = 20.0
PAUSE_SECONDS = 0.2
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


def _current(objects: Iterable[Json]) -> tuple[Json, ...]:
    """Of several secrets for one thing the one of the last login.

    There are two when the preferred name was another user's at one login and free at the next.
    """
    found = list(objects)
    last: dict[tuple[str, ...], Json] = {}
    for obj in sorted(found, key=_written):
        ref = manifests.secret_ref(obj)
        if ref is None or ref.access_type == "vnc":  # nothing in it, or a matter of claims
            last["", obj["metadata"]["name"]] = obj
        else:
            last[ref.access_type, ref.kind, ref.share] = obj
    kept = {obj["metadata"]["name"] for obj in last.values()}
    return tuple(obj for obj in found if obj["metadata"]["name"] in kept)


def _written(obj: Json) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(WRITTEN, ""))


def _labels(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


class SecretStore:
    """Reads and writes the secrets of users."""

    def __init__(self, settings: Settings, client: KubernetesClient, executor: Executor) -> None:
        self._settings = settings
        self._client = client
        self._executor = executor

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

    def write_login(self, login: Login) -> None:
        """Write every secret of a login, in parallel.

        Raises KubernetesError (or ManifestError) when a required one cannot be written: no desktop could start.
        """
        drafts = manifests.login_secrets(self._settings, login)
        self._write_all(login.identity, drafts)

    def _write_all(self, identity: Identity, drafts: Sequence[SecretDraft]) -> None:
        deadline = Deadline(LOGIN_SECONDS)
        others = [(draft, self._executor.submit(self.write, identity, draft, deadline)) for draft in drafts[1:]]
        # The first in this thread, which would only wait.
        first = [(draft, partial(self.write, identity, draft, deadline)) for draft in drafts[:1]]
        results: list[tuple[SecretDraft, Callable[[], object]]] = [*first, *((one, job.result) for one, job in others)]
        failure: ODError | None = None
        for draft, result in results:
            try:
                result()
            except ODError as error:
                logger.error("secret %s of a login cannot be written: %s", draft.manifest["metadata"]["name"], error)
                failure = failure or (error if draft.required else None)
        if failure:
            raise failure

    def write(self, identity: Identity, draft: SecretDraft, deadline: Deadline) -> Json:
        """Create the secret, or replace data and labels of the user's own one.

        A secret of that name that is somebody else's is left alone; the draft's other name is taken then.
        """
        obj = draft.manifest
        written = {WRITTEN: datetime.now(UTC).isoformat(timespec="milliseconds")}
        for name in (obj["metadata"]["name"], draft.other_name):
            body = {**obj, "metadata": {**obj["metadata"], "name": name, "annotations": written}}
            stored = self._create_or_patch(identity, body, deadline)
            if stored is not None:
                return stored
        raise KubernetesError(409, "AlreadyExists", "both names belong to another user", doing="write secret")

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

    def _create_or_patch(self, identity: Identity, body: Json, deadline: Deadline) -> Json | None:
        """None: the name is somebody else's."""
        name = body["metadata"]["name"]
        while True:
            try:
                return self._client.create(SECRETS, body, deadline=deadline)
            except KubernetesError as error:
                if error.code != 409 and not error.maybe_done:
                    raise
            existing = self.get(name, deadline)
            if existing is None:
                _pause(deadline)
                continue  # deleted in between, or the lost POST never arrived
            if not selectors.is_users(self._settings, identity, _labels(existing)):
                return None
            try:
                return self._client.patch(
                    SECRETS, name, _replacement(existing, body), content_type=JSON_PATCH, repeat=True, deadline=deadline
                )
            except KubernetesError as error:
                if error.code not in (404, 409, 422):
                    raise
                _pause(deadline)  # deleted or made anew since it was read


def _pause(deadline: Deadline) -> None:
    """Before another try: an API server whose cache lags must not be asked in a busy loop.

    Raises DeadlineExceededError when no time is left.
    """
    time.sleep(random.uniform(0.5, 1.0) * deadline.cap(PAUSE_SECONDS))


def delete_secret(client: KubernetesClient, obj: Json, deadline: Deadline) -> bool:
    """Delete the object as it was read; False when it was gone or, by a new login, written since."""
    metadata = obj["metadata"]
    return client.delete(
        SECRETS, metadata["name"], uid=metadata["uid"], version=metadata["resourceVersion"], deadline=deadline
    )


def _replacement(existing: Json, body: Json) -> list[dict[str, Any]]:
    """A JSON patch to new data and labels that applies to that very object only."""
    labels = _labels(existing) | body["metadata"]["labels"]
    annotations = (existing["metadata"].get("annotations") or {}) | body["metadata"]["annotations"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": existing["metadata"]["uid"]},
        {"op": "add", "path": "/metadata/labels", "value": labels},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "add", "path": "/data", "value": body.get("data") or {}},
    ]
