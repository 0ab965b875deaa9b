"""deploy/ without a cluster: valid for every supported Kubernetes, hardened, and in agreement with the product."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from oc.od.commands.keys import PAIRS
from oc.od.commands.rights import NEEDS
from oc.od.settings import load_settings

from .support import DEPLOY, ROOT, Object, documents, kubectl, named, pod_templates, resources

VERSIONS = [f"1.{minor}" for minor in range(29, 36)]
TEMPLATES = dict(pod_templates())


def containers(template: Object) -> list[Object]:
    spec = template["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_strictly_valid(version: str) -> None:
    for document in documents():
        kubernetes_validate.validate(document, version, strict=True)


def test_the_validation_would_find_a_mistake() -> None:
    document = named("Deployment", "pyos-od")
    document["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


def test_kustomize_builds_the_installation_in_any_namespace(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    overlay.mkdir()
    guide = (ROOT / "docs/operators-guide.md").read_text()
    (example,) = re.findall(r"```yaml\n(# overlay/kustomization\.yaml\n.*?)```", guide, re.DOTALL)
    (overlay / "kustomization.yaml").write_text(example)
    built = list(yaml.safe_load_all(kubectl(None, "kustomize", str(overlay))))
    assert len(built) == len(documents(*resources()))
    assert {item["metadata"].get("namespace") for item in built if item["kind"] != "Namespace"} == {"elsewhere"}
    (binding,) = [item for item in built if item["kind"] == "RoleBinding"]
    assert binding["subjects"][0]["namespace"] == "elsewhere"
    (deployment,) = [item for item in built if item["metadata"]["name"] == "pyos-od" and item["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/pyos:4.4"


def test_every_file_but_the_optional_rights_is_installed() -> None:
    files = {path.name for path in DEPLOY.glob("[0-9]*.yaml")}
    assert files - set(resources()) == {"11-rbac-optional.yaml"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_pod_runs_as_root_or_can_become_it(name: str) -> None:
    spec = TEMPLATES[name]["spec"]
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec.get("hostNetwork") is None
    if name != "Deployment/pyos-od":
        assert spec["automountServiceAccountToken"] is False
    for container in containers(TEMPLATES[name]):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_mount_has_its_volume_and_every_volume_its_use(name: str) -> None:
    template = TEMPLATES[name]
    given = {volume["name"] for volume in template["spec"].get("volumes", ())}
    if name == "StatefulSet/mongodb-od":
        claims = named("StatefulSet", "mongodb-od")["spec"]["volumeClaimTemplates"]
        given |= {claim["metadata"]["name"] for claim in claims}
    used = {mount["name"] for container in containers(template) for mount in container.get("volumeMounts", ())}
    assert used == given


def test_services_and_budgets_select_the_pods_they_are_for() -> None:
    labels = {name: set(template["metadata"]["labels"].items()) for name, template in TEMPLATES.items()}
    wanted = {
        ("Service", "pyos"): "Deployment/pyos-od",
        ("Service", "mongodb"): "StatefulSet/mongodb-od",
        ("Service", "memcached"): "Deployment/memcached-od",
        ("PodDisruptionBudget", "pyos-od"): "Deployment/pyos-od",
        ("PodDisruptionBudget", "mongodb-od"): "StatefulSet/mongodb-od",
    }
    for (kind, name), owner in wanted.items():
        selector = named(kind, name)["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        assert [other for other, has in labels.items() if set(selector.items()) <= has] == [owner]
    for name in ("Deployment/pyos-od", "Deployment/memcached-od", "StatefulSet/mongodb-od"):
        item = named(*name.split("/"))
        assert set(item["spec"]["selector"]["matchLabels"].items()) <= labels[name]


def test_the_role_holds_exactly_what_the_product_asks_of_the_cluster() -> None:
    def granted(file: str, kind: str) -> set[tuple[str, str]]:
        (role,) = [item for item in documents(file) if item["kind"] == kind]
        return {
            (resource, verb)
            for rule in role["rules"]
            for resource, verb in itertools.product(rule["resources"], rule["verbs"])
        }

    def needed(*, optional: bool) -> set[tuple[str, str]]:
        return {
            (f"{need.resource}/{need.subresource}".rstrip("/"), verb)
            for need in NEEDS
            if need.optional is optional
            for verb in need.verbs
        }

    assert granted("10-rbac.yaml", "Role") == needed(optional=False)
    assert granted("11-rbac-optional.yaml", "ClusterRole") == needed(optional=True)


def test_the_deployment_mounts_what_the_shipped_configuration_names() -> None:
    settings = load_settings(ROOT / "od.config", {})
    (container,) = TEMPLATES["Deployment/pyos-od"]["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in TEMPLATES["Deployment/pyos-od"]["spec"]["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    secrets = {prefix: secret for prefix, (secret, _) in PAIRS.items()}
    files = (
        settings.jwt_user.private_key_file,
        settings.jwt_user.public_key_file,
        settings.jwt_desktop.private_key_file,
        settings.jwt_desktop.public_key_file,
        settings.jwt_desktop.payload_public_key_file,
    )
    for file in files:
        directory, _, name = file.rpartition("/")
        secret = mounts[directory]["secret"]
        assert secret["secretName"] == secrets[name.rsplit("_", 2)[0]]
        assert name in [item["path"] for item in secret.get("items", [{"path": name}])]
    assert "emptyDir" in mounts["/var/pyos/logs"]
    assert container["ports"][0]["containerPort"] == settings.server.socket_port


def test_the_private_half_of_the_payload_key_stays_with_the_router() -> None:
    volumes = TEMPLATES["Deployment/pyos-od"]["spec"]["volumes"]
    (payload,) = [
        v["secret"] for v in volumes if v.get("secret", {}).get("secretName") == "abcdesktopjwtdesktoppayload"
    ]
    assert [item["key"] for item in payload["items"]] == ["abcdesktop_jwt_desktop_payload_public_key.pem"]


def test_a_busy_process_is_not_killed_and_an_unready_one_gets_no_requests() -> None:
    (container,) = TEMPLATES["Deployment/pyos-od"]["spec"]["containers"]
    liveness, readiness, startup = (container[f"{kind}Probe"] for kind in ("liveness", "readiness", "startup"))
    assert liveness["httpGet"]["path"] == startup["httpGet"]["path"] == "/API/healthz"
    assert readiness["httpGet"]["path"] == "/API/readyz"
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60
    assert named("Deployment", "pyos-od")["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_key_of_operators_is_mounted_where_the_scripts_and_pages_say() -> None:
    spec = TEMPLATES["Deployment/pyos-od"]["spec"]
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "apikey"]
    (mount,) = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "apikey"]
    assert volume["secret"]["secretName"] == "pyos-apikey"
    assert volume["secret"]["optional"] is True  # an installation of before has no such Secret
    assert "subPath" not in mount  # an exchanged key reaches the running container
    entry = f"'apikey': [ 'file://{mount['mountPath']}/apikey' ]"
    for page in ("deploy/prepare.sh", "docs/operators-guide.md", "deploy/20-pyos.yaml", "od.config"):
        assert entry in (ROOT / page).read_text(), page


def test_a_stop_has_the_time_its_steps_take() -> None:
    settings = load_settings(ROOT / "od.config", {})
    spec = TEMPLATES["Deployment/pyos-od"]["spec"]
    command = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command[0] == "sleep"
    assert spec["terminationGracePeriodSeconds"] > int(command[1]) + settings.server.shutdown_timeout + 5


def test_who_asks_mongodb_memcached_or_pyos_may_reach_it() -> None:
    policies = {item["metadata"]["name"]: item["spec"] for item in documents() if item["kind"] == "NetworkPolicy"}
    asked = {
        "pyos": ["CronJob/pyos-garbage-collector"],
        "mongodb": ["Deployment/pyos-od", "StatefulSet/mongodb-od", "Job/mongodb-init"],
        "memcached": ["Deployment/pyos-od"],
    }
    for name, clients in asked.items():
        (source,) = policies[name]["ingress"][0]["from"]
        wanted = set(source["podSelector"]["matchLabels"].items())
        admitted = [
            other for other, template in TEMPLATES.items() if wanted <= set(template["metadata"]["labels"].items())
        ]
        assert sorted(admitted) == sorted(clients)


INIT = """
const made = {};
const database = (name) => ({
  getUser: (user) => (made[name] ??= {})[user] ?? null,
  createUser: (given) => { (made[name] ??= {})[given.user] = given; },
  updateUser: (user, given) => { made[name][user] = { user, ...given }; },
});
let started = null;
globalThis.rs = {
  status: () => { if (!started) { throw Object.assign(new Error('no'), { codeName: 'NotYetInitialized' }); } },
  initiate: (config) => { started = config; },
};
globalThis.db = { hello: () => ({ isWritablePrimary: started !== null }), getSiblingDB: database };
globalThis.sleep = () => {};
globalThis.print = () => {};
const script = require('fs').readFileSync(0, 'utf8');
require('vm').runInThisContext(script);
require('vm').runInThisContext(`{${script}}`);
console.log(JSON.stringify({ made, started }));
"""


def test_the_set_up_of_mongodb_makes_each_account_in_each_database_also_twice() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the script for mongosh is not run")
    script = named("ConfigMap", "mongodb-init")["data"]["init.js"]
    environment = {
        "PATH": "",
        "MONGO_ROOT_USERNAME": "root",
        "MONGO_ROOT_PASSWORD": "r",
        "MONGO_USERS_LIST": "pyos:readWrite:a:b;reader:read,dbAdmin:c",
        "MONGO_DBS_LIST": "image, profiles",
    }
    done = subprocess.run(
        [node, "-e", INIT], input=script, capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["started"]["_id"] == "rs0"
    assert [member["host"] for member in found["started"]["members"]] == [
        f"mongodb-od-{number}.mongodb:27017" for number in range(3)
    ]
    assert found["made"].keys() == {"image", "profiles"}
    for name, users in found["made"].items():
        assert users["pyos"] == {"user": "pyos", "pwd": "a:b", "roles": [{"role": "readWrite", "db": name}]}
        assert [role["role"] for role in users["reader"]["roles"]] == ["read", "dbAdmin"]
