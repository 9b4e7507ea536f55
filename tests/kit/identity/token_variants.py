"""Makes the rows of `token_rows.py`: variants of a good token, each signed as it stands, whatever it says."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace_client.issuer import AUDIENCE, ISSUER

from tests.kit.identity.issuer import Issuer


@dataclass(frozen=True)
class Row:
    """One variant. refused: the reason, None for a token that is believed. authorization: makes the header's value."""

    name: str
    refused: str | None
    authorization: Callable[[Issuer], str]

    def __str__(self) -> str:
        return self.name


def claims(**changes: Any) -> dict[str, Any]:
    """Return good claims with these changes; Ellipsis removes one."""
    now = int(time.time())
    whole = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "rows", "iat": now, "exp": now + 600,
        "scopes": ["predict", "registry.read"], **changes,
    }  # fmt: skip
    return {name: value for name, value in whole.items() if value is not ...}


def signed(
    issuer: Issuer, payload: bytes | str | dict[str, Any], header: bytes | str | dict[str, Any] | None = None
) -> str:
    """Return a token of exactly these bytes, signed as ES256 whatever they are."""
    header = {"alg": "ES256", "typ": "JWT", "kid": issuer.jwk["kid"]} if header is None else header
    return issuer.sign(f"{_encoded(header)}.{_encoded(payload)}")


def _encoded(part: bytes | str | dict[str, Any]) -> str:
    raw = json.dumps(part) if isinstance(part, dict) else part
    raw = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def of_claims(name: str, refused: str | None, /, **changes: Any) -> Row:
    return Row(name, refused, lambda issuer: f"Bearer {signed(issuer, claims(**changes))}")


def of_text(name: str, refused: str | None, change: Callable[[str], str | bytes]) -> Row:
    """Return the row of a payload whose text is changed."""
    return Row(name, refused, lambda issuer: f"Bearer {signed(issuer, change(json.dumps(claims())))}")


def of_header(name: str, refused: str | None, **changes: Any) -> Row:
    def made(issuer: Issuer) -> str:
        whole = {"alg": "ES256", "typ": "JWT", "kid": issuer.jwk["kid"], **changes}
        return f"Bearer {signed(issuer, claims(), {k: v for k, v in whole.items() if v is not ...})}"

    return Row(name, refused, made)


def of_value(name: str, refused: str | None, change: Callable[[str], str]) -> Row:
    """Return the row of a header's value made of a good token."""
    return Row(name, refused, lambda issuer: change(signed(issuer, claims())))


def appended(name: str, value: str) -> Callable[[str], str]:
    """Return what puts a claim at the end of a payload, as it is written."""
    return lambda text: f"{text[:-1]}, {json.dumps(name)}: {value}}}"


def replaced(name: str, value: str) -> Callable[[str], str]:
    """Return what puts a claim at the end of a payload in place of the one that is there."""

    def changed(text: str) -> str:
        kept = {key: kept for key, kept in json.loads(text).items() if key != name}
        return appended(name, value)(json.dumps(kept))

    return changed


def of_size(size: int) -> Callable[[Issuer], str]:
    """Return what makes a good token of so many bytes."""

    def made(issuer: Issuer) -> str:
        for pad in range(size * 3 // 4 - 500, size * 3 // 4):
            token = signed(issuer, claims(pad="x" * pad))
            if len(token) >= size:
                return f"Bearer {token}"
        raise AssertionError(size)

    return made


def padded(token: str, part: int, text: str) -> str:
    parts = token.split(".")
    parts[part] += text
    return "Bearer " + ".".join(parts)


def with_unused_bits(token: str) -> str:
    """Set a bit of the signature's last character that stands for nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return f"Bearer {token[:-1]}{alphabet[alphabet.index(token[-1]) | 1]}"
