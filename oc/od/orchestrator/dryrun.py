"""The desktop pod a user would get, asked of the API without writing anything (spec orchestration.md 10)."""

from __future__ import annotations

import logging
import secrets

from oc.errors import BadRequestError, ODError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo, Identity, PosixAccount
from oc.od.orchestrator.claiming import draw_password, draw_suffix
from oc.od.orchestrator.client import Json, KubernetesClient
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.launch import Launcher, LaunchRequest
from oc.od.orchestrator.manifests import homes, naming
from oc.od.orchestrator.manifests import secrets as secret_manifests
from oc.od.orchestrator.manifests.types import HomeVolume, SecretRef
from oc.od.orchestrator.masking import masked_pod
from oc.od.orchestrator.resources import CLAIMS, PODS, SECRETS, VOLUMES, Resource
from oc.od.orchestrator.storage import HomeStorage
from oc.od.orchestrator.usersecrets import SecretStore, UserSecrets, VncSecret
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

DRY_RUN_SECONDS = 30.0


class DryRun:
    """Goes the way of a launch with ``dryRun=All``: every write is checked by the API and none is kept."""

    def __init__(
        self,
        settings: Settings,
        client: KubernetesClient,
        launcher: Launcher,
        store: SecretStore,
        storage: HomeStorage,
    ) -> None:
        self._settings = settings
        self._client = client
        self._launcher = launcher
        self._store = store
        self._storage = storage

    def run(self, identity: Identity, client: ClientInfo) -> Json:
        """The pod as the API would store it, cookies masked.

        Raises BadRequestError with the API's words when it refuses one of the objects; other ODErrors when the
        cluster is away, or the user's account is not known any more.
        """
        deadline = Deadline(DRY_RUN_SECONDS)
        request = LaunchRequest(identity, client, lambda text: None, deadline)
        found = self._store.read(identity, deadline)
        account = self._launcher.account(found)
        try:
            home = self._home(request, found, account)
            vnc = self._vnc(identity, found, account, deadline)
            manifest = self._launcher.manifest(request, found, account, home, vnc)
            return masked_pod(self._client.create(PODS, manifest, deadline=deadline, dry_run=True))
        except KubernetesError as error:
            raise _refused(error) from error

    def _vnc(self, identity: Identity, found: UserSecrets, account: PosixAccount, deadline: Deadline) -> VncSecret:
        """The user's secret as it stands, else one the API would take; for a pod of a name of its own."""
        name = naming.pod_name(account.uid, draw_suffix())
        if found.vnc is not None:
            return VncSecret(found.vnc.name, found.vnc.version, found.vnc.password, name, found.vnc.ref)
        draft = secret_manifests.vnc_secret(self._settings, identity, draw_password()).manifest
        self._check(SECRETS, draft, deadline)
        ref = SecretRef(draft["metadata"]["name"], "vnc", "vnc")
        return VncSecret(ref.name, "", "", name, ref)

    def _home(self, request: LaunchRequest, found: UserSecrets, account: PosixAccount) -> HomeVolume:
        uuid, attributes = secrets.token_hex(3)[:5], found.attributes
        identity, locale = request.identity, request.client.locale
        name: str | None = None
        if homes.needs_claim(self._settings):
            wanted = homes.home_claim(
                self._settings, identity, account, uuid=uuid, locale=locale, attributes=attributes
            )
            claim = self._storage.find(identity, wanted, request.deadline)
            if claim is None:
                if wanted.volume is not None:
                    self._check(VOLUMES, wanted.volume, request.deadline)
                claim = wanted.claim
                self._check(CLAIMS, claim, request.deadline)
            name = claim["metadata"]["name"]
        return homes.home_volume(
            self._settings, identity, account, claim_name=name, uuid=uuid, locale=locale, attributes=attributes
        )

    def _check(self, resource: Resource, manifest: Json, deadline: Deadline) -> None:
        """Raises KubernetesError when the API would refuse it for another reason than that it exists, or its right
        is an optional one.
        """
        try:
            self._client.create(resource, manifest, deadline=deadline, dry_run=True)
        except KubernetesError as error:
            if error.code == 403 and resource is VOLUMES:
                logger.info("%s: pyos has no right to, a launch would go on without", error)
            elif error.code != 409:
                raise


def _refused(error: KubernetesError) -> ODError:
    if error.code in (0, 401, 403, 429) or error.code >= 500:
        return error
    return BadRequestError(f"the cluster refuses: {error.api_message or error.reason}"[:1000], doing=error.doing)
