"""The entry point and the script that fetches address databases, run as they are."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """#!/usr/bin/env python3
import json, os, sys
wanted = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "VIRTUAL_ENV")
print(json.dumps({"pid": os.getpid(), "argv": sys.argv[1:], "cwd": os.getcwd(),
                  "env": {name: os.environ.get(name) for name in wanted}}))
"""
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nZXhhbXBsZQ==\n-----END CERTIFICATE-----\n"


class Image:
    """A directory laid out as /var/pyos is in the image."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.run = directory / "run"
        self.authorities = directory / "ca"
        self.system = directory / "system.pem"
        for path in (self.home, self.run):
            path.mkdir()
        self.system.write_text("# the system's\n")
        program = self.home / "od.py"
        program.write_text(PROGRAM)
        program.chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYOS_HOME": str(self.home),
            "PYOS_RUN_DIR": str(self.run),
            "PYOS_CA_DIR": str(self.authorities),
            "SSL_CERT_FILE": str(self.system),
        }
        return subprocess.Popen(
            [str(ROOT / "docker-entrypoint.sh"), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_the_entry_point_becomes_the_program_so_that_signals_reach_it(image: Image) -> None:
    process = image.start("--check-config", "a file")
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    said = json.loads(output)
    assert said["pid"] == process.pid
    assert said["argv"] == ["--check-config", "a file"]
    assert said["cwd"] == str(image.home)


def test_the_virtual_environment_is_activated(image: Image) -> None:
    (image.home / "bin").mkdir()
    (image.home / "bin/activate").write_text(f"VIRTUAL_ENV={image.home}\nexport VIRTUAL_ENV\n")
    output, _ = image.start().communicate(timeout=30)
    assert json.loads(output)["env"]["VIRTUAL_ENV"] == str(image.home)


def test_authorities_of_the_operator_are_trusted_besides_the_systems(image: Image) -> None:
    image.authorities.mkdir()
    (image.authorities / "one.crt").write_text(CERTIFICATE)
    (image.authorities / "two.pem").write_text(CERTIFICATE.replace("ZX", "ZY"))
    (image.authorities / "README").write_text("no certificate")
    for _ in range(2):  # a restart makes the same bundle
        output, errors = image.start().communicate(timeout=30)
        said = json.loads(output)["env"]
        assert said["SSL_CERT_FILE"] == said["REQUESTS_CA_BUNDLE"] == str(image.run / "pyos-ca-bundle.pem"), errors
        bundle = Path(said["SSL_CERT_FILE"]).read_text()
        assert bundle.startswith("# the system's\n")
        assert bundle.count("BEGIN CERTIFICATE") == 2
        assert "no certificate" not in bundle


def test_without_authorities_nothing_is_changed(image: Image) -> None:
    image.authorities.mkdir()
    output, _ = image.start().communicate(timeout=30)
    assert json.loads(output)["env"] == {
        "SSL_CERT_FILE": str(image.system), "REQUESTS_CA_BUNDLE": None, "VIRTUAL_ENV": None,
    }  # fmt: skip
    assert not list(image.run.iterdir())


def test_a_file_that_is_no_certificate_stops_the_start_and_is_named(image: Image) -> None:
    image.authorities.mkdir()
    (image.authorities / "wrong.crt").write_bytes(b"\x30\x82 DER")
    process = image.start()
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert "wrong.crt holds no certificate in PEM format" in errors


class Mirror:
    """A directory with databases, fetched by file URLs."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        self.directory = directory / "mirror"
        self.target = directory / "geolite2"
        self.ipasn = directory / "pyos/ipasn_db.dat"
        self.directory.mkdir()
        for name in ("GeoLite2-City.mmdb", "GeoLite2-ASN.mmdb", "ipasn_db.dat"):
            (self.directory / name).write_text(name)

    def sum(self, name: str) -> str:
        return hashlib.sha256((self.directory / name).read_bytes()).hexdigest()

    def fetch(self, **arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], **arguments}
        command = [str(ROOT / "deploy/image/geodata.sh"), str(self.target), str(self.ipasn)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path)


def test_databases_come_from_the_address_given_and_are_checked(mirror: Mirror) -> None:
    done = mirror.fetch(
        GEOLITE_URL=mirror.directory.as_uri(),
        GEOLITE_CITY_SHA256=mirror.sum("GeoLite2-City.mmdb"),
        GEOLITE_ASN_SHA256=mirror.sum("GeoLite2-ASN.mmdb"),
        IPASN_URL=(mirror.directory / "ipasn_db.dat").as_uri(),
        IPASN_SHA256=mirror.sum("ipasn_db.dat"),
    )
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_text() for path in mirror.target.iterdir()} == {
        name: name for name in ("GeoLite2-City.mmdb", "GeoLite2-ASN.mmdb")
    }
    assert mirror.ipasn.read_text() == "ipasn_db.dat"


def test_without_addresses_nothing_is_fetched_and_the_build_goes_on(mirror: Mirror) -> None:
    done = mirror.fetch(GEOLITE_URL="", IPASN_URL="")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(mirror.target.iterdir()) == []
    assert mirror.ipasn.parent.is_dir()  # the next stage copies from it
    assert not mirror.ipasn.exists()


@pytest.mark.parametrize("name", ["CITY", "ASN"])
def test_another_checksum_ends_the_build(mirror: Mirror, name: str) -> None:
    done = mirror.fetch(**{"GEOLITE_URL": mirror.directory.as_uri(), f"GEOLITE_{name}_SHA256": "0" * 64})
    assert done.returncode != 0
    assert "not the expected checksum" in done.stderr


def test_a_download_that_fails_ends_the_build(mirror: Mirror) -> None:
    assert mirror.fetch(IPASN_URL=(mirror.directory / "gone").as_uri()).returncode != 0
