"""Building with buildah, as root, in a storage of its own; nothing is written to the machine's container storage."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PROGRAMS: Final = ("buildah", "mmdebstrap", "runc", "unshare", "mount")
BASE_IMAGE: Final = "localhost/pyos-base:check"
NTLM_IMAGE: Final = "localhost/pyos-ntlm:check"
PYOS_IMAGE: Final = "localhost/pyos:check"
HOST_CA: Final = "/etc/ssl/certs/ca-certificates.crt"
ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 10.0
_TRANSIENT: Final = re.compile(
    r"(?i)failed to fetch|could not (resolve|connect)|temporary failure|timed? ?out|hash sum mismatch|incompleteread"
    r"|connection (reset|refused|broken|aborted)|max retries|remote end closed|unexpected eof"
    r"|50[0234] (internal|bad|service|gateway)|error: 50[0234]|do(es)? not match.*hash"
)
"""What apt, pip and curl say of a download that did not work. Anything else is a defect, and is told at once."""

BUILD_SECONDS: Final = 1800.0
STEP_SECONDS: Final = 300.0


class ImageError(RuntimeError):
    """A build or a run failed; the text ends with what the program said last."""


def missing() -> str:
    """Why images cannot be built and run here; empty when they can."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        return "it needs Linux and root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (on Debian: apt-get install buildah mmdebstrap runc)"
    return _mountable()


def _mountable() -> str:
    """Why nothing can be mounted here; empty when it can. Nothing stays mounted."""
    with tempfile.TemporaryDirectory() as target:
        try:
            run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", target], {}, STEP_SECONDS)
        except ImageError as error:
            reason = str(error).strip().splitlines()[-1]
            return f"this machine permits no mount, for which CAP_SYS_ADMIN is needed ({reason})"
    return ""


def _stacks(state: Path) -> bool:
    """Whether file systems can be stacked (overlay) below ``state``; not inside most containers."""
    with tempfile.TemporaryDirectory(dir=state) as directory:
        lower, upper, work, merged = (Path(directory, name) for name in ("lower", "upper", "work", "merged"))
        for path in (lower, upper, work, merged):
            path.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        try:
            run(
                ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, str(merged)],
                {},
                STEP_SECONDS,
            )
        except ImageError:
            return False
    return True


def authorities() -> Path | None:
    """The certificates this machine trusts, as the variables of OpenSSL and pip name them."""
    names = (os.environ.get("PIP_CERT"), os.environ.get("SSL_CERT_FILE"), HOST_CA)
    return next((Path(name) for name in names if name and Path(name).is_file()), None)


