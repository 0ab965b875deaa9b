"""Login by client certificate (spec auth.md 6.1): a site in front checks the certificate and hands it over in a header.

Nothing here verifies the certificate's chain: trust rests on the address of that site (``network_list``) and on the
site overwriting the header.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from oc.errors import BadRequestError

MAX_CERTIFICATE: Final = 32 * 1024
"""Longest header value, in characters; percent-encoded it is half as much again as PEM."""

MAX_USER: Final = 256
_ARMOUR: Final = re.compile(r"\A\s*-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ForeignNetworkError(BadRequestError):
    """The request does not come from the site in front. Counts for fail2ban."""

    default_message = "logmein invalid network source error"


class LogmeinSettings(Protocol):
    """What is read of the configuration key ``auth.logmein``."""

    @property
    def enable(self) -> bool: ...
    @property
    def network_list(self) -> tuple[Network, ...]: ...
    @property
    def permit_querystring(self) -> bool: ...
    @property
    def http_attribut(self) -> str | None: ...
    @property
    def oid_list(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class AssertedUser:
    """Whom the site in front names. ``authorized_key``: the certificate's key as a line of OpenSSH, if it is one."""

    userid: str
    authorized_key: str | None = None


class Logmein:
    """Finds out whom a request names, and whether the sender may name anybody. Holds no state of a request."""

    def __init__(self, settings: LogmeinSettings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings = settings
        self._clock = clock

    def user(self, peer: str, headers: Mapping[str, str], parameters: Mapping[str, object]) -> AssertedUser:
        """peer: address of the socket, not of a forwarded header. headers: names in lower case.

        With a header configured the parameter ``userid`` is never looked at. Raises BadRequestError.
        """
        settings = self._settings
        if not settings.enable:
            raise BadRequestError("logmein configuration file error, service is disabled")
        if not _inside(peer, settings.network_list):
            raise ForeignNetworkError(doing="check the sender of an asserted user")
        if settings.http_attribut:
            return self._certified(headers.get(settings.http_attribut.lower(), ""))
        userid = parameters.get("userid") if settings.permit_querystring else None
        return AssertedUser(_usable(userid))

    def _certified(self, value: str) -> AssertedUser:
        if not value.strip():
            raise BadRequestError("logmein invalid user parameter", doing="look for a client certificate")
        certificate = read_certificate(value)
        now = self._clock()
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise BadRequestError("Bad certificate", doing="check the dates of a client certificate")
        return AssertedUser(_usable(_subject_value(certificate, self._settings.oid_list)), openssh_key(certificate))


def read_certificate(value: str) -> x509.Certificate:
    """The certificate in a header: PEM as it is, percent-encoded, with folded lines, or base64 without armour.

    Raises BadRequestError.
    """
    try:
        if len(value) > MAX_CERTIFICATE:
            raise ValueError("too long")
        text = unquote(value, errors="strict")
        armoured = _ARMOUR.match(text)
        if armoured is None and "-----" in text:
            raise ValueError("not a certificate")
        data = base64.b64decode("".join((armoured[1] if armoured else text).split()), validate=True)
        return x509.load_der_x509_certificate(data)
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise BadRequestError("Bad certificate", doing="read a client certificate") from None


def openssh_key(certificate: x509.Certificate) -> str | None:
    """The public key as OpenSSH writes it in authorized_keys; None for kinds OpenSSH does not know."""
    try:
        key = certificate.public_key()
        line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return line.decode("ascii")


def _subject_value(certificate: x509.Certificate, oids: tuple[str, ...]) -> object:
    """The first non-empty value of the first of ``oids`` the subject has."""
    try:
        subject = certificate.subject
    except ValueError:
        raise BadRequestError("Bad certificate", doing="read the subject of a client certificate") from None
    for oid in oids:
        for attribute in subject.get_attributes_for_oid(x509.ObjectIdentifier(oid)):
            if attribute.value:
                return attribute.value
    return None


def _usable(userid: object) -> str:
    if not isinstance(userid, str) or not userid or len(userid) > MAX_USER or not userid.isprintable():
        raise BadRequestError("logmein invalid user parameter", doing="look for an asserted user")
    return userid


def _inside(peer: str, networks: tuple[Network, ...]) -> bool:
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address.version == network.version and address in network for network in networks)
