"""``od.py --check-backends`` and ``od.py --generate-keys``."""

from __future__ import annotations

import io
import shlex
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from devstack.cluster.kubeconfig import write_kubeconfig
from devstack.service import Backends, Service, free_port, write_configuration
from devstack.stack import NAMESPACE, Stack
from oc.od.commands import backends as backends_module
from oc.od.commands.keys import PAIRS, generate_keys
from oc.od.settings import settings_from_mapping

ROOT = Path(__file__).resolve().parent.parent.parent


class Check:
    """``od.py --check-backends`` with the configuration of a pyos on the stack."""

    def __init__(self, backends: Backends, directory: Path) -> None:
        self.backends = backends
        self.directory = directory
        self.environment = {
            "PATH": "", "KUBECONFIG": str(backends.kubeconfig), "MONGODB_URL": backends.mongodb_url,
            "MONGODB_PARAM": backends.mongodb_param, "POD_NAMESPACE": NAMESPACE,
        }  # fmt: skip

    def run(self, overrides: Mapping[str, Any] | None = None, **environment: str) -> tuple[int, dict[str, str], str]:
        """(exit status, state and text by part, everything printed)."""
        service = Service(self.directory, self.backends, 8000)
        values = {**service.values(), **(overrides or {})}
        file = self.directory / "od.config"
        write_configuration(file, {key: value for key, value in values.items() if value is not None})
        done = subprocess.run(
            [sys.executable, str(ROOT / "od.py"), "--check-backends", str(file)],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        parts: dict[str, str] = {}
        for line in done.stdout.splitlines():
            state, _, rest = line.partition(" ")
            what, _, text = rest.strip().partition(": ")
            parts[what] = f"{state} {text}"
        return done.returncode, parts, done.stdout + done.stderr


NO_PROVIDERS = {
    "authmanagers": {"implicit": {"providers": {"anonymous": {"userid": "anonymous"}}}},
}


@pytest.fixture
def check(backends: Backends, tmp_path: Path) -> Check:
    return Check(backends, tmp_path)


def test_a_working_stack_is_well_but_for_the_address_databases(check: Check) -> None:
    status, parts, everything = check.run(NO_PROVIDERS)
    assert parts["kubernetes"].startswith("ok "), everything
    assert "has all " in parts["kubernetes"]
    assert f"namespace {NAMESPACE}" in parts["kubernetes"]
    assert parts["mongodb"].startswith("ok ")
    assert "account accepted in image, fail2ban" in parts["mongodb"]
    assert parts["memcached"].startswith(("ok ", "limited "))
    assert parts["provider implicit/anonymous"] == "ok asks no server"
    assert parts["file /usr/share/geolite2/GeoLite2-City.mmdb"].startswith(("ok ", "limited "))
    assert status == (2 if "limited" in everything else 0)


def test_secrets_are_not_printed(check: Check) -> None:
    password = check.backends.mongodb_url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    assert password
    for overrides in (NO_PROVIDERS, None):
        assert password not in check.run(overrides)[2]
    wrong = check.backends.mongodb_url.replace(password, "wrong-password")
    status, parts, everything = check.run(NO_PROVIDERS, MONGODB_URL=wrong)
    assert status == 1
    assert "refuses our account in image" in parts["mongodb"]
    assert "wrong-password" not in everything


def test_missing_rights_are_named_with_what_they_are_for(check: Check, stack: Stack, tmp_path: Path) -> None:
    name = "reader-of-the-check"
    core, rbac = f"/api/v1/namespaces/{NAMESPACE}", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    stack.cluster_admin("POST", f"{core}/serviceaccounts", {"metadata": {"name": name}})
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    stack.cluster_admin("POST", f"{rbac}/roles", {"metadata": {"name": name}, "rules": rules})
    binding = {
        "metadata": {"name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
    }
    stack.cluster_admin("POST", f"{rbac}/rolebindings", binding)
    spec = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = stack.cluster_admin("POST", f"{core}/serviceaccounts/{name}/token", spec)["status"]["token"]
    assert stack.server_url is not None
    authority = (stack.state / "kubeconfig.ca").read_text()
    config = write_kubeconfig(tmp_path / "reader", stack.server_url, token, NAMESPACE, ca_pem=authority, user=name)
    status, parts, _ = check.run(NO_PROVIDERS, KUBECONFIG=str(config))
    assert status == 1
    assert parts["kubernetes"].startswith("failed ")
    assert "has 3 of " in parts["kubernetes"]
    assert "lacks create pods, patch pods, delete pods (without: desktops)" in parts["kubernetes"]
    assert "lacks list nodes (without: images pulled in advance)" in parts["kubernetes"]
    assert "get pods," not in parts["kubernetes"]
    assert "get pods " not in parts["kubernetes"]


def test_what_does_not_answer_is_named_and_the_rest_still_looked_at(check: Check) -> None:
    closed = free_port()
    ldap = {"servers": [f"ldap://127.0.0.1:{closed}"], "ldap_basedn": "dc=x", "users_ou": "ou=p,dc=x"}
    external = {
        "client_id": "id", "client_secret": "hidden-secret", "scope": "email",
        "authorization_base_url": "https://127.0.0.1:1/a", "token_url": f"https://127.0.0.1:{closed}/t",
        "redirect_uri_prefix": "https://desk.example/API/auth/oauth",
        "userinfo_url": "https://127.0.0.1:1/u",
    }  # fmt: skip
    overrides = {
        "memcacheserver": "127.0.0.1",
        "memcacheport": closed,
        "authmanagers": {
            "explicit": {"providers": {"crew": ldap, "off": {**ldap, "enabled": False}}},
            "external": {"providers": {"outside": external}},
        },
    }
    status, parts, everything = check.run(overrides, MONGODB_URL=f"mongodb://pyos:secret-word@127.0.0.1:{closed}")
    assert status == 1
    assert parts["mongodb"] == f"failed 127.0.0.1:{closed}: does not answer"
    assert parts["memcached"] == f"failed 127.0.0.1:{closed}: does not answer"
    assert parts["provider explicit/crew"].startswith("failed no server answers: ")
    assert f"127.0.0.1:{closed}" in parts["provider explicit/crew"]
    assert parts["provider external/outside"].startswith(f"failed 127.0.0.1:{closed} cannot be reached")
    assert "provider explicit/off" not in parts
    assert parts["kubernetes"].startswith("ok ")
    assert "hidden-secret" not in everything
    assert "secret-word" not in everything


def test_a_part_that_takes_connections_and_says_nothing_is_named_and_asked_once(check: Check) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        host, port = silent.getsockname()
        overrides = {**NO_PROVIDERS, "memcacheserver": host, "memcacheport": port}
        status, parts, _ = check.run(overrides, MONGODB_URL=f"mongodb://pyos:word@{host}:{port}")
        assert status == 1
        assert parts["mongodb"] == f"failed {host}:{port}: does not answer"
        assert parts["memcached"] == f"failed {host}:{port}: does not answer"
        assert parts["kubernetes"].startswith("ok ")


def test_a_database_that_is_away_is_not_asked_for_every_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Away:
        databases = ("image", "profiles", "desktop")
        available = False

        def __init__(self, settings: Any) -> None:
            pass

        def ping(self, name: str) -> bool:
            asked.append(name)
            return False

        def close(self) -> None:
            pass

    monkeypatch.setattr(backends_module, "DataStore", Away)
    finding = backends_module._mongodb(settings_from_mapping({}))
    assert str(finding) == "failed  mongodb: mongodb:27017: does not answer"
    assert asked == ["image"]


def test_without_a_cluster_both_causes_are_told(check: Check, tmp_path: Path) -> None:
    status, parts, _ = check.run(NO_PROVIDERS, KUBECONFIG=str(tmp_path / "none"))
    assert status == 1
    assert "in-cluster: " in parts["kubernetes"]
    assert "kubeconfig: " in parts["kubernetes"]


def test_a_configuration_that_cannot_be_used_is_255(check: Check) -> None:
    status, parts, everything = check.run({"websocketrouting": "nowhere"})
    assert (status, parts) == (255, {})
    assert "websocketrouting" in everything


def test_generated_keys_are_what_the_product_and_the_router_read(tmp_path: Path) -> None:
    out = io.StringIO()
    target = tmp_path / "new" / "keys"
    assert generate_keys(target, out) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    for prefix in PAIRS:
        private = target / f"{prefix}_private_key.pem"
        public = target / f"{prefix}_public_key.pem"
        key = serialization.load_pem_private_key(private.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        assert key.key_size >= 2048
        other = serialization.load_pem_public_key(public.read_bytes())
        assert isinstance(other, rsa.RSAPublicKey)
        assert other.public_numbers() == key.public_key().public_numbers()
        wanted = b"BEGIN RSA PUBLIC KEY" if "payload" in prefix else b"BEGIN PUBLIC KEY"
        assert wanted in public.read_bytes()
    assert len((target / "mongod.keyfile").read_bytes().strip()) == 1008
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()} == {0o600}
    commands = out.getvalue().splitlines()
    assert [line.split()[4] for line in commands] == [
        *(secret for secret, _ in PAIRS.values()), "abcdesktop-mongod-keyfile",
    ]  # fmt: skip
    assert "PRIVATE KEY" not in out.getvalue()


def test_the_printed_commands_can_be_given_to_a_shell_whatever_the_directory_is_called(tmp_path: Path) -> None:
    out = io.StringIO()
    target = tmp_path / "my keys; $HOME"
    assert generate_keys(target, out) == 0
    for line in out.getvalue().splitlines():
        words = shlex.split(line)
        assert words[:4] == ["kubectl", "create", "secret", "generic"]
        files = [Path(word.removeprefix("--from-file=")) for word in words[5:]]
        assert files
        assert all(file.parent == target and file.exists() for file in files)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_keys_are_for_their_owner_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    command = [sys.executable, str(ROOT / "od.py"), "--generate-keys", str(tmp_path / "keys")]
    subprocess.run(command, cwd=ROOT, umask=umask, capture_output=True, timeout=100, check=True)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_existing_keys_are_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "abcdesktop_jwt_user_signing_private_key.pem"
    mine.write_text("mine")
    assert generate_keys(tmp_path) == 1
    assert mine.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [mine]
    assert mine.name in capsys.readouterr().err


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert generate_keys(tmp_path / "file" / "keys") == 1
    assert "file" in capsys.readouterr().err
