"""Creating a desktop: one deadline, one pod for a user whatever happens (spec orchestration.md 6.3)."""

from __future__ import annotations

import json
import logging
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo, Identity, PosixAccount
from oc.od.orchestrator.claiming import DesktopClaims
from oc.od.orchestrator.client import Json, KubernetesClient
from oc.od.orchestrator.errors import KubernetesError, LaunchFailedError
from oc.od.orchestrator.manifests import labels, network, posix, selectors
from oc.od.orchestrator.manifests.desktop import desktop_pod
from oc.od.orchestrator.manifests.types import Draw, HomeVolume
from oc.od.orchestrator.masking import masked_pod
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import DESKTOP, POD, POD_LIST, Pod, choose
from oc.od.orchestrator.resources import PODS
from oc.od.orchestrator.starting import PodStarter, PodVanishedError, Progress, StartWatch
from oc.od.orchestrator.storage import HomeStorage
from oc.od.orchestrator.usersecrets import SecretStore, UserSecrets, VncSecret
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

MAX_ROUNDS = 12
CLEANUP_SECONDS = 15.0
SUPERSEDED_SECONDS = 5.0


def utc_now() -> str:
    """Now as the annotation ``lastlogin_datetime`` has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def draw(suffix: str, now: str) -> Draw:
    """New cookies for a pod of that suffix."""
    return Draw(
        suffix=suffix,
        xauthkey=secrets.token_hex(15),
        pulseaudio_cookie=secrets.token_hex(16),
        broadcast_cookie=secrets.token_hex(24),
        now=now,
    )


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What a launch is made from. ``looked``: the user's pods were listed a moment ago, and the cache has them."""

    identity: Identity
    client: ClientInfo
    progress: Progress
    deadline: Deadline
    authorized_key: str | None = None
    timezone: str = ""
    looked: bool = False


@dataclass(frozen=True, slots=True)
class Launched:
    """A running desktop. ``created``: by this very call, not by another one that was joined.

    vnc: the secret its password is in, None when it has to be read (again).
    """

    pod: Pod
    vnc: VncSecret | None
    created: bool


