"""`make conformance` on the development cluster: what is promised of any cluster holds of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.checks import recorded_exchanges
from conformance.cluster import Cluster, ClusterError
from conformance.report import Report, StepError
from devstack.stack import Stack

ROOT = Path(__file__).parents[2]
RUNS_EVERYTHING: dict[str, Any] = {"images": [{"match": "*", "run": "command"}]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose containers run their commands; nothing of pyos is on it."""
    with Stack(tmp_path_factory.mktemp("cluster"), parts={"cluster"}, node_options=RUNS_EVERYTHING) as stack:
        assert stack.kubeconfig is not None
        yield Cluster(stack.kubeconfig)


def conformance(*arguments: str, timeout: float = 110) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "PYTHONWARNINGS")}
    return subprocess.run(
        [sys.executable, "-m", "conformance", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def namespaces(cluster: Cluster) -> set[str]:
    return {one["metadata"]["name"] for one in cluster.call("GET", "/api/v1/namespaces")["items"]}


def test_a_whole_session_holds_and_leaves_nothing(cluster: Cluster) -> None:
    before = namespaces(cluster)
    answer = conformance("--kubeconfig", str(cluster.kubeconfig), "--only", "session")
    lines = answer.stdout.splitlines()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    steps = [line for line in lines if line.startswith("PASS")]
    assert len(steps) >= 15
    for word in ("launch", "ephemeral container: stopped", "pod application: stopped", "log out", "garbage collection"):
        assert any(word in line for line in steps), word
    assert namespaces(cluster) == before


def test_recorded_exchanges_hold_and_their_namespaces_are_removed(cluster: Cluster) -> None:
    report = Report()
    recorded_exchanges(cluster, report, ("selectors", "patches"))
    assert (report.passed, report.failed) == (2, [])
    assert not [name for name in namespaces(cluster) if name.startswith("golden-")]


def test_a_status_code_that_differs_is_a_failure(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The namespace of the records is there already: making it is answered by a conflict."""
    with cluster.namespace("golden-selectors"):
        report = Report()
        recorded_exchanges(cluster, report, ("selectors",))
    assert report.failed == ["recorded exchanges: selectors"]
    assert "status codes differ" in capsys.readouterr().out


def test_a_session_that_does_not_hold_says_where_and_leaves_nothing(cluster: Cluster) -> None:
    before = namespaces(cluster)
    answer = conformance("--kubeconfig", str(cluster.kubeconfig), "--only", "session", "--image", " not an image ")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "FAIL  " in answer.stdout
    assert "the end of pyos's log" in answer.stdout
    assert "garbage collection" not in answer.stdout
    assert namespaces(cluster) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a kubeconfig"),
        (("--kubeconfig", "/nowhere"), "name a kubeconfig"),
        (("--kubeconfig", "/nowhere", "--only", "everything"), "parts are"),
    ],
)
def test_wrong_use_is_told(arguments: tuple[str, ...], words: str) -> None:
    answer = conformance(*arguments)
    assert answer.returncode == 2
    assert words in answer.stderr


def test_a_namespace_that_is_there_is_not_taken(cluster: Cluster) -> None:
    with pytest.raises(ClusterError) as caught, cluster.namespace("kube-system"):
        pytest.fail("somebody else's namespace was taken")
    assert caught.value.status == 409
    assert "kube-system" in namespaces(cluster)


def test_the_account_of_pyos_has_the_rights_of_deploy_and_no_more(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.namespace("rights-only") as name:
        pyos = Cluster(cluster.pyos_kubeconfig(name, tmp_path / "kubeconfig"))
        assert pyos.call("GET", f"/api/v1/namespaces/{name}/pods")["items"] == []
        for path in ("/api/v1/nodes", "/api/v1/namespaces/default/pods", f"/api/v1/namespaces/{name}/services"):
            with pytest.raises(ClusterError) as caught:
                pyos.call("GET", path)
            assert caught.value.status == 403
    assert name not in namespaces(cluster)


def test_a_step_that_does_not_hold_is_counted_and_ends_the_session(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    with report.step("the first"):
        pass
    with pytest.raises(StepError), report.step("the second"):
        raise StepError("something else came")
    assert (report.passed, report.failed) == (1, ["the second"])
    assert "FAIL  the second" in capsys.readouterr().out
