"""Signatures of versions as people make them: keys, certificates, and the package model-signing in this process."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
BEGIN = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Key:
    """A private key in a file. chain: its certificate, then those between it and the root; empty for a bare key."""

    private: Path
    public: str
    chain: tuple[Path, ...] = ()

    def sign(self, folder: Path) -> bytes:
        """Return the signature of a folder, or of one file."""
        import model_signing  # a second: few tests sign

        out, config = self.private.with_suffix(".sig"), model_signing.signing.Config()
        if self.chain:
            config.use_certificate_signer(
                private_key=self.private, signing_certificate=self.chain[0], certificate_chain=self.chain[1:]
            )
        else:
            config.use_elliptic_key_signer(private_key=self.private)
        config.sign(folder, out)
        return out.read_bytes()

    def sign_files(self, folder: Path, files: Mapping[str, bytes]) -> bytes:
        """Write files into a new folder and return the signature of it."""
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return self.sign(folder)


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs certificates. root: in PEM form; chain: what comes with those certificates, likewise."""

    root: str
    chain: str
    key: ec.EllipticCurvePrivateKey
    name: x509.Name


def key_in(folder: Path, name: str, curve: ec.EllipticCurve | None = None) -> Key:
    """Write a new private key."""
    return _written(folder, name, ec.generate_private_key(curve or ec.SECP256R1()))


def authority(above: Authority | None = None, begin: datetime.datetime = BEGIN) -> Authority:
    """Return a new root, or an authority below one. begin: of its 30 days."""
    key, name = ec.generate_private_key(ec.SECP384R1()), "Root" if above is None else "Intermediate"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, by = (subject, key) if above is None else (above.name, above.key)
    pem = _certificate(subject, issuer, key.public_key(), by, authority=True, begin=begin).public_bytes(PEM).decode()
    return Authority(pem if above is None else above.root, pem, key, subject)


def certified(
    folder: Path, name: str, by: Authority, email: str, *, sign: bool = True, begin: datetime.datetime = BEGIN
) -> Key:
    """Write a new private key with its certificate. sign: whether the certificate allows signatures. begin: of its 30
    days."""
    key, subject = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
    )
    certificate = _certificate(subject, by.name, key.public_key(), by.key, email=email, sign=sign, begin=begin)
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(PEM))
    (folder / f"{name}.chain").write_text(by.chain)
    written = _written(folder, name, key)
    return Key(written.private, written.public, (folder / f"{name}.crt", folder / f"{name}.chain"))


def serial(key: Key) -> str:
    """Return the serial number of a key's certificate, as a policy has it."""
    return f"{x509.load_pem_x509_certificate(key.chain[0].read_bytes()).serial_number:x}"


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of files by name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def policy(keys: Mapping[str, Key], *, revoked: Mapping[str, str] | None = None, **require: list[str]) -> str:
    """Return a policy of bare keys."""
    lines = []
    for name, key in keys.items():
        lines += [f"[signers.{name}]", f"public_key = '''{key.public}'''"]
        if revoked and name in revoked:
            lines.append(f"revoked = {revoked[name]!r}")
    return "\n".join([*lines, "[require]", *(f"{use} = {names!r}" for use, names in require.items()), ""])


def certificate_policy(by: Authority, identity: str, serials: tuple[str, ...] = (), **require: list[str]) -> str:
    """Return a policy of one signer, `team`, by certificates."""
    lines = ["[signers.team]", f"roots = '''{by.root}'''", f"identity = {identity!r}"]
    lines.append(f"revoked_serials = {list(serials)!r}")
    return "\n".join([*lines, "[require]", *(f"{use} = {names!r}" for use, names in require.items()), ""])


def _written(folder: Path, name: str, key: ec.EllipticCurvePrivateKey) -> Key:
    file, none = folder / f"{name}.pem", serialization.NoEncryption()
    file.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, none))
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Key(file, public.decode())


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    by: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = False,
    email: str = "",
    sign: bool = True,
    begin: datetime.datetime = BEGIN,
) -> x509.Certificate:
    usages = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    usage = x509.KeyUsage(
        digital_signature=not authority and sign,
        key_encipherment=not sign,
        key_cert_sign=authority,
        crl_sign=authority,
        **usages,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if email:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(email)]), critical=False)
    return builder.sign(by, hashes.SHA256())
