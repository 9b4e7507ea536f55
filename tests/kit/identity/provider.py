"""An identity provider as organisations run one: its own name and audience, RSA keys, and others in the same list."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://login.example.com/realms/ml"
AUDIENCE = "headrace-production"


class IdentityProvider:
    """Signs with RS256, or with ES256 where it is told to. Its list holds a key for encryption too, as many do."""

    def __init__(self, name: str = "first") -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self._encrypting = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._name = name

    @property
    def keys(self) -> list[dict[str, Any]]:
        """Its public keys as a JWKS lists them."""
        return [
            _jwk(self._encrypting.public_key(), f"{self._name}-enc", use="enc", alg="RSA-OAEP"),
            _jwk(self.rsa.public_key(), f"{self._name}-rsa", use="sig", alg="RS256"),
            _jwk(self.ec.public_key(), f"{self._name}-ec", use="sig"),
        ]

    def token(self, subject: str, scopes: list[str], *, algorithm: str = "RS256", **claims: Any) -> str:
        """Return a token of ten minutes; claims replace."""
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600, "scopes": scopes}
        key, kid = (self.rsa, "rsa") if algorithm == "RS256" else (self.ec, "ec")
        return jwt.encode({**said, **claims}, key, algorithm=algorithm, headers={"kid": f"{self._name}-{kid}"})


def publish(folder: Path, *providers: IdentityProvider) -> None:
    """Replace jwks.json by the keys of these providers, as whoever fetches them does: by rename."""
    partial = folder / ".jwks.json"
    partial.write_text(json.dumps({"keys": [key for provider in providers for key in provider.keys]}))
    partial.replace(folder / "jwks.json")


def _jwk(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, kid: str, **members: str) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = RSAAlgorithm.to_jwk(key, as_dict=True)
    else:
        numbers = ECAlgorithm.to_jwk(key, as_dict=True)
    return {**numbers, "kid": kid, **members}
