"""A catalogue as large as the shipped one, made up: sizes of descriptions and icons are those of published images."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

SHIPPED = 116
_CATEGORIES = ("office", "games", "graphics", "utilities", "development", "education")
_DOCUMENT_BYTES = 15_000
_ICON_BYTES = 9_000


def documents(count: int = SHIPPED) -> list[dict[str, Any]]:
    """``docker inspect`` of ``count`` images, always the same. Every fourth runs as a pod of its own.

    The shipped catalogue is 1.76 MB in one list (http-api.md 2.5), which makes 15 kB a document.
    """
    chance = random.Random(count)
    return [_document(number, chance) for number in range(count)]


def image(number: int) -> str:
    """The id of an application; 0, 4, 8 ... are pods."""
    return f"bench.local/app{number}.d:1.0"


def _document(number: int, chance: random.Random) -> dict[str, Any]:
    icon = base64.b64encode(b"<svg>" + chance.randbytes(_ICON_BYTES * 3 // 4) + b"</svg>").decode()
    labels = {
        "oc.type": "app",
        "oc.name": f"app{number}",
        "oc.displayname": f"Application {number}",
        "oc.launch": f"app{number}.app{number}",
        "oc.path": f"/usr/bin/app{number}",
        "oc.icon": f"app{number}.svg",
        "oc.icondata": icon,
        "oc.keyword": f"app{number},{chance.choice(_CATEGORIES)}",
        "oc.cat": chance.choice(_CATEGORIES),
        "oc.mimetype": f"application/x-app{number};text/plain;",
        "oc.acl": json.dumps({"permit": ["all"]}),
        "oc.containerengine": "ephemeral_container" if number % 4 else "pod_application",
    }
    document: dict[str, Any] = {
        "Id": f"sha256:{chance.randbytes(32).hex()}",
        "RepoTags": [image(number)],
        "Created": "2026-01-10T09:00:00Z",
        "Architecture": "amd64",
        "Os": "linux",
        "Config": {"Cmd": ["/composer/appli-docker-entrypoint.sh"], "Env": ["PATH=/usr/bin:/bin"], "Labels": labels},
    }
    layers = document["RootFS"] = {"Type": "layers", "Layers": []}
    while len(json.dumps(document)) < _DOCUMENT_BYTES:
        layers["Layers"] += [f"sha256:{chance.randbytes(32).hex()}" for _ in range(10)]
    return document
