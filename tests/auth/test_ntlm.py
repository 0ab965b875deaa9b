"""NTLMv2 and MD4 against the published examples (RFC 1320 A.5, MS-NLMP 4.2.4)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.auth.md4 import md4
from oc.auth.ntlm import (
    SIGNATURE,
    NtlmError,
    authenticate_message,
    negotiate_message,
    nt_hash,
    parse_challenge,
)

CHALLENGE = bytes.fromhex(
    "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef00000000000000002400240044000000"
    "0600700000000000530065007200760065007200"
    "02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000"
)
"""The CHALLENGE_MESSAGE of MS-NLMP 4.2.4.3 (with its NTLMv2 target information)."""


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"a", "bde52cb31de33e46245e05fbdbd6fb24"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (b"message digest", "d9130a8164549fe818874806e1c7014b"),
        (b"abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
        (b"1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_md4_gives_the_digests_of_rfc_1320(text: bytes, digest: str) -> None:
    assert md4(text).hex() == digest


def test_the_nt_hash_is_that_of_the_published_example() -> None:
    assert nt_hash("Password").hex() == "a4f49c406510bdcab6824ee7c30fd852"


def test_the_response_is_that_of_the_published_example() -> None:
    """MS-NLMP 4.2.4.2.2: user User, domain Domain, time 0, client challenge aa..aa; our own pairs are added."""
    challenge = parse_challenge(CHALLENGE)
    assert challenge.nonce == bytes.fromhex("0123456789abcdef")
    message = authenticate_message(
        challenge, "User", "Domain", "Password", random=lambda size: b"\xaa" * size, clock=lambda: 0.0
    )
    fields = [struct.unpack_from("<HHI", message, 12 + 8 * index) for index in range(6)]
    values = [message[offset : offset + length] for length, _, offset in fields]
    # LMv2 does not depend on the pairs: the value of 4.2.4.2.1
    assert values[0].hex() == "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa"
    assert values[2].decode("utf-16-le") == "Domain"
    assert values[3].decode("utf-16-le") == "User"


@given(st.binary(max_size=200))
def test_what_a_server_sends_never_breaks_more_than_the_login(data: bytes) -> None:
    for message in (data, SIGNATURE + struct.pack("<I", 2) + data):
        try:
            challenge = parse_challenge(message)
        except NtlmError:
            continue
        assert authenticate_message(challenge, "u", "D", "p").startswith(SIGNATURE)


@pytest.mark.parametrize(
    "message", [b"", negotiate_message(), CHALLENGE[:40], CHALLENGE[:-20], CHALLENGE.replace(b"\x33\x82", b"\x32\x82")]
)
def test_what_is_no_challenge_for_ntlmv2_is_refused(message: bytes) -> None:
    with pytest.raises(NtlmError):
        parse_challenge(message)


def test_the_first_message_says_nothing_about_the_user() -> None:
    assert negotiate_message().startswith(SIGNATURE)
    assert len(negotiate_message()) == 32


def test_the_channel_is_part_of_the_proof() -> None:
    challenge = parse_challenge(CHALLENGE)

    def message(bindings: bytes | None) -> bytes:
        return authenticate_message(
            challenge, "User", "Domain", "Password", bindings=bindings, random=bytes, clock=lambda: 0.0
        )

    made = {message(None), message(b"tls-server-end-point:a"), message(b"tls-server-end-point:b")}
    assert len(made) == 3
