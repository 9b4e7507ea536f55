"""Signing a version that is code, so that a registry which asks for it can tell whose it is."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from headrace_client.errors import invalid
from headrace_client.local_files import read_as

SIGNATURE_FILE = "signature.json"
_FIRST_LINE = "headrace code 1"


def signature_of(key_file: Path, model: str, version: str, kept_as: str, digests: Mapping[str, str]) -> bytes:
    """Return the signature file of a version. key_file: an Ed25519 private key in PEM form. digests: SHA-256 of every
    other file of the version by its name in it.

    Raises InvalidArgument when the file is no such key.
    """
    # Late: few commands sign.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    with read_as("a key", key_file, "sign_key"):
        pem = key_file.read_bytes()
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise invalid("sign_key", f"{key_file} is no private key in PEM form without a password: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise invalid("sign_key", f"{key_file} is no key of Ed25519: make one by `openssl genpkey -algorithm ed25519`")
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    lines = [_FIRST_LINE, f"models/{model}/versions/{version}", kept_as]
    signed = "\n".join([*lines, *(f"{sha256} {name}" for name, sha256 in sorted(digests.items()))]).encode()
    document = {"key": hashlib.sha256(der).hexdigest()[:16], "signature": base64.b64encode(key.sign(signed)).decode()}
    return json.dumps(document).encode()
