"""A throw-away certificate authority: PEM files for tests of TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Pem:
    """Paths of a certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """Issues leaf certificates for 127.0.0.1; each one has its own serial number."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = (
            _builder(subject, subject, self._key)
            .add_extension(constraints, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = folder / f"{name}.crt"
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, days: int = 1, hosts: Sequence[str] = ()) -> Pem:
        """Write a certificate and key named `name`, replacing earlier ones by rename; negative days are expired.

        hosts: names that it is for besides 127.0.0.1.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        own = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        addresses = x509.SubjectAlternativeName([own, *(x509.DNSName(host) for host in hosts)])
        certificate = (
            _builder(_name(name), self._certificate.subject, key, days=days)
            .add_extension(addresses, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = Pem(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        _replace(
            pem.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        _replace(pem.cert, certificate.public_bytes(serialization.Encoding.PEM))
        return pem


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int = 1
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
    )


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.rename(path)
