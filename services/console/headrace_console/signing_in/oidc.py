"""OpenID Connect, authorization code with PKCE: a sign-in is begun, answered by the provider, and renewed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from headrace_servicekit.errors import Unauthenticated, Unavailable
from headrace_servicekit.identity import scopes_of

from headrace_console.sessions.cookie_secrets import CookieSecret
from headrace_console.sessions.sessions import Login, RenewalRefused
from headrace_console.sessions.store import SessionStore
from headrace_console.signing_in.provider import OpenIdProvider, TokenRefused

SIGN_IN_LIFETIME = timedelta(minutes=10)
_AGAIN = "sign in again"


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """What has to come back from the provider, and where the person wanted to go."""

    state: str
    nonce: str
    verifier: str
    then: str


@dataclass(frozen=True, slots=True)
class OpenIdSignIn:
    """Sign-ins at one provider. redirect_uri: where it sends people back. audience: of access tokens."""

    provider: OpenIdProvider
    store: SessionStore
    client_id: str
    secret_file: Path | None
    scopes: str
    audience: str
    redirect_uri: str

    async def begin(self, then: str) -> tuple[CookieSecret, str]:
        """Return the cookie of a sign-in, and where the browser goes next."""
        begun = PendingSignIn(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), then)
        secret = CookieSecret.new()
        await self.store.put(
            secret.digest, "sign-in", secret.seal(json.dumps(asdict(begun)).encode()), SIGN_IN_LIFETIME
        )
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scopes,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge_of(begun.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = (await self.provider.metadata()).authorization_endpoint
        return secret, f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def finish(self, secret: CookieSecret | None, answer: Mapping[str, str]) -> tuple[Login, str]:
        """Return the login, and the page to return to. answer: query of the provider's redirect.

        Raises Unauthenticated.
        """
        sealed = await self.store.take(secret.digest) if secret is not None else None
        content = secret.open(sealed) if secret is not None and sealed is not None else None
        if content is None:
            raise Unauthenticated(f"this browser has begun no sign-in, or too long ago: {_AGAIN}", reason="NOT_BEGUN")
        begun = PendingSignIn(**json.loads(content))
        if not hmac.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise Unauthenticated(f"the answer is to another sign-in: {_AGAIN}", reason="STATE_MISMATCH")
        if "error" in answer or not answer.get("code"):
            problem = answer.get("error", "no code")[:100]
            raise Unauthenticated(f"the provider refuses the sign-in: {problem}", reason="SIGN_IN_REFUSED")
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": begun.verifier,
        }
        try:
            tokens = await self.provider.tokens(form, self._secret())
        except TokenRefused as error:
            raise Unauthenticated(f"the provider gives no token: {error}", reason="SIGN_IN_REFUSED") from error
        claims = await self.provider.verified(_text(tokens, "id_token"), self.client_id, "id token")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), begun.nonce.encode()):
            raise Unauthenticated(f"the id token is of another sign-in: {_AGAIN}", reason="NONCE_MISMATCH")
        if claims.get("azp", self.client_id) != self.client_id:
            raise Unauthenticated("the id token was issued to another client", reason="TOKEN_INVALID")
        return await self._login(tokens, _text(tokens, "id_token")), begun.then

    async def renewed(self, login: Login) -> Login:
        """Return the login with a new token. Raises RenewalRefused."""
        if not login.refresh_token:
            raise RenewalRefused
        form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token, "client_id": self.client_id}
        try:
            tokens = await self.provider.tokens(form, self._secret())
            renewed = await self._login(tokens, login.id_token)
        except (TokenRefused, Unauthenticated) as error:
            raise RenewalRefused from error
        if renewed.subject != login.subject:
            raise RenewalRefused
        # A provider that does not rotate refresh tokens names none.
        return renewed if renewed.refresh_token else replace(renewed, refresh_token=login.refresh_token)

    async def sign_out_url(self, login: Login, back_to: str) -> str | None:
        """Return the URL at which the provider ends its own session; None if it has none."""
        endpoint = (await self.provider.metadata()).end_session_endpoint
        if not endpoint:
            return None
        asked = {"post_logout_redirect_uri": back_to, "client_id": self.client_id, "id_token_hint": login.id_token}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def _login(self, tokens: Mapping[str, Any], id_token: str) -> Login:
        token = _text(tokens, "access_token")
        claims = await self.provider.verified(token, self.audience, "access token")
        scopes, models = scopes_of(claims), claims.get("models")
        if not scopes or not (models is None or isinstance(models, list)):
            message = "the access token has no scope: docs/tokens.md says what a token must be"
            raise Unauthenticated(message, reason="TOKEN_INVALID")
        return Login(
            subject=str(claims["sub"]),
            access_token=token,
            expire_s=float(claims["exp"]),
            scopes=tuple(sorted(scopes)),
            models=None if models is None else tuple(sorted(map(str, models))),
            refresh_token=str(tokens.get("refresh_token") or ""),
            id_token=id_token,
        )

    def _secret(self) -> str:
        if self.secret_file is None:
            return ""
        try:
            return self.secret_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            message = f"the file of CONSOLE_OIDC_CLIENT_SECRET_FILE cannot be read: {type(error).__name__}"
            raise Unavailable(message, reason="SECRET_UNREADABLE") from error


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of RFC 7636.

    >>> challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCMeJ1fURQJBuA1bN9rHO7vM'
    """
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _text(tokens: Mapping[str, Any], name: str) -> str:
    value = tokens.get(name)
    if not isinstance(value, str) or not value:
        raise Unauthenticated(f"the provider gives no {name}", reason="SIGN_IN_REFUSED")
    return value
