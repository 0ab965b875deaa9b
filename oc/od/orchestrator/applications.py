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
from oc.od.orchestrator.announcing import StartAnnouncer, Story
from oc.od.orchestrator.client import STRATEGIC_PATCH, Json, KubernetesClient
from oc.od.orchestrator.desktop import Desktop
from oc.od.orchestrator.errors import ExecError, KubernetesError
from oc.od.orchestrator.execution import run_in_container
from oc.od.orchestrator.listing import RunningApplication, container_state
from oc.od.orchestrator.manifests import applications as manifests
from oc.od.orchestrator.manifests import network, posix, selectors
from oc.od.orchestrator.manifests.types import (
    ApplicationRecord,
    ApplicationRequest,
    Built,
    HomeVolume,
)
from oc.od.orchestrator.notify import notify_user
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import POD, Pod
from oc.od.orchestrator.resources import PODS
from oc.od.orchestrator.usersecrets import SecretStore
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

START_SECONDS = 30.0
OVERWRITE_SECONDS = 10.0
MAX_NAME_TRIES = 5


class CatalogueEntry(ApplicationRecord, Protocol):
    """What is needed of a catalogue entry (oc.od.apps)."""

    @property
    def containerengine(self) -> str: ...
    @property
    def icon(self) -> str: ...
    @property
    def icondata(self) -> str: ...
    @property
    def launch(self) -> str: ...


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
        announcer: StartAnnouncer,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._store = store
        self._announcer = announcer
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
        found = self._store.read(start.identity, deadline, pods=True)
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
        story = self._announce(start, start.live["metadata"]["name"], name)
        try:
            # A strategic merge by name: sent twice, it still adds one container.
            pod = self._client.patch(
                PODS,
                start.live["metadata"]["name"],
                manifests.ephemeral_patch(built.manifest),
                subresource="ephemeralcontainers",
                content_type=STRATEGIC_PATCH,
                repeat=True,
                deadline=deadline,
                decoder=POD,
            )
        except KubernetesError as error:
            self._announcer.drop(story)
            raise _refused(error) from error
        self._cache.take(pod)
        status = next((one for one in pod.status.ephemeral_container_statuses if one.name == name), None)
        state, reason = container_state(status)
        shown = "Application" if status is None else reason or state
        return ApplicationInstance(name, "Terminated" if state == "Terminated" else shown, manifests.EPHEMERAL)

    def _pod(self, start: _Start, deadline: Deadline) -> ApplicationInstance:
        rules = network.network_rules(self._settings, start.identity.labels, start.application.rules)
        built = self._built(start, manifests.application_pod, deadline, rules)
        for _ in range(MAX_NAME_TRIES):
            name = built.manifest["metadata"]["name"]
            story = self._announce(start, name, name)
            try:
                pod = self._post(built.manifest, deadline)
            except ODError:
                self._announcer.drop(story)
                raise
            if pod is not None:
                self._end_without_desktop(pod, start, deadline)
                return ApplicationInstance(pod.name, pod.phase, manifests.POD)
            self._announcer.drop(story)
            built = self._built(start, manifests.application_pod, deadline, rules)
        raise ApplicationRefusedError("no free name for the application, please try again", status=503)

    def _end_without_desktop(self, pod: Pod, start: _Start, deadline: Deadline) -> None:
        """A removal may have looked for applications just before this one was made: it must not run for ever.

        Raises ODResourceNotFoundError.
        """
        metadata = start.live["metadata"]
        desktop = self._cache.get(metadata["name"])
        if not self._cache.was_deleted(metadata["uid"]) and (desktop is None or not desktop.terminating):
            return
        self._client.delete(PODS, pod.name, uid=pod.uid, grace=0, deadline=deadline)
        self._cache.forget(pod.name, pod.uid)
        raise ODResourceNotFoundError("desktop not found", doing="the desktop went while an application was started")

    def _announce(self, start: _Start, pod: str, name: str) -> Story | None:
        """Follow a start for the user's browser; ``name`` is that of the container, or of the pod."""
        application, desktop = start.application, start.live["metadata"]["name"]
        graphical = manifests.desktop_facts(start.live).graphical
        facts = {
            "name": application.name,
            "icon": application.icon,
            "icondata": application.icondata,
            "image": application.id,
            "launch": application.launch,
            "type": application.containerengine,
            "id": name,
        }
        kind = "ephemeralContainers" if application.containerengine == manifests.EPHEMERAL else "containers"
        return self._announcer.follow(
            application.containerengine,
            pod,
            f"spec.{kind}{{{name}}}",
            facts,
            lambda message: notify_user(self._client, desktop, graphical, "container", message),
        )

    def _post(self, manifest: Json, deadline: Deadline) -> Pod | None:
        """POST; None when the name is taken by another pod."""
        lost = False
        while True:
            try:
                return self._cache.take(self._client.create(PODS, manifest, deadline=deadline, decoder=POD))
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
            live = self._client.get(PODS, manifest["metadata"]["name"], deadline=deadline, decoder=POD)
        except KubernetesError as error:
            if error.code == 404:
                return None
            raise
        if live.labels != manifest["metadata"]["labels"]:
            return None
        return self._cache.take(live)

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
    except (ValueError, RecursionError):
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


__all__ = [
    "ApplicationInstance",
    "ApplicationRefusedError",
    "ApplicationRunner",
    "CatalogueEntry",
    "RunningApplication",
]
