"""Applications of a desktop: start, list, inspect and stop (spec orchestration.md 7)."""

from __future__ import annotations

import json
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from oc.errors import BadRequestError, ODError, ODResourceNotFoundError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo, Identity
from oc.od.orchestrator.client import PODS, STRATEGIC_PATCH, Json, KubernetesClient
from oc.od.orchestrator.desktop import Desktop
from oc.od.orchestrator.errors import ExecError, KubernetesError
from oc.od.orchestrator.execution import run_in_container
from oc.od.orchestrator.manifests import applications as manifests
from oc.od.orchestrator.manifests import labels, network, posix, selectors
from oc.od.orchestrator.manifests.types import (
    ApplicationRecord,
    ApplicationRequest,
    Built,
    HomeVolume,
)
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import APPLICATION, ContainerStatus, Pod
from oc.od.orchestrator.usersecrets import SecretStore
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

START_SECONDS = 30.0
OVERWRITE_SECONDS = 10.0
MAX_NAME_TRIES = 5
LISTED_TYPE = "ephemeralcontainer"
"""``type`` of ephemeral containers in lists: the word the front end tests (spec 13, point 4)."""


class CatalogueEntry(ApplicationRecord, Protocol):
    """What is needed of a catalogue entry (oc.od.apps)."""

    @property
    def containerengine(self) -> str: ...


class ApplicationRefusedError(ODError):
    """The cluster does not take the application; the message is the API's."""

    default_message = "the application is refused"


@dataclass(frozen=True, slots=True)
class ApplicationInstance:
    """A started application: its id for list, log and stop, its state, and its class."""

    container_id: str
    state: str
    type: str


@dataclass(frozen=True, slots=True)
class RunningApplication:
    """One entry of a list; see spec 7.6. ``reason``: why it waits or ended, for humans."""

    podname: str
    id: str
    short_id: str
    status: str
    type: str
    image: str
    command: tuple[str, ...] | None
    node: str | None
    reason: str = ""


def container_state(status: ContainerStatus | None) -> tuple[str, str]:
    """(status, reason) of an ephemeral container: Running, Waiting or Terminated."""
    if status is None:
        return "Waiting", ""
    state = status.state
    if state.terminated:
        return "Terminated", state.terminated.reason
    if state.running is not None:
        return "Running", ""
    return "Waiting", state.waiting.reason if state.waiting else ""


def pod_state(pod: Pod) -> tuple[str, str]:
    """(status, reason) of an application pod; Pending counts as Waiting."""
    if pod.terminating:
        return "Terminating", ""
    waiting = next((s.state.waiting.reason for s in pod.status.container_statuses if s.state.waiting), "")
    return ("Waiting" if pod.phase == "Pending" else pod.phase), pod.status.reason or waiting


class ApplicationLister:
    """Applications of a desktop out of the cache: no call."""

    def __init__(self, settings: Settings, cache: PodCache) -> None:
        self._settings = settings
        self._cache = cache

    def find(self, desktop: Desktop, identity: Identity) -> list[RunningApplication]:
        """All applications of the user, of both classes, whatever their state."""
        found: list[RunningApplication] = []
        pod = self._cache.get(desktop.name)
        if pod is not None and pod.uid == desktop.uid:
            found += ephemeral_applications(pod)
        found += [pod_application(pod) for pod in self._pods(identity)]
        return found

    def count_running(self, desktop: Desktop, identity: Identity) -> int:
        """Applications that run or are about to: what ``max_app_counter`` limits."""
        return sum(found.status in ("Running", "Waiting") for found in self.find(desktop, identity))

    def _pods(self, identity: Identity) -> list[Pod]:
        pods = self._cache.of_user(labels.identity_labels(identity)["access_userid"], APPLICATION)
        mine = [pod for pod in pods if selectors.is_users(self._settings, identity, pod.labels)]
        return sorted(mine, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.name))


def ephemeral_applications(pod: Pod) -> list[RunningApplication]:
    """The applications inside a desktop pod, in the order of its spec."""
    statuses = {status.name: status for status in pod.status.ephemeral_container_statuses}
    found = []
    for container in pod.spec.ephemeral_containers:
        status = statuses.get(container.name)
        state, reason = container_state(status)
        found.append(
            RunningApplication(
                podname=pod.name,
                id=container.name,
                short_id=status.container_id if status else "",
                status=state,
                type=LISTED_TYPE,
                image=container.image,
                command=tuple(container.command) if container.command is not None else None,
                node=pod.spec.node_name,
                reason=reason,
            )
        )
    return found


