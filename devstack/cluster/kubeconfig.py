"""kubeconfig files."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import yaml

from devstack.cluster.objects import Object


def write_kubeconfig(
    path: Path, server: str, token: str, namespace: str = "default", *, ca_pem: str = "", user: str = "devstack"
) -> Path:
    """Write a kubeconfig with one cluster, one user (a bearer token) and one context; mode 0600."""
    cluster: Object = {"server": server}
    if ca_pem and server.startswith("https:"):
        cluster["certificate-authority-data"] = base64.b64encode(ca_pem.encode()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "devstack", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "devstack", "context": {"cluster": "devstack", "user": user, "namespace": namespace}}],
        "current-context": "devstack",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump(document, file, sort_keys=False)
    return path
