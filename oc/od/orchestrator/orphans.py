"""What a crash left behind: secrets, config maps, claims and application pods of users without a desktop.

A login writes secrets before there is a desktop, so nothing goes until the user's last login is long over: every
secret tells when it was written, and the youngest one speaks for all that belongs to the user.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.od.orchestrator.client import Json, KubernetesClient
from oc.od.orchestrator.manifests import homes
from oc.od.orchestrator.owner import owner_in
from oc.od.orchestrator.paging import each_pod
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import APPLICATION, DESKTOP, PULL, SHARED_SELECTOR, Pod
from oc.od.orchestrator.resources import CLAIMS, CONFIGMAPS, PODS, SECRETS, Resource
from oc.od.orchestrator.storage import HomeStorage
from oc.od.orchestrator.usersecrets import WRITTEN
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 120.0
PULL_AGE: Final = timedelta(hours=2)
PAGE: Final = 250
LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
OF_USERS: Final = "access_userid,access_type"
_LIST: Final[msgspec.json.Decoder[Json]] = msgspec.json.Decoder(dict[str, Any])


@dataclass(slots=True)
class Belongings:
    """What one user id has in the namespace; metadata only. ``newest``: when anything of it was written last."""

    secrets: list[Json] = field(default_factory=list)
    configmaps: list[Json] = field(default_factory=list)
    claims: list[Json] = field(default_factory=list)
    applications: list[Pod] = field(default_factory=list)
    newest: datetime = LONG_AGO

    def saw(self, when: datetime) -> None:
        """Take a time of writing into account."""
        self.newest = max(self.newest, when)


class OrphanSweeper:
    """Finds and deletes orphans. Several replicas may do it at once: each deletion names the object as it was read."""

    def __init__(self, settings: Settings, client: KubernetesClient, cache: PodCache, storage: HomeStorage) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._storage = storage

    def sweep(self, minimum_age: timedelta, now: datetime) -> Counter[str]:
        """Delete what is older than ``minimum_age`` and belongs to nobody's desktop; how many of each kind.

        The age is at least what a login and a launch may take. Raises ODError when the objects cannot be listed; what
        cannot be deleted is logged and left to the next sweep.
        """
        settings = self._settings
        least = timedelta(seconds=settings.jwt_user.exp + settings.kubernetes.create_pod_timeout)
        before = now - max(minimum_age, least)
        deadline = Deadline(SWEEP_SECONDS)
        users = self._belongings(deadline)
        # pods come last: whoever has made a desktop until now keeps all
        pods = self._pods(deadline)
        with_desktop = {pod.labels.get("access_userid", "") for pod in pods if pod.kind == DESKTOP}
        for pod in pods:
            if pod.kind == APPLICATION and not pod.terminating:
                found = users.setdefault(pod.labels.get("access_userid", ""), Belongings())
                found.applications.append(pod)
                found.saw(pod.created)
        removed: Counter[str] = Counter()
        for user, found in users.items():
            if user not in with_desktop and found.newest < before:
                self._remove(found, removed, deadline)
        for pod in pods:
            if pod.kind == PULL and not pod.terminating and pod.created < now - PULL_AGE:
                self._delete(PODS, pod.name, pod.uid, None, removed, deadline)
        return removed

    def _belongings(self, deadline: Deadline) -> dict[str, Belongings]:
        users: dict[str, Belongings] = {}
        prefix = f"{self._settings.kubernetes.namespace}/"
        for obj in self._pages(SECRETS, OF_USERS, deadline):
            if str(obj.get("type", "")).startswith(prefix):
                self._owner(users, obj).secrets.append(obj["metadata"])
        for obj in self._pages(CONFIGMAPS, OF_USERS, deadline):
            self._owner(users, obj).configmaps.append(obj["metadata"])
        if homes.needs_claim(self._settings) and self._settings.desktop.storage.removepersistentvolumeclaim:
            for obj in self._pages(CLAIMS, "access_userid,access_provider,access_providertype", deadline):
                self._owner(users, obj).claims.append(obj["metadata"])
        return users

    def _owner(self, users: dict[str, Belongings], obj: Json) -> Belongings:
        metadata = obj["metadata"]
        found = users.setdefault((metadata.get("labels") or {}).get("access_userid", ""), Belongings())
        found.saw(written(metadata))
        return found

    def _pages(self, resource: Resource, selector: str, deadline: Deadline) -> Iterator[Json]:
        continue_ = ""
        while True:
            page = self._client.page(resource, selector, _LIST, limit=PAGE, continue_=continue_, deadline=deadline)
            yield from page.get("items") or ()
            continue_ = (page.get("metadata") or {}).get("continue") or ""
            if not continue_:
                return

    def _pods(self, deadline: Deadline) -> list[Pod]:
        return list(each_pod(self._client, SHARED_SELECTOR, deadline=deadline))

    def _remove(self, found: Belongings, removed: Counter[str], deadline: Deadline) -> None:
        for pod in found.applications:
            self._delete(PODS, pod.name, pod.uid, None, removed, deadline)
        for resource, objects in ((SECRETS, found.secrets), (CONFIGMAPS, found.configmaps)):
            for metadata in objects:
                version = metadata["resourceVersion"]
                self._delete(resource, metadata["name"], metadata["uid"], version, removed, deadline)
        for metadata in found.claims:
            try:
                self._storage.remove(owner_in(metadata["labels"]), [metadata["name"]], deadline)
                removed["persistentvolumeclaims"] += 1
            except ODError as error:
                logger.warning("orphaned claim %s stays for now: %s", metadata["name"], error)

    def _delete(
        self,
        resource: Resource,
        name: str,
        uid: str,
        version: str | None,
        removed: Counter[str],
        deadline: Deadline,
    ) -> None:
        try:
            if self._client.delete(
                resource, name, uid=uid, version=version, grace=0 if resource is PODS else None, deadline=deadline
            ):
                logger.info("orphan deleted: %s %s", resource.plural, name)
                removed[resource.plural] += 1
            if resource is PODS:
                self._cache.forget(name, uid)
        except ODError as error:
            logger.warning("orphan %s %s stays for now: %s", resource.plural, name, error)


def written(metadata: Mapping[str, Any]) -> datetime:
    """When an object was created, or written by a login since; now for one without a readable date."""
    times = [metadata.get("creationTimestamp"), (metadata.get("annotations") or {}).get(WRITTEN)]
    found = [when for when in map(_time, times) if when is not None]
    return max(found, default=datetime.now(UTC))


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
