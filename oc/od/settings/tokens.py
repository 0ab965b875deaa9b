"""Keys and lifetimes of the two kinds of JSON Web Tokens."""

from __future__ import annotations

import dataclasses

from oc.od.settings.declaration import option
from oc.od.settings.kinds import Integer, Nullable, Text

_PATH = Text("path of a PEM file", longest=1024)


@dataclasses.dataclass(frozen=True)
class JwtUserSettings:
    """User tokens: RS256, signed and verified here."""

    exp: int = option(
        Integer(1, 31_536_000, unit="s"),
        180,
        key="exp",
        meaning="Lifetime, told to clients as `expire_in`.",
        shipped=360,
    )
    leeway: int = option(Integer(0, 3600, unit="s"), 20, key="leeway", meaning="Clock tolerance of verification.")
    private_key_file: str = option(
        _PATH,
        "/config.usersigning/abcdesktop_jwt_user_signing_private_key.pem",
        key="jwtuserprivatekeyfile",
        meaning="RSA private key (PKCS#1 or PKCS#8 PEM) that signs.",
    )
    public_key_file: str = option(
        _PATH,
        "/config.usersigning/abcdesktop_jwt_user_signing_public_key.pem",
        key="jwtuserpublickeyfile",
        meaning="RSA public key (PEM) that verifies.",
    )
    public_key_file_previous: str | None = option(
        Nullable(_PATH),
        None,
        key="jwtuserpublickeyfile_previous",
        meaning="Public key of the signing key used before: tokens signed by it stay valid while keys are rotated.",
        since="4.4, extension",
    )


@dataclasses.dataclass(frozen=True)
class JwtDesktopSettings:
    """Desktop tokens: RS256, signed here, verified by the router; the target address inside is encrypted."""

    exp: int = option(
        Integer(1, 31_536_000, unit="s"),
        180,
        key="exp",
        meaning="Lifetime of desktop tokens and of stored one-time keys. The router caches a token up to 600 s.",
        shipped=420,
    )
    leeway: int = option(Integer(0, 3600, unit="s"), 20, key="leeway", meaning="Clock tolerance of verification.")
    private_key_file: str = option(
        _PATH,
        "/config.signing/abcdesktop_jwt_desktop_signing_private_key.pem",
        key="jwtdesktopprivatekeyfile",
        meaning="RSA private key (PKCS#1 or PKCS#8 PEM) that signs.",
    )
    public_key_file: str = option(
        _PATH,
        "/config.signing/abcdesktop_jwt_desktop_signing_public_key.pem",
        key="jwtdesktoppublickeyfile",
        meaning="RSA public key (PEM) that verifies; the router has its own copy.",
    )
    payload_public_key_file: str = option(
        _PATH,
        "/config.payload/abcdesktop_jwt_desktop_payload_public_key.pem",
        key="payloaddesktoppublickeyfile",
        meaning="RSA public key (PEM, PKCS#1 or SubjectPublicKeyInfo) that encrypts the target address for the "
        "router, which holds the private half. Keep it inside the cluster.",
    )
