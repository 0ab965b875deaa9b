"""The claim behind a home directory: found, or made and waited for (spec orchestration.md 5.8.1)."""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Iterator, Mapping

import msgspec

from oc.model.deadline import Deadline
from oc.model.identity import Identity, PosixAccount
from oc.od.orchestrator.client import Json, KubernetesClient
from oc.od.orchestrator.errors import KubernetesError, LaunchFailedError
from oc.od.orchestrator.manifests import homes, selectors
from oc.od.orchestrator.manifests.types import HomeClaim, HomeVolume
from oc.od.orchestrator.owner import Owner
from oc.od.orchestrator.reflector import WATCH_EVENT
from oc.od.orchestrator.resources import CLAIMS, EVENTS, STORAGE_CLASSES, VOLUMES
from oc.od.orchestrator.starting import Progress
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

QUIET_SECONDS = 1.0
CREATE_ATTEMPTS = 4
RETRY_SECONDS = 0.3
LAZY_BINDING = "WaitForFirstConsumer"


class HomeStorage:
    """Prepares and removes the home volumes of users."""

    def __init__(self, settings: Settings, client: KubernetesClient) -> None:
        self._settings = settings
        self._client = client
        self._refused: set[str] = set()

    def prepare(
        self,
        identity: Identity,
        account: PosixAccount,
        locale: str,
        progress: Progress,
        deadline: Deadline,
        attributes: Mapping[str, str] | None = None,
    ) -> HomeVolume:
        """The home volume for a new desktop; a claim is created when configured so.

        attributes: what the login told of the user, for the templates.

        A claim that does not bind is told to the user and left to the scheduler: the pod waits for it.
        """
        uuid = secrets.token_hex(3)[:5]
        if not homes.needs_claim(self._settings):
            return homes.home_volume(self._settings, identity, account, uuid=uuid, locale=locale, attributes=attributes)
        wanted = homes.home_claim(self._settings, identity, account, uuid=uuid, locale=locale, attributes=attributes)
        claim = self.find(identity, wanted, deadline) or self._create(identity, wanted, progress, deadline)
        name = claim["metadata"]["name"]
        phase = self._phase_when_settled(claim, deadline)
        progress(f"b.Volume {name} is {phase}")
        return homes.home_volume(self._settings, identity, account, claim_name=name, uuid=uuid, locale=locale)

    def find(self, identity: Identity, wanted: HomeClaim, deadline: Deadline) -> Json | None:
        """The user's claim: by the name of the template, else the oldest with the user's labels."""
        named = self._get(wanted.claim["metadata"]["name"], deadline)
        if named is not None:
            owner = named["metadata"].get("labels") or {}
            if "access_userid" in owner and not selectors.is_users(self._settings, identity, owner):
                raise LaunchFailedError(
                    "the volume of your home directory belongs to somebody else",
                    doing=f"looking at claim {named['metadata']['name']}",
                )
            return named
        listed = self._client.items(CLAIMS, selectors.claim_selector(identity), deadline=deadline)
        found = [claim for claim in listed if not claim["metadata"].get("deletionTimestamp")]
        return min(found, key=lambda claim: claim["metadata"].get("creationTimestamp") or "", default=None)

    def remove(self, owner: Owner, claim_names: list[str], deadline: Deadline) -> None:
        """Delete the user's own claims of those names, then their volumes, as far as configured.

        Call it when no pod uses them any more.
        """
        storage = self._settings.desktop.storage
        if not (homes.needs_claim(self._settings) and storage.removepersistentvolumeclaim):
            return
        for name in claim_names:
            claim = self._get(name, deadline)
            if claim is None or not owner.has(claim["metadata"].get("labels") or {}):
                continue
            self._client.delete(CLAIMS, name, uid=claim["metadata"]["uid"], deadline=deadline)
            volume = claim["spec"].get("volumeName")
            if volume and storage.removepersistentvolume:
                self._remove_volume(volume, deadline)

    def _remove_volume(self, name: str, deadline: Deadline) -> None:
        try:
            self._client.delete(VOLUMES, name, deadline=deadline)
        except KubernetesError as error:
            if error.code != 403:
                raise
            self._optional_refused("persistentvolumes", error)

    def _get(self, name: str, deadline: Deadline) -> Json | None:
        try:
            claim = self._client.get(CLAIMS, name, deadline=deadline)
        except KubernetesError as error:
            if error.code == 404:
                return None
            raise
        return None if claim["metadata"].get("deletionTimestamp") else claim

    def _create(self, identity: Identity, wanted: HomeClaim, progress: Progress, deadline: Deadline) -> Json:
        claim = wanted.claim
        volume = wanted.volume
        if volume is not None and not self._create_volume(volume, deadline):
            spec = {key: value for key, value in claim["spec"].items() if value != volume["metadata"]["name"]}
            claim = {**claim, "spec": spec}
        for attempt in range(CREATE_ATTEMPTS):
            try:
                return self._client.create(CLAIMS, claim, deadline=deadline)
            except KubernetesError as error:
                if error.code != 409 and not error.maybe_done:
                    raise LaunchFailedError(
                        f"the volume of your home directory is refused: {error.api_message}"[:500],
                        doing=f"creating claim {claim['metadata']['name']}",
                    ) from error
            # The name decides: what an unanswered call made, or somebody else, is found by it.
            found = self.find(identity, wanted, deadline)
            if found is not None:
                return found
            time.sleep(deadline.cap(RETRY_SECONDS * (attempt + random.random())))
        raise LaunchFailedError("the volume of your home directory cannot be made, please try again")

    def _create_volume(self, volume: Json, deadline: Deadline) -> bool:
        """False when pyos may not create volumes."""
        name = volume["metadata"]["name"]
        try:
            self._client.create(VOLUMES, volume, deadline=deadline)
        except KubernetesError as error:
            if error.code == 403:
                return self._optional_refused("persistentvolumes", error)
            if error.code != 409 and not error.maybe_done:
                raise LaunchFailedError(
                    f"the volume of your home directory is refused: {error.api_message}"[:500],
                    doing=f"creating volume {name}",
                ) from error
            current = self._client.get(VOLUMES, name, deadline=deadline)
            if (current.get("status") or {}).get("phase") == "Released":
                self._client.patch(VOLUMES, name, {"spec": {"claimRef": None}}, repeat=True, deadline=deadline)
        return True

    def _optional_refused(self, what: str, error: KubernetesError) -> bool:
        if what not in self._refused:
            self._refused.add(what)
            logger.warning("%s: pyos has no right to, going on without", error)
        return False

    def _phase_when_settled(self, claim: Json, deadline: Deadline) -> str:
        """Wait until the claim is bound, or until that makes no sense; returns its phase."""
        phase = _phase(claim)
        if phase == "Bound" or self._binds_late(claim, deadline):
            return phase
        # Whatever happens here, the pod must have its time too: it waits for the claim itself.
        limit = deadline.sub(min(self._settings.kubernetes.bound_pvc_timeout, deadline.remaining() / 2))
        version, quiet, seen = claim["metadata"]["resourceVersion"], QUIET_SECONDS, 0
        while phase == "Pending" and not limit.expired and seen <= self._settings.kubernetes.bound_pvc_max_event:
            try:
                for change in self._changes(claim["metadata"]["name"], version, min(quiet, limit.cap(60.0)), limit):
                    version, seen, phase = change["metadata"]["resourceVersion"], seen + 1, _phase(change)
                    if phase != "Pending" or seen > self._settings.kubernetes.bound_pvc_max_event:
                        break
            except KubernetesError as error:
                if error.reason != "Silent" or (quiet == QUIET_SECONDS and self._waits_for_pod(claim, deadline)):
                    return phase
                quiet = 60.0
        return phase

    def _changes(self, name: str, version: str, silence: float, limit: Deadline) -> Iterator[Json]:
        stream = self._client.watch(
            CLAIMS,
            version,
            field_selector=f"metadata.name={name}",
            timeout_seconds=max(1, int(limit.remaining())),
            silence=silence,
        )
        try:
            for line in stream:
                event = WATCH_EVENT.decode(line)
                if event.type in ("ADDED", "MODIFIED"):
                    yield msgspec.json.decode(event.object)
                elif event.type != "BOOKMARK":
                    return
        finally:
            stream.close()

    def _binds_late(self, claim: Json, deadline: Deadline) -> bool:
        name = claim["spec"].get("storageClassName")
        if not name or "storageclasses" in self._refused:
            return False
        try:
            found = self._client.get(STORAGE_CLASSES, name, deadline=deadline)
        except KubernetesError as error:
            if error.code == 403:
                self._optional_refused("storageclasses", error)
            return False
        return found.get("volumeBindingMode") == LAZY_BINDING

    def _waits_for_pod(self, claim: Json, deadline: Deadline) -> bool:
        """Whether the claim's events say that it binds with its first pod: who may not read classes can know so."""
        selector = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.uid={claim['metadata']['uid']}"
        events = self._client.items(EVENTS, "", field_selector=selector, deadline=deadline)
        return any(event.get("reason") == LAZY_BINDING for event in events)


def _phase(claim: Json) -> str:
    return str((claim.get("status") or {}).get("phase") or "Pending")
