"""A token, from the bytes of its header to a caller, by the rules and with the refusals of the front door's filter."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import orjson
from headrace_servicekit.errors import ServiceError, Unauthenticated
from headrace_servicekit.identity import Identity, parse_identity

# What identity providers sign with. Which of them a token may have been signed with is said by the key.
ALGORITHMS = ("ES256", "RS256")
MAX_TOKEN_BYTES = 4096
MAX_SCOPES = 256

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


Keys = Mapping[str | None, Any]
"""The issuer's public keys, by key id."""


def keys_of(jwks: str) -> dict[str | None, Any]:
    """Return the keys of a JWKS document. Keys for another purpose or algorithm are passed over: providers list many.

    Raises ValueError for a document that has none that can be used.
    """
    try:
        documents = json.loads(jwks)["keys"]
        found = {
            document.get("kid"): jwt.PyJWK(document, algorithm=algorithm)
            for document in documents
            if (algorithm := _algorithm(document)) is not None
        }
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
    stripped = b"" if authorization is None else authorization.strip()
    if not stripped.startswith(_SCHEMES):
        raise missing()
    token = stripped[7:]
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
    claims = _claims(token, keys, rules)
    expires_at = _number(claims, "exp") + rules.skew_s
    if expires_at <= now:
        raise Unauthenticated("the token has expired: get a new one", reason="TOKEN_EXPIRED")
    if expires_at > now + rules.max_lifetime_s + 2 * rules.skew_s:
        raise invalid()
    if "nbf" in claims and _number(claims, "nbf") > now + rules.skew_s:
        raise invalid()
    return Token(_identity(claims), _scopes(claims), expires_at)


def missing() -> ServiceError:
    """Return the refusal of a call without a token."""
    told = "a token is required: send the header 'authorization: Bearer TOKEN'"
    return Unauthenticated(told, reason="TOKEN_MISSING")


def invalid() -> ServiceError:
    """Return the refusal of a token that says or is something wrong."""
    told = "the token cannot be accepted: signature, issuer, lifetime, subject or models are not as they must be"
    return Unauthenticated(told, reason="TOKEN_INVALID")


def _claims(token: bytes, keys: Keys, rules: Rules) -> dict[str, Any]:
    try:
        key = keys.get(jwt.get_unverified_header(token).get("kid"))
        if key is None and len(keys) == 1:
            (key,) = keys.values()
        if key is None:
            raise invalid()
        return jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=rules.issuer,
            audience=rules.audience,
            options={  # times are ours to judge: by the caller's clock, not by the library's
                "require": ["exp", "iss"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except jwt.MissingRequiredClaimError as error:
        raise (_audience() if error.claim == "aud" else invalid()) from None
    except jwt.InvalidAudienceError:
        raise _audience() from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise invalid() from None


def _audience() -> ServiceError:
    return Unauthenticated("the token is for another audience", reason="TOKEN_AUDIENCE_REFUSED")


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e15 < value < 1e15:
        raise invalid()
    return float(value)


def _identity(claims: Mapping[str, Any]) -> Identity:
    subject = claims.get("sub")
    if not isinstance(subject, str) or _SUBJECT.fullmatch(subject) is None:
        raise invalid()
    models = claims.get("models")
    if models is None:
        return parse_identity(subject, "*")
    if not isinstance(models, list) or not all(
        isinstance(pattern, str) and _PATTERN.fullmatch(pattern) is not None for pattern in models
    ):
        raise invalid()
    return parse_identity(subject, ",".join(models) or ",")


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    scopes = claims.get("scopes")
    if not isinstance(scopes, list):
        return frozenset()
    return frozenset(scope for scope in scopes[:MAX_SCOPES] if isinstance(scope, str))