@dataclass(frozen=True)
class Builder:
    """``state``: directory for storage, base, downloads and logs. Safe to be used again: finished bases are kept.

    ``tell``: gets a line for each part that is done.
    """

    state: Path
    tell: Callable[[str], None] = lambda line: None

    def build(self, arguments: Mapping[str, str], mirror: Path | None = None) -> None:
        """Build Dockerfile.ubuntu on the stand-in bases as PYOS_IMAGE. Raises ImageError.

        arguments: build arguments. mirror: directory that the build sees as file:///mirror/ (for the databases).
        """
        self.state.mkdir(parents=True, exist_ok=True)
        self._prepare()
        retried("base", self._base, self.tell)
        retried("ntlm stage", self._ntlm, self.tell)
        bases = {"BASE_IMAGE": BASE_IMAGE, "NTLM_IMAGE": NTLM_IMAGE}
        options = [f"--build-arg={key}={value}" for key, value in {**bases, **arguments}.items()]
        if mirror is not None:
            options.append(f"--volume={mirror}:/mirror:ro")
        retried(
            "Dockerfile.ubuntu", lambda: self._build(ROOT / "Dockerfile.ubuntu", PYOS_IMAGE, ROOT, options), self.tell
        )

    def inspect(self, image: str = PYOS_IMAGE) -> dict[str, Any]:
        """The image's configuration: User, Cmd, Labels, Healthcheck, Env."""
        document = json.loads(self.buildah("inspect", "--type=image", image))
        config: dict[str, Any] = document["Docker"]["config"]
        return config

    def unpack(self, image: str = PYOS_IMAGE) -> tuple[str, Path]:
        """A working container of the image: (its name, its root directory). ``discard`` it afterwards."""
        name = self.buildah("from", "--pull-never", image).strip()
        return name, Path(self.buildah("mount", name).strip())

    def discard(self, name: str) -> None:
        """Remove a working container."""
        self.buildah("umount", name)
        self.buildah("rm", name)

    def close(self) -> None:
        """Leave no mount behind: buildah keeps some of its storage, which then could not be deleted."""
        storage = str((self.state / "storage").resolve())
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for path in sorted((mount for mount in mounts if mount.startswith(storage)), reverse=True):
            run(["umount", path], {}, STEP_SECONDS)

    def buildah(self, *arguments: str, seconds: float = STEP_SECONDS) -> str:
        """What buildah printed. Raises ImageError."""
        return run(["buildah", *arguments], {"CONTAINERS_STORAGE_CONF": str(self.state / "storage.conf")}, seconds)

    # -- parts -------------------------------------------------------------------------------------------------------
    def _prepare(self) -> None:
        configuration = self.state / "storage.conf"
        if not configuration.exists():  # a storage keeps its driver
            driver = "overlay" if _stacks(self.state) else "vfs"
            storage = {"driver": driver, "runroot": str(self.state / "run"), "graphroot": str(self.state / "storage")}
            lines = ["[storage]", *(f'{key} = "{value}"' for key, value in storage.items())]
            configuration.write_text("\n".join(lines) + "\n")
        # packages of Debian are fetched once for all stages and attempts
        (self.state / "archives").mkdir(exist_ok=True)
        # pip in the build trusts what this machine trusts: a registry may be behind a company's proxy
        (self.state / "pip.conf").write_text("[global]\ncert = /run/host-ca.pem\n")
        # what an interrupted build left behind
        self.buildah("rm", "--all")
        self.buildah("rmi", "--prune", "--force")

    def _base(self) -> None:
        if self._has(BASE_IMAGE):
            return
        archive = self.state / "base.tar"
        if not archive.exists():
            part = archive.with_suffix(".part.tar")
            codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
            options = ["--variant=minbase", "--include=ca-certificates"]
            run(["mmdebstrap", *options, codename, str(part)], {}, BUILD_SECONDS)
            part.replace(archive)
        recipe = self._recipe("base", "FROM scratch\nADD base.tar /\n")
        self._build(recipe, BASE_IMAGE, self.state, [])

    def _ntlm(self) -> None:
        if self._has(NTLM_IMAGE):
            return
        fetch = "mkdir /dist && cd /dist && apt-get update -qq && apt-get download -qq winbind"
        self._build(self._recipe("ntlm", f"FROM {BASE_IMAGE}\nRUN {fetch}\n"), NTLM_IMAGE, self.state, [])

    def _has(self, image: str) -> bool:
        return bool(self.buildah("images", "--quiet", "--filter", f"reference={image}").strip())

    def _recipe(self, name: str, text: str) -> Path:
        recipe = self.state / f"Containerfile.{name}"
        recipe.write_text(text)
        # the context is the state directory: only the archive may be read from it
        recipe.with_name(f"{recipe.name}.ignore").write_text("*\n!base.tar\n")
        return recipe

    def _build(self, recipe: Path, tag: str, context: Path, options: Sequence[str]) -> None:
        common = ["--format=docker", "--layers=false", "--isolation=chroot", "--network=host", "--pull-never"]
        if recipe.parent == self.state:
            common.append(f"--ignorefile={recipe}.ignore")
        common.append(f"--volume={self.state / 'archives'}:/var/cache/apt/archives")
        trusted = authorities()
        if trusted is not None:
            common.append(f"--volume={trusted.resolve()}:/run/host-ca.pem:ro")
            common.append(f"--volume={self.state / 'pip.conf'}:/etc/pip.conf:ro")
        self.buildah(
            "build", *common, *options, f"--tag={tag}", f"--file={recipe}", str(context), seconds=BUILD_SECONDS
        )


def retried(name: str, work: Callable[[], None], tell: Callable[[str], None], pause: float = PAUSE_SECONDS) -> None:
    """Do one part of a build; again, after ``pause`` seconds, when a download did not work. Raises ImageError."""
    began = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            work()
            break
        except ImageError as error:
            if attempt == ATTEMPTS or not _TRANSIENT.search(str(error)):
                raise
            tell(f"{name}: a download did not work, once more\n{error}")
            time.sleep(pause)
    tell(f"{name}: done in {time.monotonic() - began:.0f} s")


def run(argv: Sequence[str], environment: Mapping[str, str], seconds: float) -> str:
    """The output of a program. Raises ImageError with the end of what it said when it fails or takes too long."""
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{argv[0]} {argv[1]}: no end after {seconds:.0f} s") from error
    if done.returncode != 0:
        raise ImageError(f"{argv[0]} {argv[1]}: status {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
