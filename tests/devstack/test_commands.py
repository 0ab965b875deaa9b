"""The command line, and the manifests the stack applies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from devstack.__main__ import main, table
from devstack.clusterclient import ClusterClient, ClusterError
from devstack.stack import MANIFESTS, Stack

ROOT = Path(__file__).resolve().parents[2]


def test_a_table_is_aligned_without_blanks_at_the_end() -> None:
    assert table([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"


def test_an_unknown_part_ends_with_status_one_and_a_message(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "devstack", "up", "--only", "kubernetes", "--state", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr == "devstack: unknown parts ['kubernetes']; there are cluster, database, cache\n"


@pytest.mark.parametrize("arguments", [[], ["down"], ["up", "--port-cluster", "x"]])
def test_a_wrong_command_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m devstack" in capsys.readouterr().err


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("other"), parts={"cluster"}, namespace="elsewhere", tls=False) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[ClusterClient]:
    assert stack.kubeconfig is not None
    one = ClusterClient(stack.kubeconfig)
    yield one
    one.close()


def test_everything_goes_to_the_namespace_that_was_asked_for(stack: Stack) -> None:
    roles = stack.cluster_admin("GET", "/apis/rbac.authorization.k8s.io/v1/rolebindings")["items"]
    (binding,) = (entry for entry in roles if entry["metadata"]["name"] == "pyos-rbac")
    assert binding["metadata"]["namespace"] == "elsewhere"
    assert binding["subjects"][0]["namespace"] == "elsewhere"
    assert stack.kubeconfig_pyos is not None
    context = yaml.safe_load(stack.kubeconfig_pyos.read_text())["contexts"][0]["context"]
    assert context["namespace"] == "elsewhere"


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_can_be_applied_again(client: ClusterClient, name: str) -> None:
    done = client.apply_file(ROOT / "deploy" / name, "elsewhere")
    assert done == client.apply_file(ROOT / "deploy" / name, "elsewhere")


def test_a_changed_manifest_changes_what_is_there(client: ClusterClient, tmp_path: Path) -> None:
    path = "/api/v1/namespaces/elsewhere/configmaps/settings"
    for value in ("one", "two"):
        manifest = tmp_path / "manifest.yaml"
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"k": value}}
        manifest.write_text(yaml.safe_dump(obj))
        assert client.apply_file(manifest, "elsewhere") == ["configmap/settings"]
        assert client.request("GET", path)["data"] == {"k": value}


def test_a_refused_manifest_is_an_error_that_says_what_was_asked(client: ClusterClient, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: Not_A_Name}}")
    with pytest.raises(ClusterError, match="POST /api/v1/namespaces/elsewhere/configmaps: 422") as caught:
        client.apply_file(manifest, "elsewhere")
    assert caught.value.status == 422


def test_no_rule_of_the_product_is_a_wildcard() -> None:
    for name in MANIFESTS[1:]:
        for document in yaml.safe_load_all((ROOT / "deploy" / name).read_text()):
            for rule in document.get("rules", ()):
                assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
