"""Key material of the stack: RSA key pairs in files named as the product's configuration names them.

Formats: private keys PKCS#1 PEM; signing public keys SubjectPublicKeyInfo PEM; the payload public key PKCS#1 PEM,
because the router's tool chain reads only that form.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

KEY_BITS = 2048
USER_SIGNING = "abcdesktop_jwt_user_signing"
DESKTOP_SIGNING = "abcdesktop_jwt_desktop_signing"
DESKTOP_PAYLOAD = "abcdesktop_jwt_desktop_payload"


@dataclass(frozen=True)
class KeyPair:
    """Paths of one pair."""

    private: Path
    public: Path


@dataclass(frozen=True)
class KeyFiles:
    """The three pairs of the product."""

    user_signing: KeyPair
    desktop_signing: KeyPair
    desktop_payload: KeyPair


def write_private(path: Path, content: bytes) -> None:
    """Write a file only its owner may read, in one step: a reader sees the old content or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def _make_pair(directory: Path, prefix: str, public_format: serialization.PublicFormat) -> KeyPair:
    pair = KeyPair(directory / f"{prefix}_private_key.pem", directory / f"{prefix}_public_key.pem")
    if pair.private.exists() and pair.public.exists():
        return pair
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    # The public half first: a pair is taken as complete when both are there.
    write_private(pair.public, key.public_key().public_bytes(serialization.Encoding.PEM, public_format))
    write_private(pair.private, private)
    return pair


def ensure_keys(directory: Path) -> KeyFiles:
    """Make the pairs that are missing in `directory` (mode 0700, files 0600); what exists is kept."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    spki, pkcs1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
    return KeyFiles(
        user_signing=_make_pair(directory, USER_SIGNING, spki),
        desktop_signing=_make_pair(directory, DESKTOP_SIGNING, spki),
        desktop_payload=_make_pair(directory, DESKTOP_PAYLOAD, pkcs1),
    )
