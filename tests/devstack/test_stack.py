"""The stack as a whole: it starts, works over its real wires, stops, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config
from pymemcache.client.base import Client as MemcacheClient
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from devstack import cache
from devstack.children import ChildError
from devstack.clusterclient import ClusterError
from devstack.database import DATABASES
from devstack.stack import NAMESPACE, Ports, Stack
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
needs_memcached = pytest.mark.skipif(not cache.is_available(), reason="memcached is not installed")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# -- cluster ----------------------------------------------------------------------------------------------------------
def test_the_administrator_may_do_anything(stack: Stack) -> None:
    names = {space["metadata"]["name"] for space in stack.cluster_admin("GET", "/api/v1/namespaces")["items"]}
    assert {"default", NAMESPACE} <= names


def test_a_refused_request_of_the_administrator_is_an_error_with_its_status(stack: Stack) -> None:
    with pytest.raises(ClusterError) as caught:
        stack.cluster_admin("GET", "/api/v1/namespaces/nowhere")
    assert caught.value.status == 404


def test_the_service_account_launches_pods_with_the_official_client(stack: Stack) -> None:
    with config.new_client_from_config(str(stack.kubeconfig_pyos)) as connection:
        api = client.CoreV1Api(connection)
        body = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "c", "image": "desktop:1"}]}}
        api.create_namespaced_pod(NAMESPACE, body)
        assert until(lambda: api.read_namespaced_pod("one", NAMESPACE).status.phase == "Running")
        api.delete_namespaced_pod("one", NAMESPACE, grace_period_seconds=0)
        assert api.list_namespaced_pod(NAMESPACE).items == []


@pytest.mark.parametrize(
    ("verb", "group", "resource", "subresource", "namespace", "allowed"),
    [
        ("create", "", "pods", "", NAMESPACE, True),
        ("watch", "", "pods", "", NAMESPACE, True),
        ("create", "", "pods", "exec", NAMESPACE, True),
        ("patch", "", "pods", "ephemeralcontainers", NAMESPACE, True),
        ("get", "", "pods", "log", NAMESPACE, True),
        ("list", "", "nodes", "", "", True),
        ("update", "", "pods", "", NAMESPACE, False),
        ("watch", "", "secrets", "", NAMESPACE, False),
        ("deletecollection", "", "pods", "", NAMESPACE, False),
        ("get", "", "pods", "", "default", False),
        ("create", "", "namespaces", "", "", False),
        ("get", "rbac.authorization.k8s.io", "roles", "", NAMESPACE, False),
    ],
)
def test_the_service_account_has_just_the_rights_it_needs(
    stack: Stack, verb: str, group: str, resource: str, subresource: str, namespace: str, allowed: bool
) -> None:
    attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
    if subresource:
        attributes["subresource"] = subresource
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{NAMESPACE}:pyos-serviceaccount",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"],
            "resourceAttributes": attributes,
        },
    }
    answer = stack.cluster_admin("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer["status"]["allowed"] is allowed


def test_an_unknown_token_is_refused(stack: Stack) -> None:
    document = yaml.safe_load(Path(str(stack.kubeconfig)).read_text())
    document["users"][0]["user"]["token"] = "nonsense"
    other = Path(str(stack.kubeconfig)).with_name("other")
    other.write_text(yaml.safe_dump(document))
    with config.new_client_from_config(str(other)) as connection:
        with pytest.raises(client.ApiException) as caught:
            client.CoreV1Api(connection).list_namespace()
        assert caught.value.status == 401


# -- database ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", DATABASES)
def test_the_databases_user_works_in_its_database(stack: Stack, name: str) -> None:
    with MongoClient(f"{stack.mongodb_url}/{name}?{stack.mongodb_parameters}&authSource={name}") as connection:
        connection[name]["things"].insert_one({"_id": 1})
        assert connection[name]["things"].count_documents({}) == 1
        other = "image" if name != "image" else "desktop"
        with pytest.raises(OperationFailure):
            connection[other]["things"].find_one()


def test_nobody_gets_into_the_database_without_a_password(stack: Stack) -> None:
    address = str(stack.mongodb_url).rpartition("@")[2]
    with MongoClient(f"mongodb://{address}/?{stack.mongodb_parameters}") as connection, pytest.raises(OperationFailure):
        connection["image"]["things"].find_one()


def test_a_change_stream_tells_of_an_insert(stack: Stack) -> None:
    url = f"{stack.mongodb_url}/applications?{stack.mongodb_parameters}&authSource=applications"
    with MongoClient(url) as connection, connection["applications"]["image"].watch(max_await_time_ms=5000) as stream:
        connection["applications"]["image"].insert_one({"_id": "x"})
        assert next(stream)["operationType"] == "insert"


# -- cache, keys, files -----------------------------------------------------------------------------------------------
@needs_memcached
def test_the_cache_answers(stack: Stack) -> None:
    assert stack.memcached is not None
    with_cache = MemcacheClient(stack.memcached, connect_timeout=5, timeout=5)
    with_cache.set("a", b"1")
    assert with_cache.get("a") == b"1"
    with_cache.close()


def test_without_memcached_the_stack_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Stack(tmp_path / "state", parts={"cache"}) as running:
        assert running.memcached is None
        assert "MEMCACHESERVER" not in running.environment()
        assert ("cache", "none", "memcached is not installed: pyos keeps its cache in its own process") in [
            row for row in running.describe() if row[0] == "cache"
        ]


def test_files_with_secrets_are_the_owners_alone(stack: Stack) -> None:
    keys = sorted((stack.state / "keys").iterdir())
    assert len(keys) == 6
    for path in [stack.state / "env", stack.kubeconfig, stack.kubeconfig_pyos, *keys]:
        assert path is not None
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_env_file_can_be_sourced_and_says_what_the_stack_says(stack: Stack) -> None:
    script = f". {stack.state / 'env'} && env"
    answer = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={})
    lines = dict(line.split("=", 1) for line in answer.stdout.splitlines())
    assert lines.items() >= stack.environment().items()


def test_the_table_shows_no_password(stack: Stack) -> None:
    password = str(stack.mongodb_url).split(":")[2].partition("@")[0]
    assert len(password) > 20
    assert password not in str(stack.describe())


def test_no_password_stands_in_a_command_line(stack: Stack) -> None:
    password = str(stack.mongodb_url).split(":")[2].partition("@")[0]
    for pid in stack.processes.values():
        assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


# -- life -------------------------------------------------------------------------------------------------------------
def test_a_stopped_stack_leaves_nothing_running(tmp_path: Path) -> None:
    with Stack(tmp_path, parts={"cluster"}) as running:
        body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        running.cluster_admin("POST", "/api/v1/namespaces/default/pods", body)
        pids = list(running.processes.values())
        port = int(str(running.server_url).rpartition(":")[2])
    assert not any(alive(pid) for pid in pids)
    assert not listens(port)


def test_a_state_directory_serves_again_and_keeps_database_and_keys(tmp_path: Path) -> None:
    passwords, keys = [], []
    for count in (1, 2):
        with Stack(tmp_path, parts={"database"}) as running:
            assert running.keys is not None
            keys.append(running.keys.user_signing.private.read_bytes())
            passwords.append(str(running.mongodb_url).rpartition("@")[0])
            url = f"{running.mongodb_url}/image?{running.mongodb_parameters}&authSource=image"
            with MongoClient(url) as connection:
                connection["image"]["runs"].insert_one({"_id": count})
                assert connection["image"]["runs"].count_documents({}) == count
    assert passwords[0] == passwords[1]
    assert keys[0] == keys[1]


def test_two_stacks_do_not_meet(tmp_path: Path) -> None:
    with Stack(tmp_path / "a", parts={"cluster"}) as first, Stack(tmp_path / "b", parts={"cluster"}) as second:
        body = {"metadata": {"name": "only-in-first"}}
        first.cluster_admin("POST", "/api/v1/namespaces", body)
        with pytest.raises(ClusterError):
            second.cluster_admin("GET", "/api/v1/namespaces/only-in-first")


def test_a_taken_port_is_an_error_with_the_parts_name_and_stops_the_rest(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        running = Stack(tmp_path, parts={"cluster"}, ports=Ports(cluster=taken.getsockname()[1]))
        with pytest.raises(ChildError, match=r"cluster ended before it was ready"):
            running.start()
        assert running.processes == {}


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown parts"):
        Stack(tmp_path, parts={"kubernetes"})


def _up(state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "devstack", "up", "--only", "cluster,cache", "--state", str(state)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_launcher_ends_the_parts(tmp_path: Path, number: signal.Signals) -> None:
    launcher = _up(tmp_path)
    assert launcher.stdout is not None
    assert launcher.stderr is not None
    with launcher.stdout, launcher.stderr:
        for line in launcher.stdout:
            if line.startswith("ready in"):
                break
        else:
            pytest.fail(launcher.stderr.read())
        children = _children(launcher.pid)
        assert children
        os.kill(launcher.pid, number)
        status = launcher.wait(30)
    assert status == (-number if number == signal.SIGKILL else 0)
    assert until(lambda: not any(alive(pid) for pid in children))


def test_a_killed_cluster_takes_the_processes_of_its_containers_with_it(tmp_path: Path) -> None:
    with Stack(tmp_path, parts={"cluster"}, node_options={"images": [{"match": "*", "run": "command"}]}) as running:
        spec = {"containers": [{"name": "c", "image": "i", "command": ["sleep", "1000"]}]}
        pods = "/api/v1/namespaces/default/pods"
        running.cluster_admin("POST", pods, {"metadata": {"name": "p"}, "spec": spec})

        def state() -> dict[str, object]:
            entries = running.cluster_admin("GET", f"{pods}/p")["status"].get("containerStatuses") or [{"state": {}}]
            return dict(entries[0]["state"])

        assert until(lambda: bool(state().keys() & {"running", "terminated"}))
        if "terminated" in state():
            pytest.skip("this machine cannot isolate processes")
        launchers = _children(running.processes["cluster"])
        commands = [pid for launcher in launchers for pid in _children(launcher)]
        assert commands
        os.kill(running.processes["cluster"], signal.SIGKILL)
        assert until(lambda: not any(alive(pid) for pid in launchers + commands))
        assert running.failed_part() is not None


def test_a_part_that_ends_by_itself_ends_the_launcher_with_a_message(tmp_path: Path) -> None:
    launcher = _up(tmp_path)
    assert launcher.stdout is not None
    assert launcher.stderr is not None
    with launcher.stdout, launcher.stderr:
        for line in launcher.stdout:
            if line.startswith("ready in"):
                break
        os.kill(_children(launcher.pid)[0], signal.SIGKILL)
        assert launcher.wait(30) == 1
        assert "ended by itself" in launcher.stderr.read()
