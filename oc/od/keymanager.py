"""One-shot RSA keys: the public half leaves in a signed token, the private half waits in the cache."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from oc.auth.keys import load_private_key
from oc.errors import BadRequestError, ODResourceNotFoundError, UnavailableError
from oc.od.settings import JwtDesktopSettings
from oc.sharecache import ShareCache

LENGTHS = (2048, 3072, 4096)
FAMILY = "priv."


class KeyManager:
    """Thread-safe. ``clock`` gives seconds since the epoch. The constructor raises KeyFileError."""

    def __init__(
        self, settings: JwtDesktopSettings, sharecache: ShareCache, clock: Callable[[], float] = time.time
    ) -> None:
        self._signing = load_private_key(settings.private_key_file, "jwt_token_desktop")
        self._lifetime = settings.exp
        self._sharecache = sharecache
        self._clock = clock

    def create(self, length: int = LENGTHS[0]) -> str:
        """Make a key pair; a JWT (RS256) with ``name``, ``publickey`` (PEM) and ``exp``.

        The private key lives as long as the token. Raises BadRequestError for another length, UnavailableError when
        the cache is away: a key whose other half is lost helps nobody.
        """
        if length not in LENGTHS:
            raise BadRequestError(f"length must be one of {', '.join(map(str, LENGTHS))}")
        key = rsa.generate_private_key(public_exponent=65537, key_size=length)
        name = str(uuid.uuid4())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        if not self._sharecache.set(FAMILY + name, private, self._lifetime):
            raise UnavailableError("keys cannot be kept at the moment", retry_after=30)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        claims = {"name": name, "publickey": public, "exp": int(self._clock()) + self._lifetime}
        return jwt.encode(claims, self._signing, algorithm="RS256")

    def decrypt(self, name: str, data: bytes) -> bytes:
        """What was encrypted with the public key called ``name`` (RSAES-OAEP, SHA-256 twice, RFC 8017 7.1).

        A key serves once, also when ``data`` turns out to be wrong. Raises ODResourceNotFoundError when the key was
        never made, is used or too old, BadRequestError for data that was not encrypted with it.
        """
        private = self._sharecache.pop(FAMILY + name) if _is_name(name) else None
        if private is None:
            raise ODResourceNotFoundError("unknown or used key")
        key = load_pem_private_key(private.encode(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ODResourceNotFoundError("unknown or used key")
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        try:
            return key.decrypt(data, oaep)
        except ValueError as error:
            raise BadRequestError("the data cannot be decrypted") from error


def _is_name(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
