"""The program that builds the images here: what it says when it cannot, and what it tries again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from devstack.images.building import ATTEMPTS, ImageError, authorities, missing, retried

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_HERE = "the image cannot be built here: "


def build(directory: Path, prefix: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "devstack.images", "build", str(directory)]
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def lesser(*options: str) -> list[str]:
    """A command that takes rights of root away."""
    program = shutil.which("setpriv")
    if os.geteuid() != 0 or program is None:
        pytest.skip("takes rights away from root: needs root and setpriv")
    return [program, *options]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory in the place of PATH, with programs of the right names that do nothing."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("buildah", "mmdebstrap", "runc"):
        (directory / name).symlink_to("/bin/true")
    return directory


def test_a_user_without_rights_is_told_what_is_missing_with_status_1(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        reader = lesser("--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups")
        probe = [*reader, sys.executable, "-c", "import devstack.images"]
        if subprocess.run(probe, cwd=ROOT, check=False, capture_output=True).returncode:
            pytest.skip("nobody but root can read this installation")
    else:
        reader = []
    done = build(tmp_path / "state", reader)
    assert (done.returncode, done.stdout) == (1, f"{NOT_HERE}it needs Linux and root\n"), done.stderr


def test_programs_that_are_not_installed_are_named(tmp_path: Path) -> None:
    done = build(tmp_path / "state", lesser(), PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout.startswith(f"{NOT_HERE}not installed: buildah, mmdebstrap, runc")
    assert not (tmp_path / "state").exists()


def test_a_machine_that_permits_no_mount_is_told_so(tmp_path: Path, programs: Path) -> None:
    less = lesser("--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    done = build(tmp_path / "state", less, PATH=f"{programs}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{NOT_HERE}this machine permits no mount, for which CAP_SYS_ADMIN is needed (")
    assert "Operation not permitted" in done.stdout


def test_looking_what_is_missing_leaves_no_mount_behind() -> None:
    before = Path("/proc/self/mounts").read_text()
    missing()
    assert Path("/proc/self/mounts").read_text() == before


@pytest.mark.parametrize(
    "said",
    [
        "E: Failed to fetch http://deb.debian.org/x.deb  503  Service Unavailable",
        "W: Temporary failure resolving 'deb.debian.org'",
        "pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.",
        "curl: (22) The requested URL returned error: 502",
        "ERROR: Could not install packages due to an OSError: Max retries exceeded with url",
    ],
)
def test_a_download_that_does_not_work_is_tried_again(said: str) -> None:
    failures = [ImageError(f"buildah build: status 1\n{said}")] * (ATTEMPTS - 1)
    lines: list[str] = []

    def work() -> None:
        if failures:
            raise failures.pop()

    retried("part", work, lines.append, 0.0)
    assert not failures
    assert [line.partition("\n")[0] for line in lines[:-1]] == ["part: a download did not work, once more"] * 2
    assert lines[-1].startswith("part: done in ")


def test_a_download_that_never_works_ends_the_build() -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise ImageError("curl: (28) Connection timed out")

    with pytest.raises(ImageError, match="timed out"):
        retried("part", work, lambda line: None, 0.0)
    assert len(tries) == ATTEMPTS


@pytest.mark.parametrize("said", ["E: Unable to locate package krb5-usr", "no such file: requirements.txt", "502 kB"])
def test_a_defect_is_told_at_once(said: str) -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise ImageError(said)

    with pytest.raises(ImageError):
        retried("part", work, lambda line: None, 0.0)
    assert len(tries) == 1


def test_the_build_trusts_what_the_machine_is_told_to_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.pem"
    mine.write_text("")
    monkeypatch.delenv("PIP_CERT", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    assert authorities() != tmp_path / "gone.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(mine))
    assert authorities() == mine
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "pip.pem"))
    (tmp_path / "pip.pem").write_text("")
    assert authorities() == tmp_path / "pip.pem"
