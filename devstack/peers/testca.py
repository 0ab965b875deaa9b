"""A certificate authority of a test's own: keys and certificates as PEM files."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devstack.keys import write_private

VALID = datetime.timedelta(days=30)


@dataclass(frozen=True)
class CertificateFiles:
    """PEM files of one certificate and its key."""

    certificate: Path
    key: Path


class TestCa:
    """Made at first use. ``ca_file`` is what clients trust."""

    __test__ = False  # pytest: no test class

    def __init__(self, directory: Path, name: str = "Planet Express CA") -> None:
        self._directory = directory
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def ca_file(self) -> Path:
        """The certificate of the authority."""
        builder = self._builder(self._subject, self._key.public_key(), datetime.timedelta()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / "ca.pem"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    def issue(
        self,
        name: str,
        hosts: Iterable[str],
        addresses: Iterable[str] = (),
        *,
        age: datetime.timedelta = datetime.timedelta(),
    ) -> CertificateFiles:
        """A certificate for these host names and addresses; one of an ``age`` over 30 days has expired."""
        assert self.ca_file.exists()
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = self._builder(subject, key.public_key(), age).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        files = CertificateFiles(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        files.certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        write_private(
            files.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        return files

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, age: datetime.timedelta
    ) -> x509.CertificateBuilder:
        start = datetime.datetime.now(datetime.UTC) - age - datetime.timedelta(hours=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + VALID)
        )
