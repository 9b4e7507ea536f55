"""Where the token of a call comes from, and when it has to be fetched again."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import jwt

from headrace_client.errors import invalid
from headrace_client.issuer import DevelopmentIssuer
from headrace_client.local_files import text_of

# Asked whenever the last token is about to expire. AsyncClient also takes one that returns an awaitable.
TokenProvider = Callable[[], str | Awaitable[str]]

# A token in its last minute may expire on the way, or at a front door whose clock is ahead.
_MARGIN_S = 60.0
_TOKEN_REMEDY = "write a token there and nothing else: `headrace token` prints one of the local stack"
# Of a token that does not say when it expires.
_OPAQUE_LIFETIME_S = 60.0


class TokenCache:
    """The token in use and the provider of the next one. Threads may share it: at worst two fetch at once."""

    def __init__(self, provider: TokenProvider | None) -> None:
        self.provider = provider
        self._kept: tuple[str, float] | None = None

    def fresh(self, now_s: float) -> str | None:
        """Return the token in use, or None when a new one is to be fetched. now_s: seconds since 1970."""
        kept = self._kept
        return kept[0] if kept is not None and now_s < kept[1] else None

    def keep(self, token: str, now_s: float) -> str:
        """Make a fetched token the one in use until shortly before it expires; return it."""
        token = token.strip()
        expires_s = expiry_s(token)
        lifetime_s = _OPAQUE_LIFETIME_S if expires_s is None else expires_s - now_s
        # A fifth of a short life is margin enough; else a token of one minute would be fetched for every call.
        self._kept = (token, now_s + lifetime_s - min(_MARGIN_S, lifetime_s / 5))
        return token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, so that the next call fetches another."""
        if self._kept is not None and self._kept[0] == token:
            self._kept = None


def expiry_s(token: str) -> float | None:
    """Return when a JWT expires, in seconds since 1970; None when it does not say. The signature is not checked."""
    try:
        expires = jwt.decode(token, options={"verify_signature": False}).get("exp")
    except jwt.PyJWTError:
        return None
    return float(expires) if isinstance(expires, int | float) else None


def provider_of(token: str | TokenProvider | None) -> TokenProvider | None:
    """Return the provider for what a caller gave: a token, a provider, or None for what the environment offers."""
    if token is None:
        return from_environment()
    if isinstance(token, str):
        fixed = token
        return lambda: fixed
    return token


def from_environment(environ: Mapping[str, str] = os.environ, start: Path | None = None) -> TokenProvider | None:
    """Return the provider for HEADRACE_TOKEN, HEADRACE_TOKEN_FILE or a development issuer, in this order; else None."""
    if token := environ.get("HEADRACE_TOKEN"):
        return lambda: token
    if path := environ.get("HEADRACE_TOKEN_FILE"):
        return from_file(Path(path))
    issuer = DevelopmentIssuer.find(environ, start)
    return None if issuer is None else from_issuer(issuer)


def from_file(path: Path) -> TokenProvider:
    """Return a provider that reads the file each time, so that a renewed token takes effect without a restart."""

    def read() -> str:
        token = text_of(path, "token-file", "a token", _TOKEN_REMEDY).strip()
        if not token.isascii() or not token.isprintable() or " " in token:  # no header can carry it
            raise invalid("token-file", f"{path} holds more than one token, or none; {_TOKEN_REMEDY}")
        return token

    return read


def from_issuer(issuer: DevelopmentIssuer, subject: str = "developer") -> TokenProvider:
    """Return a provider that mints tokens with every scope."""
    return lambda: issuer.mint(subject=subject, now=datetime.now(UTC))
