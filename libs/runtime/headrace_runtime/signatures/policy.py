"""Whose signatures are accepted, and what needs one: a TOML file of the operator, and the decision by it.

    [signers.release-2026]
    public_key = '''-----BEGIN PUBLIC KEY-----…'''

    [signers.ml-platform]
    roots = '''-----BEGIN CERTIFICATE-----…'''
    identity = "*@ml.example.org"
    revoked_serials = ["0x4f2a"]

    [signers.release-2025]
    public_key = '''…'''
    revoked = "laptop stolen, 2026-11-30"

    [require]
    production = ["release-2026", "ml-platform"]
    serving = ["release-2026", "ml-platform"]

Once a signer is declared, a signature that a version has must hold, whether or not one is required.
"""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from headrace_servicekit.errors import PreconditionFailed
from headrace_servicekit.identity import matches

from headrace_runtime.signatures import bundle
from headrace_runtime.signatures.bundle import ALONE, Bundle, BundleError, ExpiredError


class Use(enum.StrEnum):
    """What a version is about to do. CODE: be registered or loaded, where it is code. SERVING: be loaded."""

    CODE = "code"
    REGISTERED = "registered"
    STAGING = "staging"
    PRODUCTION = "production"
    SERVING = "serving"


class Unsigned(PreconditionFailed):
    """A version may not be used by its signature: NOT_SIGNED, SIGNATURE_INVALID, CERTIFICATE_EXPIRED,
    SIGNER_NOT_TRUSTED, SIGNER_REVOKED."""


class PolicyError(ValueError):
    """A policy cannot be used; the message says which entry and why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key, or who has a certificate from some roots. revoked: why its signatures count no more, empty if they do."""

    name: str
    key: ec.EllipticCurvePublicKey | None = None
    roots: tuple[x509.Certificate, ...] = ()
    identity: str = ""
    revoked: str = ""
    revoked_serials: frozenset[int] = frozenset()

    def claims(self, signed: Bundle) -> bool:
        """Return whether a bundle says that it is by this signer."""
        if self.key is not None:
            return signed.key_hint == bundle.key_hint(self.key)
        names = bundle.identities(signed.certificates[0]) if signed.certificates else ()
        return any(matches((self.identity,), name) for name in names)

    def verify(self, signed: Bundle, seen: datetime | None = None) -> None:
        """Raise BundleError unless a bundle that says so is by this signer. seen: when it was seen first."""
        if self.key is not None:
            bundle.verify_key(signed, self.key)
        else:
            bundle.verify_certificate(signed, self.roots, seen)

    def revocation(self, signed: Bundle) -> str:
        """Return why a bundle of this signer counts no more, empty where it does."""
        serial = signed.certificates[0].serial_number if signed.certificates else 0
        return self.revoked or (f"certificate {serial:x}" if serial in self.revoked_serials else "")


@dataclass(frozen=True, slots=True)
class Policy:
    """signers: by name. require: names of signers by what a version does; what is absent needs no signature."""

    signers: Mapping[str, Signer] = field(default_factory=dict)
    require: Mapping[Use, tuple[str, ...]] = field(default_factory=dict)

    def check(
        self, version: str, files: Mapping[str, str], content: bytes | None, *uses: Use, seen: datetime | None = None
    ) -> str:
        """Return which signer has signed a version, empty where none has and none must.

        version: as people know it. files: SHA-256 of its files by name, without the signature. content: of that, None
        where the version has none. seen: when it was registered, None where that is not known. Raises Unsigned.
        """
        required = [use for use in uses if use in self.require]
        if content is None:
            for use in required:
                raise _refused("NOT_SIGNED", version, f"has no signature, and {self._needs(use)}")
            return ""
        try:
            signed = bundle.read(content)
            signer = self._signer(signed, version, seen)
            check_files(signed, files)
        except ExpiredError as error:
            raise _refused("CERTIFICATE_EXPIRED", version, f"has a signature that {error}") from None
        except BundleError as error:
            raise _refused("SIGNATURE_INVALID", version, f"has a signature that {error}") from None
        for use in required:
            if signer.name not in self.require[use]:
                message = f"is signed by '{signer.name}', and {self._needs(use)}"
                raise _refused("SIGNER_NOT_TRUSTED", version, message)
        return signer.name

    def _signer(self, signed: Bundle, version: str, seen: datetime | None) -> Signer:
        """Return who signed a bundle. Raises BundleError, Unsigned."""
        failure: BundleError | None = None
        for signer in self.signers.values():
            if not signer.claims(signed):
                continue
            try:
                signer.verify(signed, seen)
            except BundleError as error:
                failure = failure or error
                continue
            if why := signer.revocation(signed):
                message = f"is signed by '{signer.name}' ({signed.signer}), which is revoked: {why}"
                raise _refused("SIGNER_REVOKED", version, message)
            return signer
        if failure is not None:
            raise failure
        known = ", ".join(self.signers)
        raise _refused("SIGNER_NOT_TRUSTED", version, f"is signed by {signed.signer}, which is not one of: {known}")

    def _needs(self, use: Use) -> str:
        return f"'{use}' needs one by: {', '.join(self.require[use])}"


