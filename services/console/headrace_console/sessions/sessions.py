"""Sessions as the pages know them: begun, found by a cookie, renewed, ended."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog
from headrace_servicekit.errors import Unavailable

from headrace_console.sessions.cookie_secrets import CookieSecret
from headrace_console.sessions.store import SessionStore

log = structlog.get_logger()

# A token in its last seconds may expire on its way.
RENEW_BEFORE_S = 60.0


@dataclass(frozen=True, slots=True)
class Login:
    """Who signed in, and with which token they call. scopes, models: what the token allows; models None means all."""

    subject: str
    access_token: str
    expire_s: float
    scopes: tuple[str, ...] = ()
    models: tuple[str, ...] | None = None
    refresh_token: str = ""
    id_token: str = ""

    def to_json(self) -> bytes:
        """Return it as it is sealed."""
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def of_json(cls, content: bytes) -> Login:
        """Return the login of a JSON text."""
        read = json.loads(content)
        models = read["models"]
        return cls(**{**read, "scopes": tuple(read["scopes"]), "models": None if models is None else tuple(models)})


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a signed-in person."""

    secret: CookieSecret
    login: Login

    @property
    def rights(self) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
        """The rights that decide what a page shows: readers with equal rights see the same."""
        return self.login.scopes, self.login.models


class RenewalRefused(Exception):
    """The issuer refuses to renew a login: the session is over."""


class Renewing(Protocol):
    """The issuer of logins."""

    async def renewed(self, login: Login) -> Login:
        """Return the renewed login. Raises RenewalRefused, and Unavailable while the issuer is away."""
        ...


class Sessions:
    """Every method raises Unavailable while the database cannot be reached."""

    def __init__(
        self,
        store: SessionStore,
        issuer: Renewing | None,
        lifetime: timedelta,
        *,
        is_denied: Callable[[str], bool],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._issuer, self._lifetime = store, issuer, lifetime
        self._is_denied, self._now_s = is_denied, now_s

    async def begin(self, login: Login, before: CookieSecret | None = None) -> Session:
        """Return a new session with a new secret. before: the browser's previous session, which is ended."""
        if before is not None:
            await self._store.remove(before.digest)
        secret = CookieSecret.new()
        await self._store.put(secret.digest, "session", secret.seal(login.to_json()), self._lifetime)
        log.info("signed in", subject=login.subject)
        return Session(secret, login)

    async def find(self, secret: CookieSecret | None) -> Session | None:
        """Return the session of a cookie, its token renewed if it expires soon; None if there is no session."""
        sealed = await self._store.find(secret.digest) if secret is not None else None
        content = secret.open(sealed) if secret is not None and sealed is not None else None
        if secret is None or content is None:
            return None
        login = Login.of_json(content)
        if self._is_denied(login.subject):
            await self.end(secret)
            log.info("session of a denied client ended", subject=login.subject)
            return None
        if login.expire_s - self._now_s() > RENEW_BEFORE_S:
            return Session(secret, login)
        return await self._renew(secret, login)

    async def end(self, secret: CookieSecret) -> None:
        """End a session."""
        await self._store.remove(secret.digest)

    async def _renew(self, secret: CookieSecret, stale: Login) -> Session | None:
        try:
            async with self._store.locked(secret.digest) as locked:
                content = None if locked is None else secret.open(locked.sealed)
                if locked is None or content is None:
                    return None
                login = Login.of_json(content)
                if login.expire_s <= stale.expire_s:  # else another request renewed it meanwhile
                    if self._issuer is None:
                        raise RenewalRefused
                    login = await self._issuer.renewed(login)
                    await locked.replace(secret.seal(login.to_json()))
                return Session(secret, login)
        except RenewalRefused:
            await self.end(secret)
            return None
        except Unavailable:
            if stale.expire_s > self._now_s():
                return Session(secret, stale)
            raise
