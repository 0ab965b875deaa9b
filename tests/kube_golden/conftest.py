"""A development cluster as slow as a small real one: what the records are held against.

`KUBE_GOLDEN_KUBECONFIG=FILE` names a real cluster to hold them against instead (an administrator's kubeconfig).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.cluster.node import realistic_options

ROOT = Path(__file__).parent.parent.parent
REAL = os.environ.get("KUBE_GOLDEN_KUBECONFIG")


@pytest.fixture
def golden_kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """The administrator's kubeconfig of a fresh cluster."""
    if REAL:
        yield Path(REAL)
        return
    options = tmp_path / "node.json"
    options.write_text(json.dumps(realistic_options()), encoding="utf-8")
    command = [sys.executable, "-m", "devstack.cluster", "--tls", "--state", str(tmp_path / "state")]
    process = subprocess.Popen(
        [*command, "--node-options", str(options)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )
    assert process.stdout is not None
    try:
        yield Path(json.loads(process.stdout.readline())["kubeconfig"])
    finally:
        process.terminate()
        assert process.wait(timeout=15) == 0
        process.stdout.close()
