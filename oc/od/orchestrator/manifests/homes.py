"""The home directory volume, and the claim and volume made for it (orchestration.md 5.8.1)."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from typing import Any, Final

from oc.model import names
from oc.model.identity import Identity, PosixAccount
from oc.od.orchestrator.manifests import labels, naming, posix, selectors, templates
from oc.od.orchestrator.manifests.types import HomeClaim, HomeVolume, Json, ManifestError
from oc.od.settings import Settings

CLAIM: Final = "persistentVolumeClaim"
_TAG: Final = re.compile(r"\{\{[{&#^]?\s*([\w-]+)")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def needs_claim(settings: Settings) -> bool:
    """True when a claim has to be found or created before ``home_volume`` can be called."""
    storage = settings.storage
    return storage.homedirectorytype == CLAIM and isinstance(storage.persistentvolumeclaim, Mapping)


def wants_attributes(settings: Settings, identity: Identity, account: PosixAccount) -> bool:
    """True when a template of the home names something that only ``attributes`` can give."""
    storage = settings.storage
    used = {CLAIM: (storage.persistentvolumeclaim, storage.persistentvolume), "nfs": (storage.nfs,)}
    texts = used.get(storage.homedirectorytype or "", ())
    known = templates.storage_context(identity, account, uuid="")
    return any(name not in known for text in texts for name in _TAG.findall(str(text)))


def home_volume(
    settings: Settings,
    identity: Identity,
    account: PosixAccount,
    *,
    claim_name: str | None = None,
    uuid: str = "",
    locale: str = "",
    attributes: Mapping[str, str] | None = None,
) -> HomeVolume:
    """The volume of a user's home.

    claim_name: name of the claim found or created, when ``needs_claim``. uuid: 5 hex digits for ``desktop.nfs``.
    attributes: what the login told of the user, names for its template.
    Raises ManifestError when the configuration lacks what its home type needs.
    """
    storage = settings.storage
    kind = storage.homedirectorytype
    if kind == "hostPath":
        path = posixpath.join(storage.host_path_root, _host_directory(settings, identity))
        return HomeVolume({"hostPath": {"path": path, "type": "DirectoryOrCreate"}})
    if kind == "nfs":
        if not storage.nfs:
            raise ManifestError("desktop.homedirectorytype is 'nfs', but desktop.nfs is not set")
        context = templates.storage_context(identity, account, uuid=uuid, locale=locale, attributes=attributes)
        return HomeVolume({"nfs": templates.render(storage.nfs, context, templates.volume)})
    if kind == CLAIM:
        configured = storage.persistentvolumeclaim
        name = configured if isinstance(configured, str) else claim_name
        if not name:
            raise ManifestError("the claim of the home directory is not known")
        sub_path = names.user_object_name(identity.userid) if storage.persistentvolumeclaimforcesubpath else None
        return HomeVolume({"persistentVolumeClaim": {"claimName": name}}, sub_path)
    return HomeVolume({"emptyDir": {}})


def _host_directory(settings: Settings, identity: Identity) -> str:
    """One directory a user id; a user of an implicit provider, who may choose the id, never gets somebody else's.

    No user id gives a name with ``_``.
    """
    user = names.user_object_name(identity.userid)
    if selectors.is_implicit(settings, identity.provider):
        return f"{names.dns_name(identity.provider) or 'implicit'}_{user}"
    return user


def home_claim(
    settings: Settings,
    identity: Identity,
    account: PosixAccount,
    *,
    uuid: str,
    locale: str = "",
    attributes: Mapping[str, str] | None = None,
) -> HomeClaim:
    """Render the claim of a user's home, and its volume when there is a template; both see the same ``uuid``.

    Raises ManifestError when ``desktop.persistentvolumeclaim`` is no template.
    """
    storage = settings.storage
    if not isinstance(storage.persistentvolumeclaim, Mapping):
        raise ManifestError("desktop.persistentvolumeclaim is not a template")
    context = templates.storage_context(identity, account, uuid=uuid, locale=locale, attributes=attributes)
    made: Json | None = None
    if storage.persistentvolume:
        made = _object(storage.persistentvolume, "PersistentVolume", identity, context)
    claim = _object(storage.persistentvolumeclaim, CLAIM_KIND, identity, context)
    claim["metadata"]["namespace"] = settings.kubernetes.namespace
    if made is not None and not claim["spec"].get("volumeName"):
        claim["spec"]["volumeName"] = made["metadata"]["name"]
    return HomeClaim(claim, made)


CLAIM_KIND: Final = "PersistentVolumeClaim"


def _object(template: Mapping[str, Any], kind: str, identity: Identity, context: Mapping[str, Any]) -> Json:
    """A template is ``{metadata, spec}``; the 3.0 form, a bare spec, is taken too."""
    given = template if "spec" in template else {"spec": template}
    rendered = templates.render(given, context, templates.volume)
    metadata = dict(rendered.get("metadata") or {})
    wanted = str(metadata.get("name") or "")
    metadata["name"] = _object_name(wanted) if wanted else naming.claim_name(identity)
    own = {names.label_key(key): _label(str(value)) for key, value in (metadata.get("labels") or {}).items()}
    own.pop("", None)
    metadata["labels"] = {**own, **labels.claim_labels(identity)}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": rendered["spec"]}


def _label(value: str) -> str:
    return value if names.is_label_value(value) else names.label_value(value)


def _object_name(wanted: str) -> str:
    """A rendered name as it is when Kubernetes takes it, else a clean form that is still distinct."""
    if len(wanted) <= 253 and _SUBDOMAIN.fullmatch(wanted):
        return wanted
    clean = names.dns_name(wanted)[:54].strip("-") or "home"
    return f"{clean}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"


def mount_path(settings: Settings, account: PosixAccount) -> str:
    """Where the home volume is mounted: the home directory with ``desktop.appendpathtomounthomevolume`` joined."""
    home = posix.home_directory(settings, account)
    joined = posixpath.normpath(posixpath.join(home, settings.storage.appendpathtomounthomevolume))
    if joined in ("/", "//", "."):
        raise ManifestError("desktop.appendpathtomounthomevolume leads to the root directory")
    return joined
