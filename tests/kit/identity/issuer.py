"""An issuer that a test holds in its hand: mints good tokens, and bad ones of every kind."""

from __future__ import annotations

import base64
import itertools
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from headrace_client.issuer import AUDIENCE, ISSUER, known_scopes
from headrace_stack.identity import public_jwk

_numbers = itertools.count(1)


class Issuer:
    """Keys in memory. `files(directory)` writes what a front door reads: jwks.json and deny.json."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, str]:
        return public_jwk(self.key.public_key())

    def token(self, *, lifetime_s: float = 600, key: ec.EllipticCurvePrivateKey | None = None, **claims: Any) -> str:
        """Return a signed token of a subject of its own with every scope; claims replace, or with None remove."""
        now = time.time()
        whole = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"client-{next(_numbers)}",
            "iat": int(now),
            "exp": int(now + lifetime_s),
            "scopes": list(known_scopes()),
            **claims,
        }
        kept = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(kept, key or self.key, algorithm="ES256", headers={"kid": self.jwk["kid"]})

    def sign(self, text: str) -> str:
        """Return `HEADER.PAYLOAD.SIGNATURE` of `HEADER.PAYLOAD`, whatever they are."""
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        signature = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return f"{text}.{signature.rstrip(b'=').decode()}"

    def unsigned(self, **claims: Any) -> str:
        """Return a token that says `alg: none` and carries no signature."""
        header, payload, _ = self.token(**claims).split(".")
        nothing = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
        return f"{nothing}.{payload}." if header else ""


def write_jwks(directory: Path, *issuers: Issuer) -> None:
    """Replace jwks.json by one with the keys of these issuers."""
    _replace(directory / "jwks.json", {"keys": [issuer.jwk for issuer in issuers]})


def write_denied(directory: Path, *subjects: str) -> None:
    """Replace deny.json by one with these subjects."""
    _replace(directory / "deny.json", {"subjects": list(subjects)})


def _replace(path: Path, document: object) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(document))
    partial.replace(path)
