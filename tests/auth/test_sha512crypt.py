"""The password hash of the shadow file, held against openssl."""

from __future__ import annotations

import subprocess

import pytest

from oc.auth.sha512crypt import ALPHABET, sha512_crypt


def openssl(password: str, salt: str) -> str:
    command = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    answer = subprocess.run(command, input=f"{password}\n".encode(), capture_output=True, check=True, timeout=30)
    return answer.stdout.decode().strip()


@pytest.mark.parametrize("length", [1, 2, 15, 16, 31, 32, 63, 64, 65, 127, 128, 129, 200])
def test_passwords_of_every_length_hash_as_openssl_does(length: int) -> None:
    password = "".join(chr(33 + n % 90) for n in range(length))
    assert sha512_crypt(password, "NaCl./09azAZ") == openssl(password, "NaCl./09azAZ")


@pytest.mark.parametrize("salt", ["a", "ab", "saltsalt", "0123456789abcdef", "./"])
def test_salts_of_every_length_hash_as_openssl_does(salt: str) -> None:
    assert sha512_crypt("Good news, everyone!", salt) == openssl("Good news, everyone!", salt)


def test_characters_beyond_ascii_are_hashed_as_utf8() -> None:
    assert sha512_crypt("пароль é 漢", "salt") == openssl("пароль é 漢", "salt")


def test_a_known_hash_holds_without_openssl() -> None:
    """What crypt(3) of the C library gives."""
    assert sha512_crypt("Hello world!", "saltstring") == (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    )


def test_a_long_salt_is_cut_to_sixteen() -> None:
    assert sha512_crypt("x", "0123456789abcdefZZZZ") == sha512_crypt("x", "0123456789abcdef")


def test_the_salt_is_random_and_the_form_that_of_a_shadow_file() -> None:
    first, second = sha512_crypt("x"), sha512_crypt("x")
    assert first != second
    _, kind, salt, digest = first.split("$")
    assert (kind, len(salt), len(digest)) == ("6", 16, 86)
    assert set(salt + digest) <= set(ALPHABET)


@pytest.mark.parametrize("salt", ["a$b", "a:b", "a\n", "é"])
def test_a_salt_that_would_break_the_format_is_refused(salt: str) -> None:
    with pytest.raises(ValueError, match="salt"):
        sha512_crypt("x", salt)