def pod_application(pod: Pod) -> RunningApplication:
    """An application pod as a list shows it."""
    state, reason = pod_state(pod)
    first = pod.spec.containers[0] if pod.spec.containers else None
    return RunningApplication(
        podname=pod.name,
        id=pod.name,
        short_id=pod.name,
        status=state,
        type=manifests.POD,
        image=first.image if first else "",
        command=tuple(first.command) if first and first.command is not None else None,
        node=pod.spec.node_name,
        reason=reason,
    )


@dataclass(frozen=True, slots=True)
class _Start:
    """What both classes are built from."""

    identity: Identity
    client: ClientInfo
    application: CatalogueEntry
    request: ApplicationRequest
    live: Json


class ApplicationRunner:
    """Starts applications: two reads and one write."""

    def __init__(
        self,
        settings: Settings,
        client: KubernetesClient,
        cache: PodCache,
        store: SecretStore,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._store = store
        self._sleep = sleep

    def run(
        self,
        desktop: Desktop,
        identity: Identity,
        application: CatalogueEntry,
        client: ClientInfo,
        args: str,
        timezone: str,
    ) -> ApplicationInstance:
        """Start the application in the desktop, or as a pod beside it, according to its class.

        Answers as soon as the cluster has accepted it. Raises BadRequestError for an unknown class,
        ODResourceNotFoundError when the desktop is gone, ApplicationRefusedError with the API's words.
        """
        deadline = Deadline(START_SECONDS)
        kind = application.containerengine
        if kind not in (manifests.EPHEMERAL, manifests.POD):
            raise BadRequestError(f"containerengine must be {manifests.EPHEMERAL} or {manifests.POD}")
        live = self._live(desktop, identity, deadline)
        overwrite = self._overwrite(desktop, kind, deadline)
        start = _Start(identity, client, application, ApplicationRequest(args, timezone, overwrite), live)
        if kind == manifests.EPHEMERAL:
            return self._ephemeral(start, deadline)
        return self._pod(start, deadline)

    def _live(self, desktop: Desktop, identity: Identity, deadline: Deadline) -> Json:
        try:
            live = self._client.get(PODS, desktop.name, deadline=deadline)
        except KubernetesError as error:
            if error.code == 404:
                raise ODResourceNotFoundError("desktop not found") from error
            raise
        if not selectors.is_users(self._settings, identity, live["metadata"].get("labels") or {}):
            raise ODResourceNotFoundError("desktop not found", doing="the desktop belongs to somebody else")
        return live

    def _built(self, start: _Start, build: Callable[..., Built], deadline: Deadline, *more: Any) -> Built:
        found = self._store.read(start.identity, deadline)
        account = posix.resolve_account(self._settings, found.data("posixaccount"), found.data("localaccount"))
        facts = manifests.desktop_facts(start.live)
        suffix = secrets.token_hex(3)[:5]
        built = build(
            self._settings,
            start.identity,
            start.client,
            account,
            start.application,
            start.request,
            facts,
            suffix,
            found.refs,
            home_of(start.live),
            *more,
        )
        for warning in built.warnings:
            logger.warning("application %s in %s: %s", start.application.name, facts.name, warning)
        return built

    def _ephemeral(self, start: _Start, deadline: Deadline) -> ApplicationInstance:
        built = self._built(start, manifests.ephemeral_container, deadline)
        taken = {one["name"] for one in start.live["spec"].get("ephemeralContainers") or ()}
        if built.manifest["name"] in taken:
            return self._ephemeral(start, deadline)
        name = built.manifest["name"]
        try:
            # A strategic merge by name: sent twice, it still adds one container.
            answer = self._client.patch(
                PODS,
                start.live["metadata"]["name"],
                manifests.ephemeral_patch(built.manifest),
                subresource="ephemeralcontainers",
                content_type=STRATEGIC_PATCH,
                repeat=True,
                deadline=deadline,
            )
        except KubernetesError as error:
            raise _refused(error) from error
        pod = self._cache.feed(answer)
        status = next((one for one in pod.status.ephemeral_container_statuses if one.name == name), None)
        state, reason = container_state(status)
        shown = "Application" if status is None else reason or state
        return ApplicationInstance(name, "Terminated" if state == "Terminated" else shown, manifests.EPHEMERAL)

    def _pod(self, start: _Start, deadline: Deadline) -> ApplicationInstance:
        rules = network.network_rules(self._settings, start.identity.labels, start.application.rules)
        built = self._built(start, manifests.application_pod, deadline, rules)
        for _ in range(MAX_NAME_TRIES):
            pod = self._post(built.manifest, deadline)
            if pod is not None:
                return ApplicationInstance(pod.name, pod.phase, manifests.POD)
            built = self._built(start, manifests.application_pod, deadline, rules)
        raise ApplicationRefusedError("no free name for the application, please try again", status=503)

    def _post(self, manifest: Json, deadline: Deadline) -> Pod | None:
        """POST; None when the name is taken by another pod."""
        lost = False
        while True:
            try:
                return self._cache.feed(self._client.create(PODS, manifest, deadline=deadline))
            except KubernetesError as error:
                if error.code == 409:
                    return self._own(manifest, deadline) if lost else None
                if not error.maybe_done or deadline.remaining() < 1:
                    raise _refused(error) from error
                lost = True
            self._sleep(random.uniform(0.05, 0.2))

    def _own(self, manifest: Json, deadline: Deadline) -> Pod | None:
        """After a lost answer: the pod of that name when it is the one that was sent."""
        try:
            live = self._client.get(PODS, manifest["metadata"]["name"], deadline=deadline)
        except KubernetesError as error:
            if error.code == 404:
                return None
            raise
        if live["metadata"].get("labels") != manifest["metadata"]["labels"]:
            return None
        return self._cache.feed(live)

    def _overwrite(self, desktop: Desktop, kind: str, deadline: Deadline) -> Mapping[str, Any]:
        """Variables printed by the configured script in the desktop; none when it fails, which is logged."""
        script = self._settings.desktop.overwrite_environment_variable_for_application
        if not script or desktop.container_name is None:
            return {}
        try:
            result = run_in_container(
                self._client,
                desktop.name,
                desktop.container_name,
                [script, "--type", kind],
                timeout=OVERWRITE_SECONDS,
                deadline=deadline,
            )
        except (ExecError, KubernetesError) as error:
            logger.warning("the overwrite script of %s cannot be run: %s", desktop.name, error.doing)
            return {}
        if result.exit_code != 0:
            logger.warning("the overwrite script of %s exits with %d", desktop.name, result.exit_code)
            return {}
        return overwrite_variables(result.stdout)


def overwrite_variables(output: bytes) -> dict[str, Any]:
    """The JSON of an overwrite script: a dict, or a list of dicts; anything else gives nothing."""
    try:
        found = json.loads(output or b"{}")
    except ValueError:
        logger.warning("the overwrite script prints no JSON")
        return {}
    merged: dict[str, Any] = {}
    for part in found if isinstance(found, list) else [found]:
        if isinstance(part, dict):
            merged.update(part)
    return merged


def home_of(pod: Mapping[str, Any]) -> HomeVolume:
    """The home volume a live desktop pod has: its applications get the same."""
    spec = pod["spec"]
    volumes: list[Json] = spec.get("volumes") or []
    volume = next((one for one in volumes if one["name"] == "home"), Json(emptyDir={}))
    source = {key: value for key, value in volume.items() if key != "name"}
    mounts: list[Json] = [
        mount for one in spec["containers"] if one["name"].startswith("x") for mount in one.get("volumeMounts") or ()
    ]
    mount = next((one for one in mounts if one["name"] == "home"), Json())
    return HomeVolume(source, mount.get("subPath"))


def _refused(error: KubernetesError) -> ODError:
    if error.code == 404:
        return ODResourceNotFoundError("desktop not found")
    if error.code in (0, 429) or error.code >= 500:
        return error
    return ApplicationRefusedError(
        f"the application is refused: {error.api_message or error.reason}"[:500], doing=error.doing
    )
