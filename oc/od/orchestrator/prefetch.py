"""Images pulled before somebody needs them: one short-lived pod a node (spec orchestration.md 7.8)."""

from __future__ import annotations

import copy
import hashlib
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import msgspec

from oc.errors import BadRequestError, ODError
from oc.model import names
from oc.model.deadline import Deadline
from oc.od.orchestrator.client import Json, KubernetesClient
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.podmodel import PULL
from oc.od.orchestrator.resources import NODES, PODS
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

WORKERS: Final = 2
MAX_WAITING: Final = 256
PREFETCH_SECONDS: Final = 60.0
PULL_SECONDS: Final = 1800
NOBODY: Final = 65534
ANYWHERE: Final = "localhost"
_NODE: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LIST: Final[msgspec.json.Decoder[Json]] = msgspec.json.Decoder(dict[str, Any])


class Image(Protocol):
    """What is needed of a catalogue entry: the reference to pull, and the digest of its contents."""

    @property
    def id(self) -> str: ...
    @property
    def sha_id(self) -> str: ...


def pull_pod(settings: Settings, image: str, digest: str, node: str | None) -> Json:
    """The pod that has a node pull ``image``. node: None lets the scheduler choose among the nodes of desktops.

    digest: tells versions of the same tag apart. The pod ends by itself, at the latest after half an hour.
    """
    mark = hashlib.sha256(f"{image}\0{digest}\0{node}".encode()).hexdigest()[:10]
    shared = settings.pod.spec
    spec: Json = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "activeDeadlineSeconds": PULL_SECONDS,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "pull",
                "image": image,
                "imagePullPolicy": "Always",
                "command": ["true"],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
    if shared.image_pull_secrets:
        spec["imagePullSecrets"] = [copy.deepcopy(dict(one)) for one in shared.image_pull_secrets]
    if shared.tolerations:
        spec["tolerations"] = [copy.deepcopy(dict(one)) for one in shared.tolerations]
    if node is not None:
        spec["nodeName"] = node
    elif settings.desktop.nodeselector:
        spec["nodeSelector"] = dict(settings.desktop.nodeselector)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.object_name("pull", image, node or ANYWHERE, mark),
            "namespace": settings.kubernetes.namespace,
            "labels": {"type": PULL},
        },
        "spec": spec,
    }


class Prefetcher:
    """Creates the pods in the background; the pod watcher deletes them when they have ended."""

    def __init__(self, settings: Settings, client: KubernetesClient) -> None:
        self._settings = settings
        self._client = client
        self._pool = ThreadPoolExecutor(WORKERS, "prefetch")
        self._room = threading.BoundedSemaphore(MAX_WAITING)
        self._told = False

    def pull(self, image: Image, node: str | None) -> bool:
        """Have ``image`` pulled on ``node``, or on every node of desktops; False when too much waits already.

        Returns at once. Raises BadRequestError for what is no name of a node.
        """
        if node and not _NODE.fullmatch(node):
            raise BadRequestError("invalid parameter node: the name of a node is expected")
        if not self._room.acquire(blocking=False):
            logger.warning("image %s is not pulled in advance: too many wait", image.id)
            return False
        try:
            future = self._pool.submit(self._work, image.id, image.sha_id, node or None)
        except RuntimeError:  # stopping
            self._room.release()
            return False
        future.add_done_callback(lambda _: self._room.release())
        return True

    def stop(self) -> None:
        """Drop what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, image: str, digest: str, node: str | None) -> None:
        deadline = Deadline(PREFETCH_SECONDS)
        try:
            for one in [node] if node else self._nodes(deadline):
                self._create(image, digest, one, deadline)
        except ODError as error:
            logger.warning("image %s is not pulled in advance: %s", image, error)

    def _create(self, image: str, digest: str, node: str | None, deadline: Deadline) -> None:
        try:
            self._client.create(PODS, pull_pod(self._settings, image, digest, node), deadline=deadline)
        except KubernetesError as error:
            if error.code == 409:
                logger.info("image %s is being pulled already", image)
            elif error.code == 0 or error.code >= 500:
                raise
            else:
                logger.warning("image %s is not pulled on %s: %s", image, node or "any node", error)

    def _nodes(self, deadline: Deadline) -> list[str | None]:
        """The nodes of desktops; ``[None]``, wherever the scheduler likes, without the right to see nodes."""
        selector = ",".join(f"{key}={value}" for key, value in self._settings.desktop.nodeselector.items())
        try:
            found = self._client.page(NODES, selector, _LIST, deadline=deadline).get("items") or ()
        except KubernetesError as error:
            if error.code not in (401, 403):
                raise
            if not self._told:
                self._told = True
                logger.warning("%s: images are pulled in advance on one node only", error)
            return [None]
        return [one["metadata"]["name"] for one in found if not (one.get("spec") or {}).get("unschedulable")]
