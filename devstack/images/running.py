"""Running an unpacked image with runc the way the manifests do: no root, no capability, read-only file system.

The network is this machine's, so that the development stack on its loopback addresses can be reached.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from devstack.images.building import ImageError, run

STOP_SECONDS: Final = 30.0
STEP_SECONDS: Final = 30.0


@dataclass
class Container:
    """One container. ``config``: of the image. ``binds``: path inside -> file outside, read-only.

    ``writable``: directories that get an empty tmpfs, as the emptyDir volumes of the manifests.
    ``command``: instead of the image's. ``read_only``: the root file system.
    """

    name: str
    root: Path
    bundle: Path
    config: Mapping[str, Any]
    binds: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    writable: Sequence[str] = ("/tmp", "/var/pyos/logs")  # noqa: S108 - inside the container
    command: Sequence[str] = ()
    read_only: bool = True
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.bundle / "log"

    def start(self) -> None:
        """Start it in the background."""
        self.bundle.mkdir(parents=True, exist_ok=True)
        (self.bundle / "config.json").write_text(json.dumps(self._specification()))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self._runc(), "run", f"--bundle={self.bundle}", self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit status of its first process. Raises subprocess.TimeoutExpired."""
        assert self.process is not None
        return self.process.wait(seconds)

    def pid(self) -> int:
        """Its first process, as this machine sees it. Raises ImageError when it does not run."""
        return int(json.loads(run([*self._runc(), "state", self.name], {}, STEP_SECONDS))["pid"])

    def exec(self, *argv: str) -> str:
        """The output of a program inside, as the image's user. Raises ImageError when it fails."""
        return run([*self._runc(), "exec", self.name, *argv], {}, STEP_SECONDS)

    def signal(self, name: str) -> None:
        """Send a signal to its first process."""
        run([*self._runc(), "kill", self.name, name], {}, STEP_SECONDS)

    def remove(self) -> None:
        """End it, whatever it does. Safe to call twice."""
        if self.process is None:
            return
        if self.process.poll() is None:
            end = time.monotonic() + STOP_SECONDS
            while self.process.poll() is None and time.monotonic() < end:
                with contextlib.suppress(ImageError):  # not created yet, or gone
                    self.signal("KILL")
                time.sleep(0.1)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        self.process = None

    def _runc(self) -> list[str]:
        return ["runc", f"--root={self.bundle / 'state'}"]

    def _specification(self) -> dict[str, Any]:
        """config.json of the runtime specification 1.0."""
        user, _, group = str(self.config["User"]).partition(":")
        environment = {**dict(entry.split("=", 1) for entry in self.config["Env"]), **self.environment}
        hidden = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": int(user), "gid": int(group or user)},
                "args": list(self.command or self.config["Cmd"]),
                "env": [f"{key}={value}" for key, value in environment.items()],
                "cwd": self.config["WorkingDir"],
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": str(self.root), "readonly": self.read_only},
            "mounts": [*_system_mounts(), *self._volumes()],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
                "maskedPaths": hidden,
                "readonlyPaths": ["/proc/sys", "/proc/bus"],
            },
        }

    def _volumes(self) -> list[dict[str, Any]]:
        user, _, group = str(self.config["User"]).partition(":")
        empty = ["nosuid", "nodev", "noexec", "mode=0770", f"uid={user}", f"gid={group or user}"]
        return [
            *({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": empty} for path in self.writable),
            *(
                {"destination": path, "type": "bind", "source": str(source), "options": ["bind", "ro"]}
                for path, source in self.binds.items()
            ),
        ]


def _system_mounts() -> list[dict[str, Any]]:
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "mode=1777"]},  # noqa: S108
        {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "nosuid", "ro"]},
    ]
