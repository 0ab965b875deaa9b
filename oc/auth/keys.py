"""RSA key files, parsed once at boot (spec auth.md 3.3).

Public keys may be SubjectPublicKeyInfo (``BEGIN PUBLIC KEY``) or PKCS#1 (``BEGIN RSA PUBLIC KEY``); private keys
PKCS#1 or PKCS#8, without a pass phrase. Old installations have keys of 512 or 1024 bits: they load with a warning.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

logger = logging.getLogger(__name__)

RECOMMENDED_BITS = 2048
MAX_KEY_FILE = 65536


class KeyFileError(Exception):
    """A key file is missing, unreadable or holds something else. ``str()`` names the file and the purpose."""


def load_private_key(path: str | Path, purpose: str) -> RSAPrivateKey:
    """The RSA private key of a PEM file. Raises KeyFileError."""
    data = _read(path, purpose)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # the text of the library's error is not passed on: it may quote the file
        raise KeyFileError(f"{purpose}: {path} holds no usable PEM private key without a pass phrase") from error
    if not isinstance(key, RSAPrivateKey):
        raise KeyFileError(f"{purpose}: {path} holds a private key that is not RSA")
    _warn_when_short(key.key_size, path, purpose)
    return key


def load_public_key(path: str | Path, purpose: str) -> RSAPublicKey:
    """The RSA public key of a PEM file, in either form. Raises KeyFileError."""
    data = _read(path, purpose)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{purpose}: {path} holds no usable PEM public key") from error
    if not isinstance(key, RSAPublicKey):
        raise KeyFileError(f"{purpose}: {path} holds a public key that is not RSA")
    _warn_when_short(key.key_size, path, purpose)
    return key


def check_pair(private: RSAPrivateKey, public: RSAPublicKey, purpose: str) -> None:
    """Raises KeyFileError when the two are not one key pair: every token would be refused by its readers."""
    if private.public_key().public_numbers() != public.public_numbers():
        raise KeyFileError(f"{purpose}: the private and the public key file are not one key pair")


def _read(path: str | Path, purpose: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise KeyFileError(f"{purpose}: cannot read {path}: {error.strerror or type(error).__name__}") from error
    if len(data) > MAX_KEY_FILE:
        raise KeyFileError(f"{purpose}: {path} is too large for a key file")
    return data


def _warn_when_short(bits: int, path: str | Path, purpose: str) -> None:
    if bits < RECOMMENDED_BITS:
        logger.warning("%s: the RSA key of %s has %d bits, use %d or more", purpose, path, bits, RECOMMENDED_BITS)
