"""Signatures of versions that are code: an Ed25519 signature over the digests of their files, by one of some keys.

It comes as a file of the version, `signature.json`: {"key": "…", "signature": "…"}, the signature in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from headrace_servicekit.errors import FieldViolation, PreconditionFailed

from headrace_registry.decisions.models import Version

REASON = "CODE_NOT_SIGNED"
MAX_SIGNATURE_BYTES = 4096
_KEY = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class UnreadableKeysError(Exception):
    """A file does not hold Ed25519 public keys in PEM form."""


def key_id(key: Ed25519PublicKey) -> str:
    """Return what people call a key: the beginning of the SHA-256 of its DER form."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


def read_keys(path: Path) -> dict[str, Ed25519PublicKey]:
    """Return the keys in a file by their ids. Raises UnreadableKeysError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableKeysError(f"{path} cannot be read: {error.strerror}") from None
    keys = {}
    for pem in _KEY.findall(content):
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise UnreadableKeysError(f"{path} holds a key that cannot be read") from None
        if not isinstance(key, Ed25519PublicKey):
            raise UnreadableKeysError(f"{path} holds a key that is not of Ed25519")
        keys[key_id(key)] = key
    if not keys:
        raise UnreadableKeysError(f"{path} holds no public key in PEM form")
    return keys


def check(version: Version, content: bytes | None, keys: Mapping[str, Ed25519PublicKey], field: str) -> None:
    """Raise PreconditionFailed, reason CODE_NOT_SIGNED, unless one of the keys has signed a version.

    content: of its signature file, None when it has none.
    """
    if content is None:
        raise _unsigned(field, f"this installation takes signed code only, and the version has no {SIGNATURE_FILE}")
    named, signature = _read(content, field)
    key = keys.get(named)
    if key is None:
        raise _unsigned(field, f"key '{named}' is not among those that may sign code: {', '.join(sorted(keys))}")
    try:
        key.verify(signature, statement(version))
    except InvalidSignature:
        raise _unsigned(
            field, f"the signature of key '{named}' is not of these files under this name, version and format"
        ) from None


def _read(content: bytes, field: str) -> tuple[str, bytes]:
    try:
        document = json.loads(content)
        named, signature = document["key"], base64.b64decode(document["signature"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise _unsigned(field, 'is not {"key": "…", "signature": "… in base64"}') from None
    if not isinstance(named, str) or len(named) > 64:
        raise _unsigned(field, "names no key")
    return named, signature


def _unsigned(field: str, problem: str) -> PreconditionFailed:
    message = f"{problem}; sign it with `headrace models register --sign-key FILE`"
    return PreconditionFailed(message, reason=REASON, violations=[FieldViolation(field, problem)])


SIGNATURE_FILE = "signature.json"
FIRST_LINE = "headrace code 1"


def statement(version: Version) -> bytes:
    """Return the bytes that are signed, the same wherever they are made (`headrace_client/code_signatures.py`)."""
    files = sorted((one.name, one.sha256) for one in version.artifacts if one.name != SIGNATURE_FILE)
    lines = [FIRST_LINE, f"models/{version.ref.model}/versions/{version.ref.version}", str(version.format)]
    return "\n".join([*lines, *(f"{sha256} {name}" for name, sha256 in files)]).encode()
