"""Sign-in by a development issuer: `headrace console` makes a link that is good once, and for a minute.

The link leads to a page with a button: if opening it were enough, its sender could sign others in as themselves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from headrace_client.errors import HeadraceError
from headrace_client.issuer import (
    AUDIENCE,
    ISSUER,
    LINK_AUDIENCE,
    LINK_LIFETIME,
    MAX_LIFETIME,
    DevelopmentIssuer,
)
from headrace_client.local_stack import KEY_FILE
from headrace_servicekit.errors import Unauthenticated, Unavailable

from headrace_console.sessions.sessions import Login, RenewalRefused
from headrace_console.sessions.store import SessionStore

_REMEDY = "run `headrace console` for a new one"


@dataclass(frozen=True, slots=True)
class DevelopmentSignIn:
    """The development issuer whose files are in `folder`.

    With only its public keys a session lasts as long as the token in the link, 15 minutes. On a local stack, which has
    the private key too, sessions are renewed.
    """

    folder: Path
    store: SessionStore

    def named(self, link: str) -> str:
        """Return the subject of a link without spending it. Raises as `by_link`, but not for a spent link."""
        return self._login(str(self._claims(link, LINK_AUDIENCE)["token"])).subject

    async def by_link(self, link: str) -> Login:
        """Return the login of a link and spend it. Raises Unauthenticated for a spent, expired or foreign link."""
        claims = self._claims(link, LINK_AUDIENCE)
        login = self._login(str(claims["token"]))
        if not await self.store.spend_link(str(claims["jti"]), LINK_LIFETIME * 2):
            raise Unauthenticated(f"this link has been used: {_REMEDY}", reason="LINK_SPENT")
        return login

    async def renewed(self, login: Login) -> Login:
        """Return the login with a new token. Raises RenewalRefused where only the public keys are."""
        if not (self.folder / KEY_FILE).is_file():
            raise RenewalRefused
        now = datetime.now(UTC)
        try:
            token = DevelopmentIssuer(self.folder).mint(
                subject=login.subject, now=now, scopes=login.scopes, models=login.models
            )
        except HeadraceError as error:
            raise Unavailable(error.message, reason="ISSUER_UNAVAILABLE") from error
        return replace(login, access_token=token, expire_s=(now + MAX_LIFETIME).timestamp())

    def _login(self, token: str) -> Login:
        claims = self._claims(token, AUDIENCE)
        models = claims.get("models")
        return Login(
            subject=str(claims["sub"]),
            access_token=token,
            expire_s=float(claims["exp"]),
            scopes=tuple(map(str, claims["scopes"])),
            models=None if models is None else tuple(map(str, models)),
        )

    def _claims(self, signed: str, audience: str) -> dict[str, Any]:
        needed = ["exp", "sub", *(["jti", "token"] if audience == LINK_AUDIENCE else ["scopes"])]
        try:
            keys = jwt.PyJWKSet.from_dict(json.loads((self.folder / "jwks.json").read_text()))
            key = keys.keys[0]
        except (OSError, ValueError, IndexError, jwt.PyJWTError) as error:
            raise Unavailable(f"the development issuer's keys cannot be read: {error}") from error
        try:
            return jwt.decode(
                signed, key, algorithms=["ES256"], audience=audience, issuer=ISSUER, options={"require": needed}
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(f"this link has expired: {_REMEDY}", reason="LINK_EXPIRED") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"this is no link of this installation: {_REMEDY}", reason="LINK_REFUSED") from error
