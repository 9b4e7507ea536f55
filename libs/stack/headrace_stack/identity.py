"""The development issuer: an ES256 key that `headrace token` signs with, and what the front door checks against.

Files in `.headrace/identity/`, all of mode 0600: `issuer.key.pem` (private key, PKCS 8), `jwks.json` (its public key),
`deny.json` (subjects that are refused although their tokens are valid). What exists is never overwritten.
"""

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headrace_stack.secrets import create_private, read_or_create

KEY, JWKS, DENY = "issuer.key.pem", "jwks.json", "deny.json"


def create(directory: Path) -> None:
    """Make what is missing. Raises TypeError for a key that is not ours."""
    pem = read_or_create(directory / KEY, _new_key)
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{directory / KEY} is not an elliptic-curve key: move it away and run `make up` again")
    if not (directory / JWKS).exists():
        create_private(directory / JWKS, json.dumps({"keys": [public_jwk(key.public_key())]}, indent=1))
    if not (directory / DENY).exists():
        create_private(directory / DENY, json.dumps({"subjects": []}))


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """The key as a JSON Web Key (RFC 7517) whose id is its thumbprint (RFC 7638)."""
    numbers = key.public_numbers()
    members = {"crv": "P-256", "kty": "EC", "x": _coordinate(numbers.x), "y": _coordinate(numbers.y)}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    thumbprint = _base64url(hashlib.sha256(canonical).digest())
    return {**members, "alg": "ES256", "use": "sig", "kid": thumbprint}


def _new_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _coordinate(value: int) -> str:
    return _base64url(value.to_bytes(32, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
