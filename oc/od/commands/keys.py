"""New key material: the three RSA key pairs of the tokens, in the files the configuration names.

Formats (configuration.md 7): private keys PKCS#1 PEM; signing public keys SubjectPublicKeyInfo PEM; the payload public
key PKCS#1 PEM, the only form the router's tool chain reads.
"""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from base64 import b64encode
from pathlib import Path
from typing import Final, TextIO

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

KEY_BITS: Final = 2048
KEYFILE_BYTES: Final = 756
SPKI: Final = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS1: Final = serialization.PublicFormat.PKCS1
#: Prefix of the file names -> (Secret of the manifests, format of the public key).
PAIRS: Final = {
    "abcdesktop_jwt_user_signing": ("abcdesktopjwtusersigning", SPKI),
    "abcdesktop_jwt_desktop_signing": ("abcdesktopjwtdesktopsigning", SPKI),
    "abcdesktop_jwt_desktop_payload": ("abcdesktopjwtdesktoppayload", PKCS1),
}
KEYFILE: Final = "mongod.keyfile"


def generate_keys(directory: Path, out: TextIO | None = None) -> int:
    """Write key pairs and MongoDB's key file into ``directory`` (mode 0700, files 0600); the exit status.

    0: done; the lines printed make the Secrets of them. 1: a file exists already (nothing is overwritten, nothing is
    written), or the directory cannot be written.
    """
    stream = sys.stdout if out is None else out
    names = [*(f"{prefix}_{half}_key.pem" for prefix in PAIRS for half in ("private", "public")), KEYFILE]
    present = [name for name in names if (directory / name).exists()]
    if present:
        print(f"{directory}: {', '.join(present)} exist already, nothing was written", file=sys.stderr)
        return 1
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for prefix, (_, public_format) in PAIRS.items():
            _write_pair(directory, prefix, public_format)
        _write(directory / KEYFILE, b64encode(secrets.token_bytes(KEYFILE_BYTES)) + b"\n")
    except OSError as error:
        print(f"{directory}: {error.strerror or error}", file=sys.stderr)
        return 1
    for prefix, (secret, _) in PAIRS.items():
        files = " ".join(_from_file(directory / f"{prefix}_{half}_key.pem") for half in ("private", "public"))
        print(f"kubectl create secret generic {secret} {files}", file=stream)
    print(f"kubectl create secret generic abcdesktop-mongod-keyfile {_from_file(directory / KEYFILE)}", file=stream)
    return 0


def _from_file(path: Path) -> str:
    """The argument of kubectl, as a shell reads it."""
    return shlex.quote(f"--from-file={path}")


def _write_pair(directory: Path, prefix: str, public_format: serialization.PublicFormat) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    _write(directory / f"{prefix}_private_key.pem", private)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, public_format)
    _write(directory / f"{prefix}_public_key.pem", public)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
