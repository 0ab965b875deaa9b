"""MD4 (RFC 1320), which only NTLM still needs and which OpenSSL 3 no longer offers. Not for anything else."""

from __future__ import annotations

import struct
from typing import Final

_MASK: Final = 0xFFFFFFFF
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_SHIFTS: Final = ((3, 7, 11, 19), (3, 5, 9, 13), (3, 9, 11, 15))
_CONSTANTS: Final = (0, 0x5A827999, 0x6ED9EBA1)
_ORDERS: Final = (
    tuple(range(16)),
    tuple(column + 4 * row for column in range(4) for row in range(4)),
    (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15),
)
"""Which word of a block each step of each round takes."""


def md4(data: bytes) -> bytes:
    """The 16 bytes of the digest."""
    padding = b"\x80" + b"\0" * ((55 - len(data)) % 64)
    message = data + padding + struct.pack("<Q", 8 * len(data) & 0xFFFFFFFFFFFFFFFF)
    state = _START
    for offset in range(0, len(message), 64):
        mixed = _compress(state, struct.unpack_from("<16I", message, offset))
        state = tuple((old + new) & _MASK for old, new in zip(state, mixed, strict=True))  # type: ignore[assignment]
    return struct.pack("<4I", *state)


def _compress(state: tuple[int, int, int, int], words: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    for turn, (order, shifts, constant) in enumerate(zip(_ORDERS, _SHIFTS, _CONSTANTS, strict=True)):
        for step, index in enumerate(order):
            total = (a + _mix(turn, b, c, d) + words[index] + constant) & _MASK
            shift = shifts[step % 4]
            a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    return a, b, c, d


def _mix(turn: int, x: int, y: int, z: int) -> int:
    if turn == 0:
        return x & y | ~x & z
    return x & y | x & z | y & z if turn == 1 else x ^ y ^ z
