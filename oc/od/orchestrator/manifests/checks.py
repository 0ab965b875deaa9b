"""Last look at a built pod: what the API server would refuse is found here, with a text that helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from oc.model import names
from oc.od.orchestrator.manifests.types import ManifestError


def check_pod(pod: Mapping[str, Any]) -> None:
    """Raise ManifestError for a bad name or label, a duplicate, a mount without volume, a null in an environment."""
    metadata, spec = pod["metadata"], pod["spec"]
    _names([metadata["name"]], "pod")
    for key, value in metadata.get("labels", {}).items():
        if not isinstance(value, str) or not names.is_label_value(value) or names.label_key(key) != key:
            raise ManifestError(f"the label {key!r} of the pod is not valid")
    volumes = [volume["name"] for volume in spec.get("volumes", [])]
    _names(volumes, "volume")
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    _names([container["name"] for container in containers], "container")
    for container in containers:
        check_container(container, volumes)


def check_container(container: Mapping[str, Any], volumes: Iterable[str]) -> None:
    """Raise ManifestError when a container is not complete or mounts what ``volumes`` does not have."""
    name = container["name"]
    if not container.get("image"):
        raise ManifestError(f"there is no image for the container {name}")
    known = set(volumes)
    paths: set[str] = set()
    for mount in container.get("volumeMounts", []):
        path = mount["mountPath"]
        if mount["name"] not in known:
            raise ManifestError(f"{name} mounts the volume {mount['name']}, which the pod does not have")
        if path in paths or ":" in path:
            raise ManifestError(f"{name} cannot mount {mount['name']} at {path}")
        paths.add(path)
    seen: set[str] = set()
    for variable in container.get("env", []):
        if variable["name"] in seen or ("valueFrom" not in variable and not isinstance(variable.get("value"), str)):
            raise ManifestError(f"the environment variable {variable['name']} of {name} is not valid")
        seen.add(variable["name"])


def _names(given: list[str], what: str) -> None:
    for name in given:
        if not names.is_dns_label(name):
            raise ManifestError(f"{name[:80]!r} is not a valid {what} name")
    if len(set(given)) != len(given):
        raise ManifestError(f"a {what} name is used twice")