def check_files(signed: Bundle, files: Mapping[str, str]) -> None:
    """Raise BundleError unless a bundle has exactly these files. A signature of one file is of a version's only one."""
    claimed = signed.files
    if len(files) == 1 and claimed.keys() == {ALONE}:
        claimed = dict(zip(files, claimed.values(), strict=True))
    for name, sha256 in files.items():
        if name not in claimed:
            names = ", ".join(sorted(claimed)[:10])
            raise BundleError(f"does not cover the file '{name}'; it covers: {names}")
        if claimed[name] != sha256:
            raise BundleError(f"is of another '{name}': SHA-256 {claimed[name]} is signed, and the file has {sha256}")
    missing = claimed.keys() - files.keys()
    if missing:
        raise BundleError(f"covers '{min(missing)}', which the version does not have")


def _refused(reason: str, version: str, problem: str) -> Unsigned:
    remedy = {
        "NOT_SIGNED": "sign its files with `headrace models sign` and register them with `--signature FILE`",
        "SIGNATURE_INVALID": "sign exactly the files of the version again and register another version",
        "CERTIFICATE_EXPIRED": "sign the files again with a certificate that is valid",
        "SIGNER_NOT_TRUSTED": "sign with an accepted key, or have the operator add this signer to the signing policy",
        "SIGNER_REVOKED": "sign the files with a key that is valid and register another version",
    }[reason]
    return Unsigned(f"version {version} {problem}; {remedy}", reason=reason, metadata={"version": version})


def read(text: str) -> Policy:
    """Return a policy. Raises PolicyError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"is no TOML: {error}") from None
    _only(document, {"signers", "require"}, "the policy")
    signers = {name: _signer(name, entry) for name, entry in _table(document, "signers").items()}
    require = {}
    for use, names in _table(document, "require").items():
        if use not in list(Use):
            raise PolicyError(f"require.{use}: is not one of {', '.join(Use)}")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise PolicyError(f"require.{use}: is no list of signers; leave it out where no signature is needed")
        unknown = [name for name in names if name not in signers]
        if unknown:
            raise PolicyError(f"require.{use}: '{unknown[0]}' is not among the signers: {', '.join(signers) or 'none'}")
        require[Use(use)] = tuple(names)
    return Policy(signers, require)


def _signer(name: str, entry: Any) -> Signer:
    place = f"signers.{name}"
    if not isinstance(entry, dict):
        raise PolicyError(f"{place}: is no table")
    _only(entry, {"public_key", "roots", "identity", "revoked", "revoked_serials"}, place)
    texts = {key: entry.get(key, "") for key in ("public_key", "roots", "identity", "revoked")}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise PolicyError(f"{place}.{key}: is no text")
    if bool(texts["public_key"]) == bool(texts["roots"]):
        raise PolicyError(f"{place}: needs either public_key or roots")
    if texts["public_key"]:
        if texts["identity"] or "revoked_serials" in entry:
            raise PolicyError(f"{place}: identity and revoked_serials are for roots")
        return Signer(name, key=_key(texts["public_key"], place), revoked=texts["revoked"])
    if not texts["identity"]:
        raise PolicyError(f"{place}.identity: say whose certificates count: an email, a URI, a DNS name; * for any")
    try:
        roots = tuple(x509.load_pem_x509_certificates(texts["roots"].encode()))
        serials = frozenset(int(str(one), 16) for one in entry.get("revoked_serials", []))
    except (ValueError, TypeError) as error:
        raise PolicyError(f"{place}: certificates in PEM form and serial numbers in hex are needed: {error}") from None
    return Signer(name, None, roots, texts["identity"], texts["revoked"], serials)


def _key(pem: str, place: str) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise PolicyError(f"{place}.public_key: is no public key in PEM form") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.key_size not in (256, 384, 521):
        raise PolicyError(f"{place}.public_key: is not of P-256, P-384 or P-521, by which model-signing signs")
    return key


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise PolicyError(f"{name}: is no table")
    return table


def _only(entry: Mapping[str, Any], allowed: set[str], place: str) -> None:
    unknown = sorted(entry.keys() - allowed)
    if unknown:
        raise PolicyError(f"{place}: '{unknown[0]}' is not one of {', '.join(sorted(allowed))}")
