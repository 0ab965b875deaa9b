"""Key files: names, formats, modes, reuse."""

from __future__ import annotations

import stat
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from devstack.keys import ensure_keys


def test_the_files_have_the_names_of_the_configuration(tmp_path: Path) -> None:
    ensure_keys(tmp_path / "keys")
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [
        "abcdesktop_jwt_desktop_payload_private_key.pem",
        "abcdesktop_jwt_desktop_payload_public_key.pem",
        "abcdesktop_jwt_desktop_signing_private_key.pem",
        "abcdesktop_jwt_desktop_signing_public_key.pem",
        "abcdesktop_jwt_user_signing_private_key.pem",
        "abcdesktop_jwt_user_signing_public_key.pem",
    ]


def test_public_keys_have_the_forms_their_readers_want(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path)
    assert keys.user_signing.public.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert keys.desktop_signing.public.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert keys.desktop_payload.public.read_text().startswith("-----BEGIN RSA PUBLIC KEY-----")


def test_a_token_signed_with_the_private_key_is_good_for_the_public_one(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path)
    token = jwt.encode({"a": 1}, keys.user_signing.private.read_text(), "RS256")
    assert jwt.decode(token, keys.user_signing.public.read_text(), ["RS256"]) == {"a": 1}


def test_what_the_payload_key_encrypts_its_private_key_decrypts(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path)
    public = load_pem_public_key(keys.desktop_payload.public.read_bytes())
    private = load_pem_private_key(keys.desktop_payload.private.read_bytes(), None)
    assert isinstance(public, rsa.RSAPublicKey)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.key_size == 2048
    assert private.decrypt(public.encrypt(b"x", padding.PKCS1v15()), padding.PKCS1v15()) == b"x"


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "keys")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for pair in (keys.user_signing, keys.desktop_signing, keys.desktop_payload):
        assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600


def test_existing_pairs_are_kept_and_an_incomplete_one_is_made_anew(tmp_path: Path) -> None:
    before = ensure_keys(tmp_path)
    signing, payload = before.user_signing.private.read_bytes(), before.desktop_payload.private.read_bytes()
    before.desktop_payload.public.unlink()
    after = ensure_keys(tmp_path)
    assert after.user_signing.private.read_bytes() == signing
    assert after.desktop_payload.private.read_bytes() != payload
