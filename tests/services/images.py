"""Docker descriptions of images for these tests."""

from __future__ import annotations

import hashlib
from typing import Any


def image(tag: str, **labels: str) -> dict[str, Any]:
    """A description as ``docker inspect`` gives it; its digest depends on the tag and the labels."""
    name = tag.rpartition("/")[2].partition(":")[0]
    given = {"oc.name": name, "oc.launch": f"{name}.X", "oc.icon": "i.svg", "oc.path": f"/usr/bin/{name}"}
    given |= {f"oc.{label}": text for label, text in labels.items()}
    return {
        "Id": "sha256:" + digest(tag, **labels),
        "RepoTags": [tag],
        "Created": "2026-08-21T00:33:12Z",
        "Config": {"Cmd": ["/composer/appli-docker-entrypoint.sh"], "Labels": given},
        "Architecture": "amd64",
        "Os": "linux",
    }


def digest(tag: str, **labels: str) -> str:
    """The hex digest of that description."""
    return hashlib.sha256(repr((tag, sorted(labels.items()))).encode()).hexdigest()
