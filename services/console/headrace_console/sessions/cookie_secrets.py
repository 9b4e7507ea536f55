"""The secret in a browser's cookie, and the values derived from it. Pure, but for the nonces of seals.

The database has a session's digest, and its content encrypted with a key derived from the secret: a reader of the
database can neither continue a session nor use its tokens.
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
        """Return a new random secret."""
        return cls(secrets.token_urlsafe(32))

    @classmethod
    def of(cls, cookie: str | None) -> CookieSecret | None:
        """Return the secret of a cookie; None if the cookie is missing or malformed."""
        return cls(cookie) if cookie is not None and _SECRET.fullmatch(cookie) else None

    @property
    def digest(self) -> bytes:
        """The digest that identifies the session in the database."""
        return self._derived(b"digest")

    @property
    def form_token(self) -> str:
        """The CSRF token of the session's forms: another site cannot know it."""
        return base64.urlsafe_b64encode(self._derived(b"form")).rstrip(b"=").decode()

    def is_form_token(self, token: str) -> bool:
        """Return whether a form's CSRF token is this session's."""
        return hmac.compare_digest(token.encode(), self.form_token.encode())

    def seal(self, content: bytes) -> bytes:
        """Encrypt content so that only this secret opens it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._derived(b"seal")).encrypt(nonce, content, self.digest)

    def open(self, sealed: bytes) -> bytes | None:
        """Return the decrypted content; None if it was changed or sealed with another secret."""
        try:
            return AESGCM(self._derived(b"seal")).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.digest)
        except (InvalidTag, ValueError):
            return None

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.digest(self.text.encode(), b"headrace console " + purpose, hashlib.sha256)
