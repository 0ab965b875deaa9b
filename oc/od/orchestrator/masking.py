"""Pods shown to operators, without what would open a user's desktop."""

from __future__ import annotations

from oc.od.orchestrator.client import Json

MASK = "***"
SECRET_LABELS = frozenset(("xauthkey", "pulseaudio_cookie", "broadcast_cookie"))
SECRET_VARIABLES = frozenset(("XAUTH_KEY", "PULSEAUDIO_COOKIE", "BROADCAST_COOKIE", "ABCDESKTOP_AUTHORIZEDKEY"))
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def masked_pod(pod: Json) -> Json:
    """``pod`` with cookies masked in labels and environment, without managedFields. Shares with it what is the same."""
    metadata = {key: value for key, value in pod["metadata"].items() if key != "managedFields"}
    metadata["labels"] = {
        key: MASK if key in SECRET_LABELS else value for key, value in (metadata.get("labels") or {}).items()
    }
    shown = {**pod, "metadata": metadata}
    if "spec" in pod:
        containers = {
            kind: [_masked(one) for one in pod["spec"][kind]] for kind in _CONTAINERS if pod["spec"].get(kind)
        }
        shown["spec"] = {**pod["spec"], **containers}
    return shown


def _masked(container: Json) -> Json:
    variables = container.get("env")
    if not variables:
        return container
    return {
        **container,
        "env": [
            {**one, "value": MASK} if one.get("name") in SECRET_VARIABLES and "value" in one else one
            for one in variables
        ],
    }
