"""Pods shown to operators, without what would open a user's desktop."""

from __future__ import annotations

import copy

from oc.od.orchestrator.client import Json

MASK = "***"
SECRET_LABELS = frozenset(("xauthkey", "pulseaudio_cookie", "broadcast_cookie"))
SECRET_VARIABLES = frozenset(("XAUTH_KEY", "PULSEAUDIO_COOKIE", "BROADCAST_COOKIE", "ABCDESKTOP_AUTHORIZEDKEY"))
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def masked_pod(pod: Json) -> Json:
    """A copy of ``pod``: cookies masked in labels and environment, managedFields left out."""
    shown = copy.deepcopy(pod)
    metadata = shown["metadata"]
    metadata.pop("managedFields", None)
    metadata["labels"] = {
        key: MASK if key in SECRET_LABELS else value for key, value in (metadata.get("labels") or {}).items()
    }
    for kind in _CONTAINERS:
        for container in shown.get("spec", {}).get(kind) or ():
            for variable in container.get("env") or ():
                if variable.get("name") in SECRET_VARIABLES and "value" in variable:
                    variable["value"] = MASK
    return shown
