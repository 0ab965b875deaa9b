"""The built image: what is in it, and one session with it. `make image-check` builds it and runs these."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from devstack.images.building import ImageError, missing
from devstack.images.running import Container
from devstack.service import NAMESPACE, Backends, Service, free_port, write_configuration
from devstack.session import Session
from devstack.stack import Stack
from oc.od.settings.reader import read_file
from tests.support import Api
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
STATE = os.environ.get("PYOS_IMAGE_STATE", "")
REASON = missing() if STATE else "needs a built image: `make image-check`"
USER = 10001
DATABASES = {
    "GeoLite2-City.mmdb": "/usr/share/geolite2",
    "GeoLite2-ASN.mmdb": "/usr/share/geolite2",
    "ipasn_db.dat": "/var/pyos",
}

pytestmark = [pytest.mark.skipif(bool(REASON), reason=REASON), pytest.mark.xdist_group("built image")]


class Built:
    """The image, unpacked."""

    def __init__(self, state: Path) -> None:
        from devstack.images.building import Builder

        self.builder = Builder(state)
        self.config = self.builder.inspect()
        self.name, self.root = self.builder.unpack()

    def inside(self, path: str) -> Path:
        """A path of the image as this machine sees it."""
        return self.root / path.lstrip("/")


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    image = Built(Path(STATE))
    yield image
    image.builder.discard(image.name)
    image.builder.close()
    assert STATE not in Path("/proc/self/mounts").read_text()


class Replica:
    """pyos in a container, configured as the manifests do: mounted files, no writable place but logs and /tmp."""

    def __init__(self, built: Built, backends: Backends, directory: Path, user: int = USER) -> None:
        self.service = Service(directory, backends, free_port())
        mounts = directory / "mounts"
        keys = backends.keys
        pairs = {"usersigning": keys.user_signing, "signing": keys.desktop_signing, "payload": keys.desktop_payload}
        for mount, pair in pairs.items():
            (mounts / mount).mkdir(parents=True)
            for file in (pair.private, pair.public):
                if (mount, file) != ("payload", pair.private):
                    shutil.copy(file, mounts / mount)
        shutil.copy(backends.kubeconfig, mounts / "kubeconfig")
        shipped = read_file(ROOT / "od.config").values
        own = {key: shipped[key] for key in ("jwt_token_user", "jwt_token_desktop", "logging")}
        values = {**self.service.values(), **own}
        write_configuration(mounts / "od.config", values)
        for path in (mounts, *mounts.rglob("*")):
            os.chown(path, user, user)
        self.container = Container(
            f"pyos-{os.getpid()}-{self.service.port}",
            built.root,
            directory / "bundle",
            {**built.config, "User": f"{user}:{user}"},
            binds={
                **{f"/config.{mount}": mounts / mount for mount in pairs},
                "/var/pyos/od.config": mounts / "od.config",
                "/config.kube/kubeconfig": mounts / "kubeconfig",
                "/etc/hosts": Path("/etc/hosts"),
            },
            environment={
                "KUBECONFIG": "/config.kube/kubeconfig",
                "MONGODB_URL": backends.mongodb_url,
                "MONGODB_PARAM": backends.mongodb_param,
                "POD_NAMESPACE": NAMESPACE,
            },
        )

    def start(self) -> None:
        self.container.start()
        until(self._answers, 60)

    def _answers(self) -> bool:
        assert self.container.process is not None
        assert self.container.process.poll() is None, self.container.log.read_text()[-3000:]
        try:
            return requests.get(f"{self.service.url}/API/healthz", timeout=2).ok
        except requests.RequestException:
            return False


@pytest.fixture
def replica_of(built: Built, backends: Backends, tmp_path: Path) -> Iterator[Callable[[int], Replica]]:
    """Make a replica that runs as a user."""
    tmp_path.chmod(0o755)
    made: list[Replica] = []

    def make(user: int) -> Replica:
        replica = Replica(built, backends, tmp_path / str(user), user)
        made.append(replica)
        # mount points that the image does not have are made in the unpacked copy, as a container runtime does
        for path, source in replica.container.binds.items():
            target = built.inside(path)
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
        return replica

    yield make
    for replica in made:
        replica.container.remove()


@pytest.fixture
def replica(replica_of: Callable[[int], Replica]) -> Replica:
    return replica_of(USER)


def chroot(built: Built, *argv: str) -> str:
    """The output of a program of the image."""
    done = subprocess.run(["chroot", str(built.root), *argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_configuration_of_the_image(built: Built) -> None:
    config = built.config
    assert config["User"] == "10001:10001"
    assert config["WorkingDir"] == "/var/pyos"
    assert config["Cmd"] == ["/docker-entrypoint.sh"]
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "curl"]
    assert not [entry for entry in config["Env"] if "PASSWORD" in entry or "SECRET" in entry]


def test_labels_and_version_tell_the_commit_that_was_built(built: Built) -> None:
    version = json.loads(built.inside("/var/pyos/version.json").read_text())
    labels = built.config["Labels"]
    assert len(version["commit"]) == 40
    assert labels["org.opencontainers.image.revision"] == version["commit"]
    assert labels["org.opencontainers.image.created"] == version["date"]
    assert labels["org.opencontainers.image.version"] == f"4.4.{version['version']}"


def test_what_installers_and_the_product_need_is_there(built: Built) -> None:
    for program in ("usr/bin/curl", "usr/bin/tar", "usr/sbin/cntlm", "usr/bin/kinit", "usr/bin/ldapsearch"):
        assert any(built.inside(place).exists() for place in (program, program.removeprefix("usr/"))), program
    python = "/var/pyos/bin/python"
    chroot(built, python, "-c", "import cherrypy, kubernetes, pymongo, ldap3, gssapi, pyasn, geoip2")
    assert "--helper-protocol" in chroot(built, "/var/pyos/oc/auth/ntlm/ntlm_auth", "--help")


def test_what_was_needed_to_build_is_gone(built: Built) -> None:
    for program in ("usr/bin/gcc", "usr/bin/make", "var/pyos/bin/pip"):
        assert not built.inside(program).exists(), program
    assert not list(built.inside("/var/lib/apt/lists").glob("*Packages*"))
    for name in ("tests", "devstack", ".git", "docs"):
        assert not built.inside(f"/var/pyos/{name}").exists(), name


def test_the_address_databases_are_those_of_the_build_arguments(built: Built) -> None:
    for name, directory in DATABASES.items():
        target = f"{directory}/{name}"
        wanted = Path(STATE, "mirror", name).read_bytes()
        assert hashlib.sha256(built.inside(target).read_bytes()).digest() == hashlib.sha256(wanted).digest()


def test_nothing_of_the_product_can_be_changed_by_its_user(built: Built) -> None:
    writable = []
    for path in built.inside("/var/pyos").rglob("*"):
        state = path.lstat()
        if not path.is_symlink() and (state.st_uid == USER or state.st_mode & 0o002):
            writable.append(path)
    assert writable == [built.inside("/var/pyos/logs")]


def test_every_user_can_read_the_product(built: Built) -> None:
    for path in (built.inside("/docker-entrypoint.sh"), *built.inside("/var/pyos").rglob("*")):
        mode = path.lstat().st_mode
        if not path.is_symlink() and path != built.inside("/var/pyos/logs"):
            assert mode & 0o004, path
            assert mode & 0o001 or not path.is_dir(), path


def test_it_runs_as_a_user_that_the_image_does_not_know(replica_of: Callable[[int], Replica]) -> None:
    """As of clusters that give each namespace user numbers of its own."""
    replica = replica_of(1000680000)
    replica.start()
    replica.container.signal("TERM")
    assert replica.container.wait() == 0


def test_the_deployment_of_4_4_needs_no_other_line_than_the_image(replica: Replica, stack: Stack) -> None:
    """configuration.md 8.1: no security context, no volume for logs, mounts owned by root that all may read."""
    container = replica.container
    templates = {f"/var/pyos/{name}": ROOT / name for name in ("passwd", "group", "shadow", "gshadow")}
    container.binds = {**container.binds, **templates}
    container.writable, container.read_only = (), False
    container.command = ["/var/pyos/od.py"]  # as manifests up to 3.2 say
    mounts = container.binds["/var/pyos/od.config"].parent
    for path in (mounts, *mounts.rglob("*")):
        os.chown(path, 0, 0)
        path.chmod(0o755 if path.is_dir() else 0o644)
    logs = container.root / "var/pyos/logs"
    try:
        replica.start()
        with Api(replica.service.url) as client:
            client.login()
            assert client.result("composer/launchdesktop")["vncpassword"]
            client.post("auth/logout")
        container.signal("TERM")
        assert container.wait() == 0
        assert (logs / "trace.log").stat().st_uid == USER
    finally:
        container.remove()
        for path in logs.iterdir():
            path.unlink()


def test_a_session_in_the_container_and_a_graceful_stop(replica: Replica, stack: Stack) -> None:
    replica.start()
    lines: list[str] = []
    pods = f"/api/v1/namespaces/{stack.namespace}/pods"

    def items() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = stack.cluster_admin("GET", pods)["items"]
        return found

    Session(replica.service.url, replica.service.api_key, items, lines.append).run()
    assert lines
    container = replica.container
    status = Path(f"/proc/{container.pid()}/status").read_text()
    fields = {key: value.split() for key, _, value in (line.partition(":") for line in status.splitlines())}
    assert fields["Name"][0].startswith(("python", "od.py"))
    assert fields["NSpid"][-1] == "1"
    assert set(fields["Uid"]) == {str(USER)}
    assert set(fields["CapEff"][0]) == {"0"}
    # what the image calls healthy, asked as the container engine would (the port is the test's own)
    check = [
        word.replace(":8000/", f":{replica.service.port}/") for word in container.config["Healthcheck"]["Test"][1:]
    ]
    container.exec(*check)
    with pytest.raises(ImageError, match=r"(?i)read-only file system"):
        container.exec("sh", "-c", "echo x > /var/pyos/probe")
    assert "trace.log" in container.exec("ls", "/var/pyos/logs")
    container.signal("TERM")
    assert container.wait() == 0
    assert "SIGTERM received, stopping" in container.log.read_text()


def test_commands_of_the_operator_run_in_the_container(replica: Replica) -> None:
    replica.container.command = ["/docker-entrypoint.sh", "--check-config"]
    replica.container.start()
    assert replica.container.wait() in (0, 2), replica.container.log.read_text()
    assert "od.config: 0 errors" in replica.container.log.read_text()