class Launcher:
    """Creates desktops, or joins the creation somebody else began."""

    def __init__(
        self,
        settings: Settings,
        client: KubernetesClient,
        cache: PodCache,
        store: SecretStore,
        claims: DesktopClaims,
        storage: HomeStorage,
        starter: PodStarter,
        *,
        pod_level_resources: Callable[[], bool],
        now: Callable[[], str] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._store = store
        self._claims = claims
        self._storage = storage
        self._starter = starter
        self._pod_level_resources = pod_level_resources
        self._now = now
        self._sleep = sleep

    def launch(self, request: LaunchRequest) -> Launched:
        """Give the user one running desktop.

        Raises LaunchFailedError with a text for the user; what this call created is deleted again then.
        """
        home: HomeVolume | None = None
        taken: set[str] = set()
        for attempt in range(MAX_ROUNDS):
            found = self._store.read(request.identity, request.deadline, pods=True)
            pods = self._desktops(request, attempt)
            existing = choose(pods)
            if existing is not None:
                joined = self._join(request, existing, found.vnc)
                if joined is not None:
                    return joined
                continue
            account = self.account(found)
            if home is None:
                request.progress("b.Preparing storage")
                home = self._storage.prepare(
                    request.identity,
                    account,
                    request.client.locale,
                    request.progress,
                    request.deadline,
                    self._store.attributes(request.identity, account, request.deadline),
                )
            over = taken | {pod.name for pod in pods}
            claim = self._claims.claim(request.identity, found, account.uid, over, request.deadline)
            if claim is not None and claim.desktop is not None:
                launched = self._create(request, found, account, home, claim, taken)
                if launched is not None:
                    return launched
            if attempt > 1:
                self._sleep(min(request.deadline.cap(1.0), random.uniform(0.02, 0.1 * attempt)))
        raise LaunchFailedError("your desktop is being changed by another session, please try again")

    def _desktops(self, request: LaunchRequest, attempt: int) -> list[Pod]:
        """The user's desktop pods. They are not listed again right after a list that had none: what came up since
        has the name of the claim, and is found by that when the pod is posted.
        """
        user = labels.userid_label(request.identity.userid)
        if attempt == 0 and request.looked and not self._cache.of_user(user, DESKTOP):
            return []
        return self.live_desktops(request.identity, request.deadline)

    def live_desktops(self, identity: Identity, deadline: Deadline | None = None) -> list[Pod]:
        """The user's desktop pods of any phase, from the API, fed to the cache."""
        selector = selectors.desktop_selector(self._settings, identity)
        pods = self._client.page(PODS, selector, POD_LIST, deadline=deadline).items
        for pod in pods:
            self._cache.take(pod)
        return pods

    def manifest(
        self,
        request: LaunchRequest,
        found: UserSecrets,
        account: PosixAccount,
        home: HomeVolume,
        vnc: VncSecret,
    ) -> Json:
        """The desktop pod of that claim."""
        assert vnc.desktop is not None
        refs = [ref for ref in found.refs if ref.access_type != "vnc"] + [vnc.ref]
        built = desktop_pod(
            self._settings,
            request.identity,
            request.client,
            account,
            draw(vnc.desktop[-5:], self._now()),
            refs,
            home,
            network.network_rules(self._settings, request.identity.labels),
            pod_level_resources=self._pod_level_resources(),
            authorized_key=request.authorized_key,
            timezone=request.timezone or request.client.timezone,
        )
        for warning in built.warnings:
            logger.warning("desktop %s: %s", vnc.desktop, warning)
        return built.manifest

    def account(self, found: UserSecrets) -> PosixAccount:
        """The user's POSIX account. Raises LaunchFailedError when the login left nothing of it."""
        if found.count("localaccount") != 1:
            raise LaunchFailedError(
                "your account is not known here any more, please log in again",
                doing=f"found {found.count('localaccount')} localaccount secrets",
            )
        return posix.resolve_account(self._settings, found.data("posixaccount"), found.data("localaccount"))

    def _create(
        self,
        request: LaunchRequest,
        found: UserSecrets,
        account: PosixAccount,
        home: HomeVolume,
        claim: VncSecret,
        taken: set[str],
    ) -> Launched | None:
        """Create the claimed pod and wait for it; None when another round is needed."""
        manifest = self.manifest(request, found, account, home, claim)
        name = manifest["metadata"]["name"]
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("creating %s", json.dumps(masked_pod(manifest)))
        with self._starter.watching(name, request.progress) as watch:
            pod, ours = self._post(manifest, request)
            if not selectors.is_users(self._settings, request.identity, pod.labels):
                taken.add(name)
                return None
            if not ours:
                return None if not pod.usable else self._join(request, pod, claim)
            try:
                request.progress(f"b.Pod {name} accepted")
                needed = {ref.name for ref in found.refs} & pod.secret_names
                if not self._claims.holds(claim, request.identity, needed, request.deadline):
                    logger.warning("pod %s was given up while it was created: deleting it", name)
                    self.discard(pod)
                    return None
                return Launched(self._wait(watch, pod, request.deadline), claim, created=True)
            except BaseException:
                self.discard(pod)
                raise

    def _wait(self, watch: StartWatch, pod: Pod, deadline: Deadline) -> Pod:
        try:
            return watch.wait_running(pod.uid, deadline)
        except PodVanishedError as error:
            raise LaunchFailedError(error.message, doing=error.doing) from error

    def _post(self, manifest: Json, request: LaunchRequest) -> tuple[Pod, bool]:
        """POST the pod; returns it, or the one that has its name already, and whether it is the one of this call.

        The name is agreed on, so an answer that got lost is asked for by sending the pod again.
        """
        name = manifest["metadata"]["name"]
        while True:
            try:
                pod = self._client.create(PODS, manifest, deadline=request.deadline, decoder=POD)
                return self._cache.take(pod), True
            except KubernetesError as error:
                if error.code != 409 and not error.maybe_done:
                    raise LaunchFailedError(
                        f"the cluster refuses the desktop: {error.api_message or error.reason}"[:500],
                        doing=f"creating pod {name}",
                    ) from error
                last = error
            try:
                pod = self._client.get(PODS, name, deadline=request.deadline, decoder=POD)
            except KubernetesError as error:
                if error.code != 404:
                    raise
            else:
                self._cache.take(pod)
                key = manifest["metadata"]["labels"]["xauthkey"]
                return pod, pod.labels.get("xauthkey") == key
            if request.deadline.remaining() < 1:
                raise LaunchFailedError("the cluster does not answer, please try again") from last
            self._sleep(random.uniform(0.05, 0.2))

    def _join(self, request: LaunchRequest, pod: Pod, vnc: VncSecret | None) -> Launched | None:
        """Wait for a pod somebody else created; None when it was given up at once and a new round is due."""
        with self._starter.watching(pod.name, request.progress) as watch:
            try:
                running = watch.wait_running(pod.uid, request.deadline)
            except PodVanishedError as error:
                if error.after < SUPERSEDED_SECONDS:
                    return None
                raise LaunchFailedError(error.message, doing=error.doing) from error
            except LaunchFailedError:
                if self._is_orphan(pod):
                    self.discard(pod)
                raise
        if vnc is not None and vnc.desktop != running.name:
            vnc = None  # read before that pod was agreed on: its password is an earlier desktop's
        return Launched(running, vnc, created=False)

    def _is_orphan(self, pod: Pod) -> bool:
        """True when the launch that created the pod must be over, so that nobody else will clean up."""
        age = (datetime.now(UTC) - pod.created).total_seconds()
        return age > self._settings.kubernetes.create_pod_timeout

    def discard(self, pod: Pod) -> None:
        """Delete that very pod at once. Never raises an ODError: a failure is logged."""
        try:
            self._client.delete(PODS, pod.name, uid=pod.uid, grace=0, deadline=Deadline(CLEANUP_SECONDS))
        except ODError as error:
            logger.error("pod %s of a failed launch stays behind: %s", pod.name, error)
        else:
            self._cache.forget(pod.name, pod.uid)
            if claim := pod.secret_of("auth-vnc-"):
                logger.info("pod %s is deleted; its claim in %s stands", pod.name, claim)
