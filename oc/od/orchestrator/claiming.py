"""Which pod is a user's desktop: agreed on through the user's ``vnc`` secret, with the API server as the arbiter.

Two launches of one user, in one process or in two replicas, must end in one pod. They agree on its *name* first: the
``vnc`` secret, whose name is fixed, carries it in an annotation. Creating that secret, or changing it with a
resourceVersion precondition, is atomic: one launch wins, the others read what it wrote. Then all of them may try to
create that one pod; the API accepts one and answers 409 to the others, who join. No lease, no clock, and a launcher
that dies anywhere leaves nothing the next one could not go on from.

A new name is agreed on only when the old one is over: its pod exists and is going away or failed, or the pod's
deletion by pyos cleared the annotation. A launcher so slow that it creates a pod of a name that was given up meanwhile
finds that out by reading the secret again, right after the creation, and deletes its own pod.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection

from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.manifests import naming
from oc.od.orchestrator.manifests import secrets as manifests
from oc.od.orchestrator.resources import SECRETS
from oc.od.orchestrator.usersecrets import CLAIMED_DESKTOP, SecretStore, UserSecrets, VncSecret, vnc_secret_from
from oc.od.settings import Settings

PASSWORD_LENGTH = 15
_ALPHABET = string.ascii_letters + string.digits


def draw_suffix() -> str:
    """Five random hex digits."""
    return secrets.token_hex(3)[:5]


def draw_password() -> str:
    """A VNC password."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))


class DesktopClaims:
    """Agrees on the name and the VNC password of a user's next desktop."""

    def __init__(self, settings: Settings, client: KubernetesClient, store: SecretStore) -> None:
        self._settings = settings
        self._client = client
        self._store = store

    def claim(
        self, identity: Identity, found: UserSecrets, uid: str, over: Collection[str], deadline: Deadline
    ) -> VncSecret | None:
        """The agreed secret; None when somebody else changed it meanwhile: read everything again.

        found: the user's secrets. uid: login name, part of pod names. over: names of pods that are no desktop any
        more, or are taken by somebody else.
        """
        current = found.vnc
        if current is None:
            return self._create(identity, uid, deadline)
        if self._stands(current, uid, over):
            return current
        return self._renew(identity, current, uid, deadline)

    def holds(self, claim: VncSecret, identity: Identity, needed: Collection[str], deadline: Deadline) -> bool:
        """True while the secret still names the same pod with the same password, and the secrets ``needed`` are there.

        A logout may delete them while the pod is created. It looks for such pods after it has deleted secrets, a
        launch looks for the secrets after it has created its pod: one of the two sees the other.
        """
        found = self._store.read(identity, deadline, pods=True)
        there = {ref.name: ref for ref in found.refs}
        current = next((vnc_secret_from(one) for one in found.objects if one["metadata"]["name"] == claim.name), None)
        if current is None or not there.keys() >= set(needed):
            return False
        return (current.desktop, current.password) == (claim.desktop, claim.password)

    def release(self, name: str, deadline: Deadline) -> None:
        """Clear the name in the secret ``name``: the next desktop is to be another one. No such secret is fine."""
        try:
            body = {"metadata": {"annotations": {CLAIMED_DESKTOP: None}}}
            self._client.patch(SECRETS, name, body, repeat=True, deadline=deadline)
        except KubernetesError as error:
            if error.code != 404:
                raise

    @staticmethod
    def _stands(current: VncSecret, uid: str, over: Collection[str]) -> bool:
        name = current.desktop
        return name is not None and name not in over and name == naming.pod_name(uid, name[-5:])

    def _create(self, identity: Identity, uid: str, deadline: Deadline) -> VncSecret | None:
        draft = manifests.vnc_secret(self._settings, identity, draw_password())
        metadata = {**draft.manifest["metadata"], "annotations": {CLAIMED_DESKTOP: naming.pod_name(uid, draw_suffix())}}
        made = self._store.create(identity, {**draft.manifest, "metadata": metadata}, draft.other_name, deadline)
        return vnc_secret_from(made) if made else None

    def _renew(self, identity: Identity, current: VncSecret, uid: str, deadline: Deadline) -> VncSecret | None:
        draft = manifests.vnc_secret(self._settings, identity, draw_password()).manifest
        body = {
            "metadata": {
                "resourceVersion": current.version,
                "labels": draft["metadata"]["labels"],
                "annotations": {CLAIMED_DESKTOP: naming.pod_name(uid, draw_suffix())},
            },
            "data": draft["data"],
        }
        try:
            return vnc_secret_from(self._client.patch(SECRETS, current.name, body, deadline=deadline))
        except KubernetesError as error:
            if error.code in (404, 409) or error.maybe_done:
                return None  # a lost answer included: what stands in the secret now is what counts
            raise
