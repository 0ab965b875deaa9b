"""What pyos relies on, one call at a time: the client's checks and the recorded exchanges."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from conformance.cluster import ROOT, Cluster, ClusterError
from conformance.report import Report
from tests.kube_golden.kubewire import Server
from tests.kube_golden.replay import replay

PROBE = ROOT / "tests" / "kube_golden" / "probes" / "check_client.py"
PROBE_SECONDS = 600
TOPICS = ("patches", "selectors", "secrets-configmaps", "pod-validation", "pvc", "errors", "watch")
"""Recorded exchanges that need no program in a container and nobody else's rights. Compared are status codes: texts
differ from one release of Kubernetes to the next, and pyos reads none.
"""
NEEDS = frozenset(("kubelet", "scheduler", "controllers", "apps"))


def client_checks(cluster: Cluster, image: str, report: Report) -> None:
    """The official client's checks, in the namespace ``probe``."""
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROBE), "--kubeconfig", str(cluster.kubeconfig), "--image", image],
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS,
        check=False,
    )
    lines = answer.stdout.splitlines()
    failed = [line for line in lines if line.startswith("FAIL")]
    for line in failed:
        report.say(f"      {line}")
    good = answer.returncode == 0 and not failed
    passed = sum(line.startswith("PASS") for line in lines)
    report.result("checks with the official client", good, f"{passed} hold" if good else answer.stderr[-300:])


def recorded_exchanges(cluster: Cluster, report: Report, topics: tuple[str, ...] = TOPICS) -> None:
    """The records of each topic, in the namespace ``golden-TOPIC``."""
    with contextlib.closing(Server(str(cluster.kubeconfig))) as server:
        for topic in topics:
            try:
                wrong = [
                    (name, text)
                    for name, differences in replay(server, topic, NEEDS)
                    for text in differences
                    if "/status" in text.split(":")[0] and "/body" not in text.split(":")[0]
                ]
            finally:
                _remove(cluster, f"golden-{topic}")
            for name, text in wrong:
                report.say(f"      {name}: {text}")
            report.result(
                f"recorded exchanges: {topic}", not wrong, f"{len(wrong)} status codes differ" if wrong else ""
            )


def _remove(cluster: Cluster, namespace: str) -> None:
    with contextlib.suppress(ClusterError):
        cluster.call("DELETE", f"/api/v1/namespaces/{namespace}")


def kubeconfig_path(text: str) -> Path:
    """The kubeconfig to use. Raises ValueError when there is none."""
    path = Path(text).expanduser()
    if not text or not path.is_file():
        raise ValueError("name a kubeconfig: make conformance KUBECONFIG=FILE")
    return path.resolve()
