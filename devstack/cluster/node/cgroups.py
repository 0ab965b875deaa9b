"""A control group a container, where the machine allows it.

Containers that share a process namespace can then still be told apart by /proc/PID/cgroup, as in a real cluster. No
limit is set. Without the right to make groups, process namespaces are never shared.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = "devstack-"


class CgroupMaker:
    """Makes and removes groups below one directory named after this process."""

    def __init__(self, root: Path = ROOT) -> None:
        self._base: Path | None = None
        for candidate in (root, root / "pids", root / "unified"):
            if (candidate / "cgroup.procs").exists() and os.access(candidate, os.W_OK):
                self._base = candidate
                break
        self._made: set[Path] = set()

    @property
    def is_available(self) -> bool:
        """Whether groups can be made."""
        return self._base is not None

    def make(self, name: str) -> list[str]:
        """The files a process writes its id to, to be in the new group; empty when groups cannot be made."""
        if self._base is None:
            return []
        path = self._base / f"{PREFIX}{os.getpid()}" / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError:
            self._base = None
            return []
        self._made.add(path)
        return [str(path / "cgroup.procs")]

    def remove(self, name: str) -> None:
        """Remove a group whose processes are gone; one that is still in use stays."""
        if self._base is None:
            return
        path = self._base / f"{PREFIX}{os.getpid()}" / name
        with contextlib.suppress(OSError):
            path.rmdir()
            self._made.discard(path)

    def close(self) -> None:
        """Remove what is left, and what a process that was killed left behind."""
        if self._base is None:
            return
        for path in list(self._made):
            with contextlib.suppress(OSError):
                path.rmdir()
        self.sweep()
        with contextlib.suppress(OSError):
            (self._base / f"{PREFIX}{os.getpid()}").rmdir()

    def sweep(self) -> None:
        """Remove the empty groups of launchers that no longer run."""
        if self._base is None:
            return
        for base in self._base.glob(f"{PREFIX}*"):
            pid = base.name.removeprefix(PREFIX)
            if not pid.isdigit() or Path(f"/proc/{pid}").exists():
                continue
            for path in [*base.glob("*"), base]:
                if path.is_dir():
                    with contextlib.suppress(OSError):
                        path.rmdir()
