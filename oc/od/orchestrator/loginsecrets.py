"""The secrets a login writes (spec orchestration.md 4), so that each user has one for each purpose."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import Identity, Login
from oc.od.orchestrator.client import JSON_PATCH, Json, KubernetesClient
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.manifests import secrets as manifests
from oc.od.orchestrator.manifests import selectors
from oc.od.orchestrator.manifests.types import SecretDraft
from oc.od.orchestrator.resources import SECRETS
from oc.od.orchestrator.usersecrets import WRITTEN, SecretStore, delete_secret, purpose, written
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

LOGIN_SECONDS = 20.0
PAUSE_SECONDS = 0.2


class LoginSecrets:
    """Writes the secrets of logins. ``executor`` writes those of one login beside each other."""

    def __init__(self, settings: Settings, client: KubernetesClient, store: SecretStore, executor: Executor) -> None:
        self._settings = settings
        self._client = client
        self._store = store
        self._executor = executor

    def write(self, login: Login) -> None:
        """Write every secret of a login: over what the user has, which one list tells, else new ones.

        Raises KubernetesError (or ManifestError) when a required one cannot be written: no desktop could start.
        """
        identity, deadline = login.identity, Deadline(LOGIN_SECONDS)
        drafts = manifests.login_secrets(self._settings, login)
        stored = [] if login.new_user else self._stored(identity, deadline)
        first, *others = [(identity, draft, _of_draft(draft, stored), deadline) for draft in drafts]
        jobs = [self._executor.submit(self._attempt, *one) for one in others]
        # The first in this thread, which would only wait.
        failures = [self._attempt(*first), *(job.result() for job in jobs)]
        for failure in failures:
            if failure is not None:
                raise failure

    def _stored(self, identity: Identity, deadline: Deadline) -> list[Json]:
        """The user's secrets but those being deleted, that of the last login last."""
        selector = selectors.secret_selector(self._settings, identity)
        found = self._client.items(SECRETS, selector, deadline=deadline)
        return sorted((obj for obj in found if not obj["metadata"].get("deletionTimestamp")), key=written)

    def _attempt(
        self, identity: Identity, draft: SecretDraft, stored: Sequence[Json], deadline: Deadline
    ) -> ODError | None:
        """Write one secret; returns why that failed, if it is a required one."""
        try:
            self._write(identity, draft, stored, deadline)
        except ODError as error:
            logger.error("secret %s of a login cannot be written: %s", draft.manifest["metadata"]["name"], error)
            return error if draft.required else None
        return None

    def _write(self, identity: Identity, draft: SecretDraft, stored: Sequence[Json], deadline: Deadline) -> None:
        """Write over the last of the ``stored`` ones for this purpose and remove the others; create it without any.

        Who removes one has written another after both were read, and removes it only as it was read: of logins that
        run at once none removes what another one has written.
        """
        metadata = {**draft.manifest["metadata"], "annotations": {WRITTEN: datetime.now(UTC).isoformat()}}
        body = {**draft.manifest, "metadata": metadata}
        if not stored or not self._replace(stored[-1], body, deadline):
            self._create(identity, body, draft.other_name, deadline)
            return
        for obj in stored[:-1]:
            try:
                delete_secret(self._client, obj, deadline)
            except ODError as error:
                logger.warning("a second secret %s stays for now: %s", obj["metadata"]["name"], error)

    def _create(self, identity: Identity, body: Json, other_name: str, deadline: Deadline) -> None:
        """Create the secret, or write over it where a login at the same time has created it.

        A secret of that name that is somebody else's is left alone; the other name is taken then.
        """
        for name in (body["metadata"]["name"], other_name):
            named = {**body, "metadata": {**body["metadata"], "name": name}}
            if self._create_or_replace(identity, named, deadline):
                return
        raise KubernetesError(409, "AlreadyExists", "both names belong to another user", doing="write secret")

    def _create_or_replace(self, identity: Identity, body: Json, deadline: Deadline) -> bool:
        """False: the name is somebody else's."""
        name = body["metadata"]["name"]
        while True:
            try:
                self._client.create(SECRETS, body, deadline=deadline)
            except KubernetesError as error:
                if error.code != 409 and not error.maybe_done:
                    raise
            else:
                return True
            existing = self._store.get(name, deadline)
            if existing is not None:
                if not selectors.is_users(self._settings, identity, existing["metadata"].get("labels") or {}):
                    return False
                if self._replace(existing, body, deadline):
                    return True
            # deleted or made anew since it was read, or the lost POST never arrived
            _pause(deadline)

    def _replace(self, existing: Json, body: Json, deadline: Deadline) -> bool:
        """Give that very object new data and labels; False when it is not there any more."""
        try:
            self._client.patch(
                SECRETS,
                existing["metadata"]["name"],
                _replacement(existing, body),
                content_type=JSON_PATCH,
                repeat=True,
                deadline=deadline,
            )
        except KubernetesError as error:
            if error.code not in (404, 409, 422):
                raise
            return False
        return True


def _of_draft(draft: SecretDraft, stored: Sequence[Json]) -> list[Json]:
    """Those of the user's secrets that are for the same purpose.

    A share's secret is known by its name: rules of several labels may name one place.
    """
    names = (draft.manifest["metadata"]["name"], draft.other_name)
    wanted = purpose(draft.manifest)
    if wanted is not None and wanted[0] == "driver":
        wanted = None
    return [obj for obj in stored if obj["metadata"]["name"] in names or (wanted and purpose(obj) == wanted)]


def _pause(deadline: Deadline) -> None:
    """Before another try: an API server whose cache lags must not be asked in a busy loop.

    Raises DeadlineExceededError when no time is left.
    """
    time.sleep(random.uniform(0.5, 1.0) * deadline.cap(PAUSE_SECONDS))


def _replacement(existing: Json, body: Json) -> list[dict[str, Any]]:
    """A JSON patch to new data and labels that applies to that very object only."""
    labels = (existing["metadata"].get("labels") or {}) | body["metadata"]["labels"]
    annotations = (existing["metadata"].get("annotations") or {}) | body["metadata"]["annotations"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": existing["metadata"]["uid"]},
        {"op": "add", "path": "/metadata/labels", "value": labels},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "add", "path": "/data", "value": body.get("data") or {}},
    ]
