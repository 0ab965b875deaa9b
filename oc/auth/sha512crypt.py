"""The ``$6$`` password hash of /etc/shadow: SHA-crypt with SHA-512 (Drepper, "Unix crypt using SHA-256 and SHA-512").

The standard library lost crypt(3) in Python 3.13. Only hashing is needed here, with the default of 5000 rounds, which
is written without a ``rounds=`` prefix.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Iterator
from typing import Final

ROUNDS: Final = 5000
SALT_LENGTH: Final = 16
ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_PERIOD: Final = 2 * 3 * 7
_BYTES: Final = 64  # of a SHA-512 digest


def sha512_crypt(password: str, salt: str | None = None) -> str:
    """``$6$<salt>$<hash>`` of ``password`` (its UTF-8 bytes). Takes some milliseconds.

    salt: up to 16 characters of ``ALPHABET``, cut beyond; random when None. Raises ValueError for other characters.
    """
    salt = _random_salt() if salt is None else salt[:SALT_LENGTH]
    if not set(salt) <= set(ALPHABET):
        raise ValueError("a salt holds only letters, digits, '.' and '/'")
    digest = _stretched(password.encode(), salt.encode())
    return f"$6${salt}${_encoded(digest)}"


def _random_salt() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(SALT_LENGTH))


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length] if length else b""


def _first_digest(key: bytes, salt: bytes) -> bytes:
    """Steps 1 to 12 of the specification: digest A, which depends on the bits of the password's length."""
    inner = hashlib.sha512(key + salt + key).digest()
    outer = hashlib.sha512(key + salt + _repeated(inner, len(key)))
    length = len(key)
    while length:
        outer.update(inner if length & 1 else key)
        length >>= 1
    return outer.digest()


def _stretched(key: bytes, salt: bytes) -> bytes:
    """Steps 13 to 21: 5000 rounds over digest A with the byte sequences P and S."""
    digest = _first_digest(key, salt)
    p = _repeated(hashlib.sha512(key * len(key)).digest(), len(key))
    s = _repeated(hashlib.sha512(salt * (16 + digest[0])).digest(), len(salt))
    sha512 = hashlib.sha512
    for even, odd in _pairs(p, s):
        digest = sha512(odd + sha512(digest + even).digest()).digest()
    return digest


def _pairs(p: bytes, s: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What each round adds to the digest before it: behind it in the even rounds, before it in the odd ones.

    S is left out in every third round, P in the middle in every seventh: all of it comes again after 42 rounds.
    """
    middles = [(s if number % 3 else b"") + (p if number % 7 else b"") for number in range(_PERIOD)]
    cycle = [(middles[even] + p, p + middles[even + 1]) for even in range(0, _PERIOD, 2)]
    return itertools.islice(itertools.cycle(cycle), ROUNDS // 2)


def _encoded(digest: bytes) -> str:
    """Step 22: groups of three bytes in the specified order, six bits a character, low bits first."""
    text = []
    a, b, c = 0, 21, 42
    for _ in range(21):
        text.append(_characters(digest[a] << 16 | digest[b] << 8 | digest[c], 4))
        a, b, c = b + 1, c + 1, a + 1
    text.append(_characters(digest[_BYTES - 1], 2))
    return "".join(text)


def _characters(value: int, count: int) -> str:
    return "".join(ALPHABET[value >> 6 * position & 0x3F] for position in range(count))
