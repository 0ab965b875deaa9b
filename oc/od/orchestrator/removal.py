"""Removing a desktop with everything that belongs to it (spec orchestration.md 8.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.owner import Owner
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import APPLICATION, DESKTOP, POD_LIST, Pod
from oc.od.orchestrator.resources import CONFIGMAPS, PODS, SECRETS
from oc.od.orchestrator.storage import HomeStorage
from oc.od.orchestrator.usersecrets import delete_secret
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

REMOVAL_SECONDS = 30.0
GONE_SECONDS = 120.0


class RemovalError(ODError):
    """Part of a user's objects could not be deleted; ``message`` names the kinds."""


class Remover:
    """Deletes what belongs to a desktop. ``executor`` runs the deletions of one removal beside each other,
    ``background`` what takes longer than a request.
    """

    def __init__(
        self,
        settings: Settings,
        client: KubernetesClient,
        cache: PodCache,
        storage: HomeStorage,
        executor: Executor,
        background: Executor,
    ) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._storage = storage
        self._executor = executor
        self._background = background

    def remove(self, owner: Owner) -> bool:
        """Delete the user's desktop, application pods, secrets, config maps and, if configured, claims.

        Returns whether there was a desktop pod. Raises RemovalError when any part failed; the rest is done anyway.
        """
        deadline = Deadline(REMOVAL_SECONDS)
        pods = self._pods(owner, deadline)
        desktops = [pod for pod in pods if pod.kind == DESKTOP]
        going = [pod for pod in desktops if not pod.terminating]
        parts = [("desktop", self._start(self._delete_pod, pod, None, deadline)) for pod in going]
        parts += [
            ("application", self._start(self._delete_pod, pod, 0, deadline)) for pod in pods if pod.kind == APPLICATION
        ]
        failed = self._results(parts)
        if "desktop" not in failed:
            failed |= self._remove_belongings(owner, {pod.uid for pod in desktops}, deadline)
            self._remove_storage_later(owner, desktops)
        if failed:
            raise RemovalError(
                f"the desktop could not be removed completely: {', '.join(sorted(failed))}",
                doing=f"removing the objects of {owner.selector}",
            )
        return bool(desktops)

    def remove_pod(self, owner: Owner, pod: Pod, *, unchanged: bool) -> bool:
        """Delete this very desktop; what else belongs to ``owner`` too, unless there is another desktop.

        unchanged: only while nobody has written to the pod since it was read, so that a user who comes back in this
        moment (a resume patches the pod) keeps it. Returns False when it was gone or changed. Raises as ``remove``.
        """
        deadline = Deadline(REMOVAL_SECONDS)
        version = pod.metadata.resource_version if unchanged else None
        if not self._client.delete(
            PODS, pod.name, uid=pod.uid, version=version, propagation="Foreground", deadline=deadline
        ):
            return False
        self._cache.mark_terminating(pod.name, pod.uid)
        others = [one for one in self._pods(owner, deadline) if one.uid != pod.uid and not one.terminating]
        if any(one.kind == DESKTOP for one in others):
            return True
        failed = self._results([("application", self._start(self._delete_pod, one, 0, deadline)) for one in others])
        failed |= self._remove_belongings(owner, {pod.uid}, deadline)
        self._remove_storage_later(owner, [pod])
        if failed:
            raise RemovalError(
                f"the desktop could not be removed completely: {', '.join(sorted(failed))}",
                doing=f"removing what belongs to {pod.name}",
            )
        return True

    def _pods(self, owner: Owner, deadline: Deadline) -> list[Pod]:
        selector = f"{owner.selector},type in ({DESKTOP},{APPLICATION})"
        return self._client.page(PODS, selector, POD_LIST, deadline=deadline).items

    def _delete_pod(self, pod: Pod, grace: int | None, deadline: Deadline) -> bool:
        deleted = self._client.delete(
            PODS, pod.name, uid=pod.uid, grace=grace, propagation="Foreground", deadline=deadline
        )
        if grace == 0 or not deleted:
            self._cache.forget(pod.name, pod.uid)
        else:
            self._cache.mark_terminating(pod.name, pod.uid)
        return deleted

    def _remove_belongings(self, owner: Owner, gone: set[str], deadline: Deadline) -> set[str]:
        """Secrets and config maps, unless the user has got a new desktop meanwhile that mounts them."""
        try:
            others = [pod for pod in self._pods(owner, deadline) if pod.kind == DESKTOP and not pod.terminating]
            if any(pod.uid not in gone for pod in others):
                logger.info("the user has a new desktop already: the secrets stay")
                return set()
            secrets = self._client.items(SECRETS, owner.selector, deadline=deadline)
            maps = self._client.items(CONFIGMAPS, owner.selector, deadline=deadline)
        except ODError as error:
            logger.error("removal: the belongings of a user cannot be listed: %s", error)
            return {"secrets"}
        deletions = {
            obj["metadata"]["name"]: self._start(delete_secret, self._client, obj, deadline) for obj in secrets
        }
        parts = [("secrets", future) for future in deletions.values()]
        parts += [
            ("configmaps", self._start(self._delete_map, obj["metadata"]["name"], obj["metadata"]["uid"], deadline))
            for obj in maps
        ]
        failed = self._results(parts)
        deleted = {name for name, future in deletions.items() if not future.exception() and future.result()}
        return failed | self._end_late_starts(owner, gone, deleted, deadline)

    def _end_late_starts(self, owner: Owner, gone: set[str], deleted: set[str], deadline: Deadline) -> set[str]:
        """Pods that were created while this removal was going on: a desktop that waits for secrets which are deleted
        now would wait for ever, an application without a desktop would run for ever.
        """
        try:
            pods = [pod for pod in self._pods(owner, deadline) if not pod.terminating and pod.uid not in gone]
            if not pods:
                return set()
            there = {obj["metadata"]["name"] for obj in self._client.items(SECRETS, owner.selector, deadline=deadline)}
        except ODError as error:
            logger.error("removal: pods that were created meanwhile cannot be listed: %s", error)
            return {"desktop"}
        crippled = {pod.uid for pod in pods if pod.kind == DESKTOP and pod.secret_names & (deleted - there)}
        if all(pod.uid in crippled for pod in pods if pod.kind == DESKTOP):
            crippled |= {pod.uid for pod in pods if pod.kind == APPLICATION}
        late = [pod for pod in pods if pod.uid in crippled]
        for pod in late:
            logger.info("pod %s was created while its user's desktop was removed: deleting it", pod.name)
        return self._results(
            [
                ("desktop" if pod.kind == DESKTOP else "application", self._start(self._delete_pod, pod, 0, deadline))
                for pod in late
            ]
        )

    def _delete_map(self, name: str, uid: str, deadline: Deadline) -> bool:
        return self._client.delete(CONFIGMAPS, name, uid=uid, deadline=deadline)

    def _start(self, function: Callable[..., bool], *arguments: object) -> Future[bool]:
        return self._executor.submit(function, *arguments)

    @staticmethod
    def _results(parts: list[tuple[str, Future[bool]]]) -> set[str]:
        failed = set()
        for what, future in parts:
            try:
                future.result()
            except ODError as error:
                logger.error("removal of %s failed: %s", what, error)
                failed.add(what)
        return failed

    def _remove_storage_later(self, owner: Owner, desktops: list[Pod]) -> None:
        """Claims go when the pods that use them are gone, which takes their grace time: not within the request."""
        claims = sorted(
            {
                volume.persistent_volume_claim.claim_name
                for pod in desktops
                for volume in pod.spec.volumes
                if volume.persistent_volume_claim
            }
        )
        storage = self._settings.desktop.storage
        if claims and storage.removepersistentvolumeclaim and not isinstance(storage.persistentvolumeclaim, str):
            self._background.submit(self._remove_storage, owner, claims, [(pod.name, pod.uid) for pod in desktops])

    def _remove_storage(self, owner: Owner, claims: list[str], pods: list[tuple[str, str]]) -> None:
        deadline = Deadline(GONE_SECONDS)
        for name, uid in pods:
            self._cache.wait(name, lambda pod, uid=uid: pod is None or pod.uid != uid, deadline)  # type: ignore[misc]
        try:
            self._storage.remove(owner, claims, Deadline(REMOVAL_SECONDS))
        except KubernetesError as error:
            logger.error("the home claim of a removed desktop stays behind: %s", error)
