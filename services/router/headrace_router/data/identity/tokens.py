"""A token, from the bytes of its header to a caller, by the rules of docs/tokens.md, which the front door has too."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
from headrace_servicekit.errors import ServiceError, Unauthenticated
from headrace_servicekit.identity import Identity, parse_identity, scopes_of

# What identity providers sign with. Which of them a token may have been signed with is said by the key.
ALGORITHMS = ("ES256", "RS256")
MAX_TOKEN_BYTES = 4096
MAX_DEPTH = 32
LATEST = 2.0**53

_TOKEN = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SCHEMES = (b"Bearer ", b"bearer ")
_SUBJECT = re.compile(r"[!-~ ]{1,256}")
_PATTERN = re.compile(r"[A-Za-z0-9_.*-]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a token must be. max_lifetime_s: the longest time that a token may have left. skew_s: between the clocks."""

    issuer: str
    audience: str
    max_lifetime_s: float = 900.0
    skew_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was verified. expires_at: Unix time, the difference between the clocks included."""

    identity: Identity
    scopes: frozenset[str]
    expires_at: float


Keys = Sequence[tuple[str | None, jwt.PyJWK]]
"""The issuer's public keys with their key ids, None for one without."""


def keys_of(jwks: str) -> Keys:
    """Return the keys of a JWKS document. Keys for another purpose or algorithm are passed over: providers list many.

    Raises ValueError for a document that has none that can be used.
    """
    try:
        documents = json.loads(jwks)["keys"]
        found = [
            (document.get("kid") or None, jwt.PyJWK(document, algorithm=algorithm))
            for document in documents
            if (algorithm := _algorithm(document)) is not None
        ]
    except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError) as error:
        raise ValueError(f"no JWKS: {error}") from error
    if not found:
        raise ValueError(f"no key in the JWKS that verifies {' or '.join(ALGORITHMS)}")
    return found


def _algorithm(document: Mapping[str, Any]) -> str | None:
    """Return what tokens of a key are signed with; None when we do not take that."""
    algorithm = {"EC": "ES256", "RSA": "RS256"}.get(document["kty"])
    verifies = document.get("use", "sig") == "sig" and document.get("alg", algorithm) == algorithm
    curve_fits = document["kty"] != "EC" or document.get("crv") == "P-256"
    return algorithm if verifies and curve_fits else None


def bearer(authorization: bytes | None) -> bytes:
    """Return the token of an authorization header. Raises Unauthenticated for anything else."""
    # Some clients of HTTP/2 send the space that belongs to HTTP/1.1's way of writing headers.
    begun = b"" if authorization is None else authorization.lstrip()
    if not begun.startswith(_SCHEMES):
        raise missing()
    token = begun[7:].rstrip()
    if len(token) > MAX_TOKEN_BYTES:
        raise invalid()
    return token


def claimed_client(token: bytes) -> str | None:
    """Return the client that a token says it is of, None when it says none. Nothing is verified."""
    payload = token.split(b".", 2)[1:2]
    try:
        client = orjson.loads(base64.urlsafe_b64decode(payload[0] + b"=" * (-len(payload[0]) % 4)))["sub"]
    except (ValueError, TypeError, LookupError):
        return None
    return client if isinstance(client, str) else None


def verify(token: bytes, keys: Keys, rules: Rules, now: float) -> Token:
    """Return what a token says, once its signature and its times are right. Raises Unauthenticated.

    now: Unix time.
    """
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        raise invalid()
    header, payload, signature = (_decoded(part) for part in parts.groups())
    if not _signed(_object(header), token.rpartition(b".")[0], signature, keys):
        raise invalid()
    claims = _object(payload)
    if claims.get("iss") != rules.issuer or not isinstance(claims.get("jti", ""), str):
        raise invalid()
    _check_audience(claims, rules.audience)
    expires_at = _time(claims, "exp", 1.0) + rules.skew_s
    if expires_at <= now:
        raise Unauthenticated("the token has expired: get a new one", reason="TOKEN_EXPIRED")
    if expires_at > now + rules.max_lifetime_s + 2 * rules.skew_s:
        raise invalid()
    if "iat" in claims:
        _time(claims, "iat", 0.0)
    if "nbf" in claims and _time(claims, "nbf", 0.0) > now + rules.skew_s:
        raise invalid()
    return Token(_identity(claims), scopes_of(claims), expires_at)


def missing() -> ServiceError:
    """Return the refusal of a call without a token."""
    problem = "a token is required: send the header 'authorization: Bearer TOKEN'"
    return Unauthenticated(problem, reason="TOKEN_MISSING")


def invalid() -> ServiceError:
    """Return the refusal of a token that says or is something wrong."""
    problem = "the token cannot be accepted: signature, issuer, lifetime, subject or models are not as they must be"
    return Unauthenticated(problem, reason="TOKEN_INVALID")


def _decoded(part: bytes) -> bytes:
    """Return what base64url stands for. Raises Unauthenticated unless it is the one way to write that."""
    try:
        decoded = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raise invalid() from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise invalid()
    return decoded


def _object(text: bytes) -> dict[str, Any]:
    """Return the one JSON object that a part of a token is, strictly. Raises Unauthenticated."""
    try:
        found = json.loads(text.decode(), object_pairs_hook=_once, parse_int=float)
        # Neither NaN, nor what is larger than any number, nor half a character.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise invalid() from None
    if not isinstance(found, dict) or _too_deep(found, 0):
        raise invalid()
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _too_deep(value: Any, depth: int) -> bool:
    if depth > MAX_DEPTH:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_too_deep(one, depth + 1) for one in inner)


def _signed(header: Mapping[str, Any], text: bytes, signature: bytes, keys: Keys) -> bool:
    """Return whether a key of the issuer's made the signature, of those that the header may mean."""
    kid = header.get("kid")
    if "crit" in header or ("kid" in header and not (isinstance(kid, str) and kid)):
        return False
    return any(
        key.algorithm_name == header.get("alg") and key.Algorithm.verify(text, key.key, signature)
        for known, key in keys
        if kid is None or known in (None, kid)
    )


def _check_audience(claims: Mapping[str, Any], wanted: str) -> None:
    audience = claims.get("aud", [])
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise invalid()
    if wanted not in named:
        raise Unauthenticated("the token is for another audience", reason="TOKEN_AUDIENCE_REFUSED")


def _time(claims: Mapping[str, Any], name: str, least: float) -> float:
    """Return a time, as Unix time. Raises Unauthenticated for what is none, and for one that has no exact double."""
    value = claims.get(name)
    if not isinstance(value, float) or not least <= value <= LATEST:
        raise invalid()
    return value


def _identity(claims: Mapping[str, Any]) -> Identity:
    subject = claims.get("sub")
    if not isinstance(subject, str) or _SUBJECT.fullmatch(subject) is None:
        raise invalid()
    if "models" not in claims:
        return parse_identity(subject, "*")
    models = claims["models"]
    if not isinstance(models, list) or not all(
        isinstance(pattern, str) and _PATTERN.fullmatch(pattern) is not None for pattern in models
    ):
        raise invalid()
    return parse_identity(subject, ",".join(models) or ",")
