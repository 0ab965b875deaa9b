"""NTLMv2 (MS-NLMP): the three messages that prove a password, and nothing of signing or sealing.

The messages travel in an LDAP bind with the SASL mechanism GSS-SPNEGO, which takes bare NTLM messages on Windows and
on Samba.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from oc.auth.md4 import md4

SIGNATURE: Final = b"NTLMSSP\0"
_UNICODE: Final = 0x00000001
_REQUEST_TARGET: Final = 0x00000004
_NTLM: Final = 0x00000200
_ALWAYS_SIGN: Final = 0x00008000
_EXTENDED_SECURITY: Final = 0x00080000
_TARGET_INFO: Final = 0x00800000
_128_BITS: Final = 0x20000000
_FLAGS: Final = _UNICODE | _REQUEST_TARGET | _NTLM | _ALWAYS_SIGN | _EXTENDED_SECURITY | _TARGET_INFO | _128_BITS
_AV_END: Final = 0
_AV_FLAGS: Final = 6
_AV_TIMESTAMP: Final = 7
_AV_CHANNEL_BINDINGS: Final = 10
_MIC_PRESENT: Final = 2
_HEADER: Final = 88
"""Length of an AUTHENTICATE message before its payload: fields, version, MIC."""

_MIC: Final = slice(72, 88)
_UNIX_EPOCH_IN_FILETIME: Final = 116_444_736_000_000_000
_MAX_CHALLENGE: Final = 64 * 1024


class NtlmError(Exception):
    """The server's message is none, or not one NTLMv2 can answer."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A CHALLENGE message; ``pairs``: its target information by attribute id."""

    nonce: bytes
    flags: int
    pairs: dict[int, bytes]
    message: bytes


def negotiate_message() -> bytes:
    """The first message. It says nothing about the user."""
    return SIGNATURE + struct.pack("<II", 1, _FLAGS) + bytes(16)


def parse_challenge(message: bytes) -> Challenge:
    """Read the server's message. Raises NtlmError."""
    if not message.startswith(SIGNATURE) or not 48 <= len(message) <= _MAX_CHALLENGE:
        raise NtlmError("not an NTLM message")
    (kind,) = struct.unpack_from("<I", message, 8)
    (flags,) = struct.unpack_from("<I", message, 20)
    length, _, offset = struct.unpack_from("<HHI", message, 40)
    if kind != 2 or offset + length > len(message):
        raise NtlmError("not a challenge")
    if not flags & _UNICODE or not flags & _EXTENDED_SECURITY:
        raise NtlmError("the server does not know NTLMv2")
    return Challenge(message[24:32], flags, _pairs(message[offset : offset + length]), message)


def authenticate_message(
    challenge: Challenge,
    user: str,
    domain: str,
    password: str,
    *,
    bindings: bytes | None = None,
    random: Callable[[int], bytes] = os.urandom,
    clock: Callable[[], float] = time.time,
) -> bytes:
    """The answer to a challenge.

    bindings: the TLS channel's binding data (RFC 5929 tls-server-end-point with its prefix), for servers that demand
    that the login belongs to the connection.
    """
    key = _response_key(user, domain, password)
    pairs = dict(challenge.pairs)
    stamp = pairs.get(_AV_TIMESTAMP)
    (flags,) = struct.unpack("<I", pairs.get(_AV_FLAGS, bytes(4))[:4].ljust(4, b"\0"))
    pairs[_AV_FLAGS] = struct.pack("<I", flags | _MIC_PRESENT)
    pairs[_AV_CHANNEL_BINDINGS] = _binding_hash(bindings) if bindings else bytes(16)
    when = stamp or struct.pack("<Q", int(clock() * 10_000_000) + _UNIX_EPOCH_IN_FILETIME)
    blob = b"\x01\x01" + bytes(6) + when + random(8) + bytes(4) + _encoded(pairs) + bytes(4)
    proof = _hmac(key, challenge.nonce + blob)
    lm_response = bytes(24) if stamp else (_hmac(key, challenge.nonce + (extra := random(8))) + extra)
    message = _message(challenge.flags & _FLAGS, lm_response, proof + blob, domain, user)
    mic = _hmac(_hmac(key, proof), negotiate_message() + challenge.message + message)
    return message[: _MIC.start] + mic + message[_MIC.stop :]


def nt_hash(password: str) -> bytes:
    """The NT hash, which is as good as the password: never log or keep it."""
    return md4(password.encode("utf-16-le"))


def _response_key(user: str, domain: str, password: str) -> bytes:
    """NTOWFv2 of MS-NLMP 3.3.2."""
    return _hmac(nt_hash(password), (user.upper() + domain).encode("utf-16-le"))


def _message(flags: int, lm_response: bytes, nt_response: bytes, domain: str, user: str) -> bytes:
    payload = b""
    fields = b""
    for part in (lm_response, nt_response, domain.encode("utf-16-le"), user.encode("utf-16-le"), b"", b""):
        fields += struct.pack("<HHI", len(part), len(part), _HEADER + len(payload))
        payload += part
    return SIGNATURE + struct.pack("<I", 3) + fields + struct.pack("<I", flags) + bytes(8) + bytes(16) + payload


def _pairs(data: bytes) -> dict[int, bytes]:
    pairs: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, position)
        if kind == _AV_END:
            break
        position += 4
        if position + length > len(data):
            raise NtlmError("the target information is cut off")
        pairs[kind] = data[position : position + length]
        position += length
    return pairs


def _encoded(pairs: dict[int, bytes]) -> bytes:
    listed = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in pairs.items())
    return listed + struct.pack("<HH", _AV_END, 0)


def _binding_hash(bindings: bytes) -> bytes:
    """MD5 of the structure gss_channel_bindings_struct with only application data (MS-NLMP 3.1.5.1.2)."""
    return hashlib.md5(bytes(16) + struct.pack("<I", len(bindings)) + bindings, usedforsecurity=False).digest()


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.md5).digest()
