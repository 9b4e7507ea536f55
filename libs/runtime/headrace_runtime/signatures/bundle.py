"""Bundles of OpenSSF model signing 1.x (package `model-signing`), read and verified with `cryptography` alone.

A bundle is the JSON of a Sigstore bundle 0.3: a DSSE envelope over an in-toto statement with the SHA-256 of each file,
signed by an EC key, or by one that a certificate in the bundle is of. tests/contract/test_signatures.py compares this
module with the package.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MAX_BYTES = 256 * 1024
ALONE = "."
"""How a signature of one file names that file."""

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_HASHES = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}


class BundleError(Exception):
    """A bundle is malformed, or does not hold; the message says how."""


class ExpiredError(BundleError):
    """A bundle's certificate had expired when its version was registered."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle says; nothing of it is verified yet.

    key_hint: SHA-256 of the signer's public key in PEM form, empty with certificates. certificates: the signer's, then
    those between it and a root. signed: the bytes under the signature. files: SHA-256 by name.
    """

    key_hint: str
    certificates: tuple[x509.Certificate, ...]
    signature: bytes
    signed: bytes
    files: Mapping[str, str]

    @property
    def signer(self) -> str:
        """Return what a person knows the signer by, as the bundle claims it."""
        if not self.certificates:
            return f"key {self.key_hint[:16]}"
        own = self.certificates[0]
        return f"certificate {own.serial_number:x} of {', '.join(identities(own)) or 'an unnamed holder'}"


def key_hint(key: ec.EllipticCurvePublicKey) -> str:
    """Return what bundles name a key by."""
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def read(content: bytes) -> Bundle:
    """Return a bundle. Raises BundleError."""
    if len(content) > MAX_BYTES:
        raise BundleError(f"is longer than {MAX_BYTES} bytes")
    try:
        document = json.loads(content)
        material, envelope = document["verificationMaterial"], document["dsseEnvelope"]
        if document["mediaType"] != _MEDIA_TYPE or envelope["payloadType"] != _PAYLOAD_TYPE:
            raise BundleError(f"is no Sigstore bundle ({_MEDIA_TYPE}) of an in-toto statement")
        (signature,) = envelope["signatures"]
        payload = _bytes(envelope["payload"])
        hint = str(material["publicKey"]["hint"]) if "publicKey" in material else ""
        chain = () if hint else tuple(map(_certificate, material["x509CertificateChain"]["certificates"]))
        if not hint and not chain:
            raise BundleError("names no key, and has no certificate")
        files = _files(json.loads(payload))
        return Bundle(hint, chain, _bytes(signature["sig"]), _pre_authentication(payload), files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise BundleError("is no bundle of `model_signing sign key` or `model_signing sign certificate`") from None


def verify_key(bundle: Bundle, key: ec.EllipticCurvePublicKey) -> None:
    """Raise BundleError unless a key has signed a bundle."""
    algorithm = _HASHES.get(key.curve.key_size)
    if algorithm is None:
        raise BundleError(f"is signed by a key of curve {key.curve.name}; P-256, P-384 and P-521 are accepted")
    try:
        key.verify(bundle.signature, bundle.signed, ec.ECDSA(algorithm()))
    except InvalidSignature:
        raise BundleError("was changed: its signature does not hold") from None


def verify_certificate(bundle: Bundle, roots: Sequence[x509.Certificate], seen: datetime | None = None) -> None:
    """Raise BundleError unless the bundle's certificate comes from one of some roots, may sign, and has signed.

    Certificates are judged at the time when the signer's became valid, as the package does it: a bundle has no trusted
    time, and one that is older than its certificate's end still holds. seen: when the signature was seen first, None
    where that is not known; a certificate that had expired by then may have signed at any time.
    """
    own, *between = bundle.certificates
    anything, optional = verification.ExtensionPolicy.permit_all(), verification.Criticality.AGNOSTIC
    authorities = verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, optional, None
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(list(roots)))
        .time(own.not_valid_before_utc.replace(tzinfo=None))
        .extension_policies(ca_policy=authorities, ee_policy=anything)
        .build_client_verifier()
    )
    try:
        verifier.verify(own, between)
    except verification.VerificationError as error:
        raise BundleError(f"has a certificate that does not come from the roots of its signer: {error}") from None
    except ValueError:
        raise BundleError("has a certificate with unreadable extensions") from None
    if not _may_sign(own):
        raise BundleError("has a certificate whose key usage is neither digitalSignature nor codeSigning")
    if seen is not None and own.not_valid_after_utc < seen:
        ended = f"{own.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
        raise ExpiredError(f"has a certificate that expired at {ended}, before the version was registered")
    key = own.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BundleError("has a certificate of a key that is not of an elliptic curve")
    verify_key(bundle, key)


def identities(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return who a certificate names: its alternative names (email, URI, DNS), without one its common name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(one.value) for one in common)
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    return tuple(str(one.value) for one in names if isinstance(one, kinds))


def _may_sign(certificate: x509.Certificate) -> bool:
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        return ExtendedKeyUsageOID.CODE_SIGNING in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False


def _files(statement: Any) -> Mapping[str, str]:
    """Return the SHA-256 of files by name that a statement says. Raises BundleError, and as a malformed one does."""
    if statement["_type"] != _STATEMENT or statement["predicateType"] != _PREDICATE:
        raise BundleError(f"states no {_PREDICATE}: sign with model-signing 1.0 or later")
    how = statement["predicate"]["serialization"]
    if (how["method"], how["hash_type"]) != ("files", "sha256"):
        raise BundleError(f"has {how['hash_type']} of {how['method']}: sign with SHA-256 of whole files, the default")
    files, together = dict[str, str](), hashlib.sha256()
    for one in statement["predicate"]["resources"]:
        name, digest = one["name"], one["digest"]
        if one["algorithm"] != "sha256" or not isinstance(name, str) or name in files or len(digest) != 64:
            raise BundleError(f"has no single SHA-256 for the file {str(name)[:100]!r}")
        together.update(bytes.fromhex(digest))
        files[name] = digest.lower()
    (subject,) = statement["subject"]
    if subject["digest"]["sha256"] != together.hexdigest():
        raise BundleError("contradicts itself: its digest over all files is not that of its files")
    return files


def _certificate(entry: Any) -> x509.Certificate:
    return x509.load_der_x509_certificate(_bytes(entry["rawBytes"]))


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)


def _pre_authentication(payload: bytes) -> bytes:
    """Return what DSSE 1.0 signs."""
    return f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload
