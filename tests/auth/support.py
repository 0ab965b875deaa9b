"""Key files made by openssl, as an installation makes them, and a clock that stands still."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

START = 1_800_000_000.0


class FakeClock:
    """A clock that moves only when told."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class KeyFiles:
    """One pair; ``public`` is SubjectPublicKeyInfo, ``pkcs1`` the same key as PKCS#1."""

    private: Path
    public: Path
    pkcs1: Path


@dataclass(frozen=True)
class UserTokenConfig:
    private_key_file: Path
    public_key_file: Path
    exp: int = 360
    leeway: int = 20
    public_key_file_previous: Path | None = None


@dataclass(frozen=True)
class DesktopTokenConfig:
    private_key_file: Path
    public_key_file: Path
    payload_public_key_file: Path
    exp: int = 420
    leeway: int = 20


def make_keys(directory: Path, name: str, bits: int) -> KeyFiles:
    """The openssl commands of spec auth.md 3.3."""
    keys = KeyFiles(
        directory / f"{name}_private.pem", directory / f"{name}_public.pem", directory / f"{name}_pkcs1.pem"
    )
    for command in (
        ["openssl", "genrsa", "-out", keys.private, str(bits)],
        ["openssl", "rsa", "-in", keys.private, "-outform", "PEM", "-pubout", "-out", keys.public],
        ["openssl", "rsa", "-pubin", "-in", keys.public, "-RSAPublicKey_out", "-out", keys.pkcs1],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    return keys


TEMPLATES = {
    "passwd": "{{ uid }}:x:{{ uidNumber }}:{{ gidNumber }}:{{ gecos }}:{{ homeDirectory }}:{{ loginShell }}\n",
    "shadow": "{{ uid }}:{{ sha512 }}:19080:0:99999:7:::\n",
    "group": "sudo:x:27:{{ uid }}\nlpadmin:x:101:root,{{ uid }}\n{{ gid }}:x:{{ gidNumber }}:{{ uid }}\n",
    "gshadow": "sudo:*::{{ uid }}\nlpadmin:!::root,{{ uid }}\n{{ gid }}:!::{{ uid }}\n",
}
"""The lines of spec auth.md 4.6."""


def write_templates(directory: Path) -> Path:
    """Put the account templates where the default configuration looks for them."""
    for name, text in TEMPLATES.items():
        (directory / name).write_text(text)
    return directory
