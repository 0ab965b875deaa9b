"""deploy/ applied to a development cluster with kubectl, as the guide says, and a session with exactly its rights."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.clusterclient import ClusterError
from devstack.keys import KeyFiles, KeyPair
from devstack.service import Backends, Service
from devstack.session import Session
from devstack.stack import NAMESPACE, Stack, default_node_options
from oc.od.commands.keys import PAIRS
from oc.od.settings.reader import read_file
from tests.support import Api
from tests.waiting import until

from .support import DEPLOY, KUBECTL, NO_KUBECTL, ROOT, Object, kubectl

pytestmark = pytest.mark.skipif(KUBECTL is None, reason=NO_KUBECTL)
CORE = f"/api/v1/namespaces/{NAMESPACE}"


class Installation:
    """A cluster that has what `deploy/prepare.sh` and `kubectl apply -k deploy` put there, nothing else."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self.directory = directory
        self.prepared = self.prepare()
        self.applied = kubectl(stack.kubeconfig, "apply", "-k", str(DEPLOY))

    def prepare(self, *config: str) -> str:
        """What prepare.sh printed. config: an od.config in the place of the shipped one."""
        assert KUBECTL is not None
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.directory), "KUBECTL": KUBECTL,
            "KUBECONFIG": str(self.stack.kubeconfig), "TMPDIR": str(self.directory),
        }  # fmt: skip
        script = [str(DEPLOY / "prepare.sh"), NAMESPACE, *config]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def get(self, path: str) -> Object:
        found: Object = self.stack.cluster_admin("GET", path)
        return found

    def secret(self, name: str) -> dict[str, bytes]:
        """The decoded values of a Secret."""
        data = self.get(f"{CORE}/secrets/{name}")["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    def pod(self, name: str, template: Object) -> Object:
        """Make the pod a controller would make of a template, and give it when it runs or has ended."""
        spec = {**template["spec"], "serviceAccountName": template["spec"].get("serviceAccountName", "default")}
        metadata = {"name": name, "labels": template["metadata"]["labels"]}
        self.stack.cluster_admin(
            "POST", f"{CORE}/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        )

        def started() -> Object | None:
            pod = self.get(f"{CORE}/pods/{name}")
            return pod if pod["status"].get("phase") in ("Running", "Succeeded", "Failed") else None

        return until(started)

    def controllers(self) -> Object:
        """What the od.config of the ConfigMap says of them."""
        file = self.directory / "installed.config"
        file.write_text(self.get(f"{CORE}/configmaps/abcdesktop-config")["data"]["od.config"])
        found = read_file(file).values["controllers"]
        assert isinstance(found, dict)
        return found

    def key_files(self) -> KeyFiles:
        """The keys of the Secrets, as files."""
        directory = self.directory / "keys"
        directory.mkdir(exist_ok=True)
        for secret, _ in PAIRS.values():
            for name, content in self.secret(secret).items():
                (directory / name).write_bytes(content)
        user, signing, payload = (
            KeyPair(directory / f"{prefix}_private_key.pem", directory / f"{prefix}_public_key.pem") for prefix in PAIRS
        )
        return KeyFiles(user, signing, payload)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: deploy/prepare.sh makes keys with it")
    options = {**default_node_options(), "images": [{"match": "*collector*", "run": "command"}]}
    directory = tmp_path_factory.mktemp("installation")
    with Stack(directory / "stack", node_options=options, optional_rights=False) as stack:
        yield Installation(stack, directory)


@pytest.fixture(scope="module")
def deployed(installation: Installation) -> Iterator[Service]:
    """pyos with the keys of the installed Secrets, the policies of the ConfigMap and no optional right."""
    stack = installation.stack
    assert stack.kubeconfig_pyos is not None
    assert stack.mongodb_url is not None
    backends = Backends(
        stack.kubeconfig_pyos, installation.key_files(), stack.mongodb_url, stack.mongodb_parameters, stack.memcached
    )
    mounted = installation.directory / "config.apikey"
    mounted.mkdir()
    for name, content in installation.secret("pyos-apikey").items():
        (mounted / name).write_bytes(content)
    policies = installation.controllers()
    (entry,) = policies["ManagerController"]["apikey"]
    policies["ManagerController"]["apikey"] = [entry.replace("file:///config.apikey", mounted.as_uri())]
    key = installation.secret("pyos-apikey")["apikey"].decode()
    overrides = {"controllers": policies}
    with Service(installation.directory / "pyos", backends, overrides=overrides, api_key=key) as service:
        yield service


def test_every_object_is_accepted(installation: Installation) -> None:
    wanted = [item for item in yaml.safe_load_all(kubectl(None, "kustomize", str(DEPLOY))) if item]
    assert len(installation.applied.splitlines()) == len(wanted)
    assert all(re.search(r" (created|configured|unchanged)$", line) for line in installation.applied.splitlines())


def test_applying_it_again_changes_nothing(installation: Installation) -> None:
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/pyos-od"
    before = installation.get(path)["metadata"]["generation"]
    kubectl(installation.stack.kubeconfig, "apply", "-k", str(DEPLOY))
    assert installation.get(path)["metadata"]["generation"] == before
    # ends with status 1 when anything in the cluster differs from the files
    assert kubectl(installation.stack.kubeconfig, "diff", "-k", str(DEPLOY)) == ""


def test_preparing_again_keeps_every_secret(installation: Installation) -> None:
    names = [*(secret for secret, _ in PAIRS.values()), "abcdesktop-mongod-keyfile", "secret-mongodb", "pyos-apikey"]
    before = {name: installation.secret(name) for name in names}
    assert sorted(re.findall(r"kept: secret (\S+)", installation.prepare())) == sorted(names)
    assert {name: installation.secret(name) for name in names} == before


def test_the_prepared_secrets_are_strong_and_leave_no_file_behind(installation: Installation) -> None:
    mongodb = installation.secret("secret-mongodb")
    assert mongodb["MONGODB_URL"] == b"mongodb://pyos:" + mongodb["MONGO_PASSWORD"] + b"@mongodb"
    assert mongodb["MONGO_PASSWORD"] != mongodb["MONGO_ROOT_PASSWORD"]
    assert all(len(mongodb[name]) >= 32 for name in ("MONGO_PASSWORD", "MONGO_ROOT_PASSWORD"))
    assert len(installation.secret("pyos-apikey")["apikey"]) >= 32
    assert (
        b"BEGIN RSA PUBLIC KEY"
        in installation.secret("abcdesktopjwtdesktoppayload")["abcdesktop_jwt_desktop_payload_public_key.pem"]
    )
    left = [path.name for path in installation.directory.iterdir() if path.name.startswith("tmp.")]
    assert left == []
    for content in mongodb.values():
        if len(content) >= 32:
            assert content.decode() not in installation.prepared


def test_the_installed_configuration_is_the_shipped_one_with_a_key_for_operators(installation: Installation) -> None:
    found = installation.get(f"{CORE}/configmaps/abcdesktop-config")
    assert found["metadata"]["labels"] == {"abcdesktop/role": "pyos.config"}
    line = "'apikey': [ 'file:///config.apikey/apikey' ],"
    installed, shipped = found["data"]["od.config"].split("\n"), (ROOT / "od.config").read_text().split("\n")
    different = [(new, old) for new, old in zip(installed, shipped, strict=True) if new != old]
    assert different == [(f"    'ManagerController': {{ {line}", "    'ManagerController': {")]
    assert "no key" not in installation.prepared


def test_a_configuration_of_your_own_is_installed_as_it_is(installation: Installation) -> None:
    own = installation.directory / "own.config"
    own.write_text("[global]\ndesktop.pod: {}\njira: { 'apikey': None }\n# 'apikey': [ 'x' ]\n")
    try:
        said = installation.prepare(str(own))
        assert "operators are asked for no key: put 'apikey': [ 'file:///config.apikey/apikey' ]," in said
        assert installation.get(f"{CORE}/configmaps/abcdesktop-config")["data"]["od.config"] == own.read_text()
        own.write_text("[global]\ndesktop.pod: {}\ncontrollers: { 'ManagerController': { 'apikey': ['k'] } }\n")
        assert "no key" not in installation.prepare(str(own))
    finally:
        installation.prepare()


def test_the_installation_asks_operators_for_the_key_of_its_secret(deployed: Service) -> None:
    with Api(deployed.url) as client:
        assert client.get("manager/images").json()["message"].startswith("403.1")
        assert client.get("manager/images", headers={"X-API-Key": "guess"}).status_code == 403
        assert client.get("manager/images", headers={"X-API-Key": deployed.api_key}).status_code == 200


@pytest.mark.parametrize(
    "owner",
    ["deployments/pyos-od", "deployments/memcached-od", "statefulsets/mongodb-od"],
    ids=lambda text: text.split("/")[1],
)
def test_pods_of_the_templates_find_every_secret_and_configuration(installation: Installation, owner: str) -> None:
    template = installation.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/{owner}")["spec"]["template"]
    if owner == "statefulsets/mongodb-od":  # the controller would add the volume of the claim
        template["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
    pod = installation.pod(f"probe-{owner.partition('/')[2]}", template)
    try:
        assert pod["status"]["phase"] == "Running", pod["status"]
    finally:
        installation.stack.cluster_admin("DELETE", f"{CORE}/pods/{pod['metadata']['name']}")


def test_a_session_needs_no_right_beyond_the_role(installation: Installation, deployed: Service) -> None:
    def pods() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = installation.get(f"{CORE}/pods")["items"]
        return found

    lines: list[str] = []
    Session(deployed.url, deployed.api_key, pods, lines.append).run()
    assert lines
    assert "is forbidden" not in deployed.log_path.read_text()
    with pytest.raises(ClusterError):  # the optional rights are really not there
        installation.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/pyos-cluster-role")


def test_the_garbage_collector_gets_in_with_the_key_of_its_secret(
    installation: Installation, deployed: Service
) -> None:
    if os.geteuid() != 0 or shutil.which("curl") is None:
        pytest.skip("runs the job's command as a process: needs root and curl")
    with Api(deployed.url) as user:
        user.login()
        user.result("composer/launchdesktop")
        idle = {"headers": {"X-API-Key": deployed.api_key}, "params": {"expirein": 0, "dryrun": "true"}}
        until(lambda: user.get("manager/garbagecollector", **idle).json())  # the login is more than a second ago
        cron = installation.get(f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs/pyos-garbage-collector")
        template = cron["spec"]["jobTemplate"]["spec"]["template"]
        (container,) = template["spec"]["containers"]
        container["image"] = "localhost/collector:1"  # this node runs it as a process
        values = {"PYOS_URL": deployed.url, "EXPIRE_IN": "0"}
        container["env"] = [{"name": name, "value": value} for name, value in values.items()]
        installation.pod("collect", template)

        def ended() -> Object | None:
            pod = installation.get(f"{CORE}/pods/collect")
            return pod if pod["status"]["phase"] in ("Succeeded", "Failed") else None

        pod = until(ended)
        log = kubectl(installation.stack.kubeconfig, "-n", NAMESPACE, "logs", "collect")
        assert pod["status"]["phase"] == "Succeeded", log
        (removed,) = yaml.safe_load(log)
        until(lambda: removed not in [item["metadata"]["name"] for item in installation.get(f"{CORE}/pods")["items"]])
