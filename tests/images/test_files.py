"""The files the images are made of, without building: linters, what the context holds, what the Dockerfiles promise."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKERFILES = ("Dockerfile.ubuntu", "Dockerfile.alpine")
#: Read from the working directory at run time (services.md 1.1).
READ_FILES = ("od.py", "od.config", "passwd", "group", "shadow", "gshadow", "redirect.mustache.html", "version.json")


def linter(name: str) -> str:
    """A linter of the virtual environment, else of the machine."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (pip install {name}-bin or {name}-py)")
    return found


def tracked(*patterns: str) -> list[str]:
    """Files of the repository, as it is here."""
    listing = ["git", "ls-files", "-co", "--exclude-standard", *patterns]
    found = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("not a git work tree")
    return [name for name in found.stdout.split("\n") if name and (ROOT / name).exists()]


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) with continued lines joined, without comments."""
    text = "\n".join(line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def in_context(name: str) -> bool:
    """Whether .dockerignore lets a path into the build (the last pattern that fits counts)."""
    inside = True
    for raw in (ROOT / ".dockerignore").read_text().splitlines():
        if not raw or raw.startswith("#"):
            continue
        pattern = raw.removeprefix("!")
        parts = [name, *(str(parent) for parent in Path(name).parents if str(parent) != ".")]
        plain = pattern.removeprefix("**/")
        anywhere = [Path(part).name for part in parts] if plain != pattern else []
        if fnmatch.filter(parts, pattern) or fnmatch.filter(anywhere, plain):
            inside = raw.startswith("!")
    return inside


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    done = subprocess.run([linter("hadolint"), name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_shellcheck_has_nothing_to_say_about_any_script() -> None:
    scripts = tracked("*.sh", ".ci/run")
    assert "docker-entrypoint.sh" in scripts
    done = subprocess.run([linter("shellcheck"), *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_exists_and_reaches_the_build(name: str) -> None:
    sources: list[str] = []
    for word, rest in instructions(name):
        if word == "COPY" and not rest.startswith("--from"):
            sources += rest.split()[:-1]
    assert "requirements.txt" in sources
    for source in sources:
        assert (ROOT / source).exists()
        assert source == "." or in_context(source), source


def test_everything_pyos_reads_from_its_directory_reaches_the_build() -> None:
    for name in (*READ_FILES, "oc/web/docs.html", "controllers/root.py", "img/app", "docker-entrypoint.sh"):
        assert (ROOT / name).exists(), name
        assert in_context(name), name


def test_what_is_not_needed_or_private_does_not_reach_the_build() -> None:
    for name in (
        ".git/config",
        ".venv/bin/python",
        ".devstack/env",
        "tests/conftest.py",
        "devstack/keys.py",
        "secret.key",
    ):
        assert not in_context(name), name


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_result_runs_without_root_and_is_checked(name: str) -> None:
    last = len(instructions(name)) - [word for word, _ in instructions(name)][::-1].index("FROM")
    final = instructions(name)[last:]
    words = [word for word, _ in final]
    assert dict(final)["USER"] == "10001:10001"
    assert {"HEALTHCHECK", "STOPSIGNAL", "EXPOSE"} <= set(words)
    # the form of a list: no shell stands between the container and the program
    assert dict(final)["CMD"].startswith("[")
    assert "ENTRYPOINT" not in words  # manifests that name a command keep working
    assert words.index("USER") > max(index for index, word in enumerate(words) if word in ("RUN", "COPY"))
    label = dict(final)["LABEL"]
    assert all(f"org.opencontainers.image.{key}=" in label for key in ("title", "version", "revision", "created"))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_no_compiler_is_installed_in_the_result(name: str) -> None:
    found = instructions(name)
    last = len(found) - [word for word, _ in found][::-1].index("FROM")
    installed = " ".join(rest for word, rest in found[last:] if word == "RUN")
    assert not re.search(r"\b(gcc|make|rustc|[\w-]+-dev)\b", installed)
    assert re.search(r"\bcurl\b", installed)
    assert re.search(r"\btar\b", installed)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_every_download_can_be_pointed_elsewhere_checked_and_left_out(name: str) -> None:
    arguments = {rest.partition("=")[0] for word, rest in instructions(name) if word == "ARG"}
    assert {"GEOLITE_URL", "GEOLITE_CITY_SHA256", "GEOLITE_ASN_SHA256", "IPASN_URL", "IPASN_SHA256"} <= arguments
    assert "BASE_IMAGE" in arguments
    assert ("NTLM_IMAGE" in arguments) == (name == "Dockerfile.ubuntu")


def test_the_alpine_image_says_that_it_has_no_ntlm() -> None:
    text = (ROOT / "Dockerfile.alpine").read_text()
    assert "Without NTLM" in text
    assert 'image.description="Control plane of a container desktop platform, without NTLM"' in text


def test_the_ubuntu_image_puts_ntlm_auth_where_the_product_looks() -> None:
    from oc.auth.derived import CNTLM, NTLM_AUTH

    directory, _, program = NTLM_AUTH.rpartition("/")
    text = (ROOT / "Dockerfile.ubuntu").read_text()
    assert "WORKDIR /var/pyos" in text
    assert f"cp /usr/bin/{program} {NTLM_AUTH.removeprefix('/var/pyos/')}" in text
    assert f"mkdir -p {directory.removeprefix('/var/pyos/')}" in text
    assert CNTLM == "/usr/sbin/cntlm"  # where the packages of both releases put it
