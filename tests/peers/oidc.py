"""Identity providers as processes: npm ``oidc-provider`` (certified) and a server that also misbehaves on demand."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import requests

from devstack.children import Child, start_child
from devstack.service import free_port

HERE = Path(__file__).parent
NODE = HERE / "oidc_node"
INSTALL_SECONDS = 120
READY_SECONDS = 90
OLDEST_NODE = 20


def install_oidc_provider() -> None:
    """Install the npm package where it is not there yet; skips the test with the reason where that cannot be."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: the certified OpenID provider cannot run (apt-get install npm)")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    if not (found := re.match(r"v([0-9]+)\.", version)) or int(found.group(1)) < OLDEST_NODE:
        pytest.skip(f"the certified OpenID provider needs Node.js {OLDEST_NODE}, this is {version.strip() or 'none'}")
    if (NODE / "node_modules" / ".package-lock.json").exists():
        return
    with (Path(tempfile.gettempdir()) / "pyos-oidc-peer.lock").open("w") as lock:
        # one of several test processes installs, the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (NODE / "node_modules" / ".package-lock.json").exists():
            return
        done = subprocess.run(
            ["npm", "ci", "--silent", "--ignore-scripts"],
            cwd=NODE,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    if done.returncode:
        pytest.skip(f"npm ci failed, the certified OpenID provider cannot run: {done.stderr.strip()[-300:]}")


class Peer:
    """A running provider. ``issuer`` is its address."""

    def __init__(self, port: int, client_id: str, client_secret: str) -> None:
        self.port = port
        self.issuer = f"http://127.0.0.1:{port}"
        self.client_id = client_id
        self.client_secret = client_secret
        self.child: Child | None = None

    def _run(self, name: str, argv: Iterable[str], log: Path) -> Self:
        self.child = start_child(name, list(argv), log)
        self.child.wait_ready_line(READY_SECONDS)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.child is not None:
            self.child.stop()
            self.child = None


class CertifiedProvider(Peer):
    """npm oidc-provider. ``users``: login -> claims; its sign-in page takes any password."""

    def start(self, state: Path, redirects: Iterable[str], users: Mapping[str, Mapping[str, Any]]) -> Self:
        install_oidc_provider()
        given = {"port": self.port, "secret": self.client_secret, "redirects": list(redirects), "users": users}
        argv = ["node", str(NODE / "provider.mjs"), json.dumps(given)]
        return self._run("oidc-provider", argv, state / "oidc-provider.log")


class ObedientProvider(Peer):
    """tests/peers/oauth_server.py."""

    def start(self, state: Path) -> Self:
        argv = [sys.executable, str(HERE / "oauth_server.py"), str(self.port), self.client_id, self.client_secret]
        return self._run("oauth server", argv, state / "oauth-server.log")

    def user(self, login: str, **description: Any) -> str:
        """Describe a user; see oauth_server.py."""
        requests.put(f"{self.issuer}/users/{login}", json=description, timeout=10).raise_for_status()
        return login

    def rotate(self) -> None:
        """Change the signing key."""
        requests.post(f"{self.issuer}/rotate", timeout=10).raise_for_status()

    def calls(self, path: str) -> int:
        """How often ``path`` was asked for."""
        return int(requests.get(f"{self.issuer}/calls", timeout=10).json().get(path, 0))


def new_peer(kind: type[Peer], client_id: str) -> Any:
    """A provider that does not run yet, on a free port."""
    return kind(free_port(), client_id, "s3cret~of the:client/+&")
