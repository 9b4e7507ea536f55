"""The secret in a browser's cookie, and what follows from it. Pure, but for the nonces of seals.

The database has a digest to find a session by and its content sealed with a key that is made of the secret: whoever
reads the database can neither continue a session nor use its tokens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class CookieSecret:
    """256 random bits as a cookie has them."""

    text: str

    @classmethod
    def new(cls) -> CookieSecret:
        """Return one that nobody has had."""
        return cls(secrets.token_urlsafe(32))

    @classmethod
    def of(cls, cookie: str | None) -> CookieSecret | None:
        """Return the secret of a cookie; None for whatever cannot be one."""
        return cls(cookie) if cookie is not None and _SECRET.fullmatch(cookie) else None

    @property
    def digest(self) -> bytes:
        """Return what the database knows a session by."""
        return self._derived(b"digest")

    @property
    def form_token(self) -> str:
        """Return what every form of the session carries: another site cannot know it."""
        return base64.urlsafe_b64encode(self._derived(b"form")).rstrip(b"=").decode()

    def is_form_token(self, given: str) -> bool:
        """Return whether a form came from a page of this session."""
        return hmac.compare_digest(given.encode(), self.form_token.encode())

    def seal(self, content: bytes) -> bytes:
        """Return content that only this secret opens."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._derived(b"seal")).encrypt(nonce, content, self.digest)

    def open(self, sealed: bytes) -> bytes | None:
        """Return the content; None for what another secret sealed, or somebody changed."""
        try:
            return AESGCM(self._derived(b"seal")).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.digest)
        except (InvalidTag, ValueError):
            return None

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.digest(self.text.encode(), b"headrace console " + purpose, hashlib.sha256)
