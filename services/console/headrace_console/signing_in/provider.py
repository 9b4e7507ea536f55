"""Client of an OpenID provider: its metadata, keys and token endpoint.

Its responses decide a person's identity: they are validated, their sizes are bounded, and no redirect is followed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from headrace_servicekit.errors import Unauthenticated, Unavailable

_TIMEOUT_S = 5.0
_LONGEST_ANSWER = 256 * 1024
_KEPT_S = 3600.0
# An unknown key may be new, so its set is fetched again; at most this often, so that made-up key ids cause no load.
_ASK_AGAIN_S = 10.0
_ALGORITHMS = ("ES256", "ES384", "PS256", "RS256")
_SKEW_S = 10


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a provider answers what. end_session_endpoint: empty where it has none."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""


class TokenRefused(Exception):
    """The provider gives no tokens for this."""


class OpenIdProvider:
    """Raises Unavailable, reason PROVIDER_UNAVAILABLE, while the provider does not answer as it must."""

    def __init__(
        self,
        issuer: str,
        client: httpx.AsyncClient,
        now_s: Callable[[], float] = time.monotonic,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._issuer, self._client, self._now_s, self._timeout_s = issuer, client, now_s, timeout_s
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, jwt.PyJWKSet] | None = None

    async def metadata(self) -> Metadata:
        """Return the provider's metadata, at most an hour old."""
        if self._metadata is None or self._now_s() - self._metadata[0] > _KEPT_S:
            document = await self._json("GET", f"{self._issuer}/.well-known/openid-configuration")
            self._metadata = self._now_s(), metadata_of(self._issuer, document)
        return self._metadata[1]

    async def tokens(self, form: Mapping[str, str], secret: str) -> dict[str, Any]:
        """Return the response of the token endpoint. Raises TokenRefused if it refuses the form."""
        endpoint = (await self.metadata()).token_endpoint
        auth = httpx.BasicAuth(form["client_id"], secret) if secret else None
        return await self._json("POST", endpoint, data=dict(form), auth=auth)

    async def verified(self, token: str, audience: str, kind: str) -> dict[str, Any]:
        """Return the claims of a token that the provider has signed for an audience. Raises Unauthenticated."""
        try:
            key = await self._key(jwt.get_unverified_header(token))
            return jwt.decode(
                token,
                key,
                algorithms=list(_ALGORITHMS),
                audience=audience,
                issuer=self._issuer,
                leeway=_SKEW_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.InvalidAudienceError as error:
            message = f"the provider's {kind} is for another audience than {audience!r}: correct our client there"
            raise Unauthenticated(message, reason="TOKEN_AUDIENCE_REFUSED") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated(
                f"the provider's {kind} cannot be accepted: {error}", reason="TOKEN_INVALID"
            ) from error

    async def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        kid = header.get("kid")
        for fresh in (False, True):
            usable = [key for key in (await self._key_set(fresh)).keys if key.public_key_use in (None, "sig")]
            found = [key for key in usable if kid is None or key.key_id == kid]
            if len(found) == 1:
                return found[0]
        raise jwt.InvalidTokenError("no key of the provider has signed it")

    async def _key_set(self, fresh: bool) -> jwt.PyJWKSet:
        kept_s = _ASK_AGAIN_S if fresh else _KEPT_S
        if self._keys is None or self._now_s() - self._keys[0] > kept_s:
            document = await self._json("GET", (await self.metadata()).jwks_uri)
            try:
                self._keys = self._now_s(), jwt.PyJWKSet.from_dict(document)
            except (jwt.PyJWKSetError, jwt.PyJWKError, AttributeError, TypeError) as error:
                raise _unavailable(f"its keys cannot be read: {error}") from error
        return self._keys[1]

    async def _json(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        try:
            # httpx bounds each read, not all of them.
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(method, url, timeout=self._timeout_s, **request) as answer,
            ):
                content = b""
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > _LONGEST_ANSWER:
                        raise _unavailable(f"{url} answers more than {_LONGEST_ANSWER} bytes")
            if method == "POST" and answer.status_code in (400, 401):
                raise TokenRefused(_error_of(content))
            if answer.status_code != 200:
                raise _unavailable(f"{url} answers {answer.status_code}")
            document = httpx.Response(200, content=content).json()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            raise _unavailable(f"{url}: {type(error).__name__} {error}".strip()) from error
        if not isinstance(document, dict):
            raise _unavailable(f"{url} answers no JSON object")
        return document


def metadata_of(issuer: str, document: Mapping[str, Any]) -> Metadata:
    """Return the metadata of a discovery document. Raises Unavailable for another issuer or an unsafe URL."""
    if document.get("issuer") != issuer:
        raise _unavailable(f"it calls itself {document.get('issuer')!r}, and CONSOLE_OIDC_ISSUER is {issuer!r}")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    found = {name: document.get(name) for name in names} | {
        "end_session_endpoint": document.get("end_session_endpoint") or ""
    }
    for name, url in found.items():
        if not isinstance(url, str) or ((url or name in names) and not _is_safe(url)):
            raise _unavailable(f"its {name} is no https URL")
    return Metadata(issuer, **{name: str(url) for name, url in found.items()})


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))


def _error_of(content: bytes) -> str:
    try:
        return str(httpx.Response(200, content=content).json().get("error", ""))[:200]
    except (ValueError, AttributeError):
        return ""


def _unavailable(why: str) -> Unavailable:
    return Unavailable(f"the identity provider does not answer as it must: {why}", reason="PROVIDER_UNAVAILABLE")
