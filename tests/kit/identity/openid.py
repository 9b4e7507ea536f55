"""An OpenID provider on a port of its own: discovery, authorization codes with PKCE, refresh tokens that rotate."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from headrace_servicekit.testing import eventually, free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.kit.identity.provider import IdentityProvider

CLIENT = "headrace-console"


@dataclass
class OpenIdServer:
    """What a test changes: who signs in, with what, and what the tokens say."""

    issuer: str
    keys: IdentityProvider = field(default_factory=IdentityProvider)
    signing: IdentityProvider | None = None
    """Who signs, where that is somebody else than who publishes keys."""
    subject: str = "ada"
    scopes: list[str] = field(default_factory=lambda: ["registry.read"])
    access_claims: dict[str, Any] = field(default_factory=dict)
    id_claims: dict[str, Any] = field(default_factory=dict)
    lifetime_s: int = 600
    refreshes: int = 0
    refuses_refresh: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=set)

    async def discovery(self, _request: Request) -> Response:
        """Say where everything is."""
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "end_session_endpoint": f"{self.issuer}/end",
            }
        )

    async def jwks(self, _request: Request) -> Response:
        """List the keys."""
        return JSONResponse({"keys": self.keys.keys})

    async def authorize(self, request: Request) -> Response:
        """Sign in without asking, and send the browser back with a code."""
        asked = dict(request.query_params)
        if asked.get("code_challenge_method") != "S256" or asked.get("client_id") != CLIENT:
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = urllib.parse.urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    async def token(self, request: Request) -> Response:
        """Give tokens for a code whose verifier is known, once; or for a refresh token, once."""
        form = dict(urllib.parse.parse_qsl((await request.body()).decode()))
        nonce = None
        if form.get("grant_type") == "authorization_code":
            asked = self.codes.pop(form.get("code", ""), None)
            challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            proven = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
            if asked is None or asked["code_challenge"] != proven or asked["redirect_uri"] != form.get("redirect_uri"):
                return JSONResponse({"error": "invalid_grant"}, 400)
            nonce = asked["nonce"]
        elif form.get("refresh_token") not in self.refresh_tokens or self.refuses_refresh:
            return JSONResponse({"error": "invalid_grant"}, 400)
        else:
            self.refreshes += 1
            self.refresh_tokens.discard(form["refresh_token"])
        return JSONResponse(self._tokens(nonce))

    def _tokens(self, nonce: str | None) -> dict[str, Any]:
        refresh = secrets.token_urlsafe(16)
        self.refresh_tokens.add(refresh)
        expires = {"exp": int(time.time()) + self.lifetime_s}
        access = {"iss": self.issuer, **expires, **self.access_claims}
        told: dict[str, Any] = {
            "token_type": "Bearer",
            "access_token": (self.signing or self.keys).token(self.subject, self.scopes, **access),
            "refresh_token": refresh,
        }
        if nonce is not None:
            identity = {"iss": self.issuer, "aud": CLIENT, "nonce": nonce, **self.id_claims}
            told["id_token"] = (self.signing or self.keys).token(self.subject, [], **identity)
        return told


@asynccontextmanager
async def openid_server() -> AsyncIterator[OpenIdServer]:
    """Run a provider until the block ends."""
    port = free_port()
    server = OpenIdServer(f"http://127.0.0.1:{port}")
    app = Starlette(
        routes=[
            Route("/.well-known/openid-configuration", server.discovery),
            Route("/keys", server.jwks),
            Route("/authorize", server.authorize),
            Route("/token", server.token, methods=["POST"]),
        ]
    )
    async with served(app, port):
        yield server


@asynccontextmanager
async def served(app: Any, port: int) -> AsyncIterator[None]:
    """Run an app in this process until the block ends."""
    running = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None, access_log=False))
    task = asyncio.create_task(running.serve())
    try:
        await eventually(lambda: running.started, within=20)
        yield
    finally:
        running.should_exit = True
        await task
