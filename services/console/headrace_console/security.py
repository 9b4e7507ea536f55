"""What every answer says to browsers, and what no request gets past: as ASGI, around the whole app."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
# Of a page, which shows what only one person may see.
_UNSHARED = "no-store"
MAX_FORM_BYTES = 64 * 1024


class SecurityHeaders:
    """Adds the headers to every answer. secure: whether people reach us by https."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._headers: Mapping[str, str] = (
            {**HEADERS, "strict-transport-security": "max-age=31536000"} if secure else HEADERS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", _UNSHARED)
            await send(message)

        await self._app(scope, receive, with_headers)


class TooLarge(Exception):
    """A form is longer than any of ours."""


class NotAForm(Exception):
    """The body is of another type than our forms are."""


async def body_of(request: Request) -> bytes:
    """Return the body of a form. Raises TooLarge before it is read to its end, and NotAForm."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise NotAForm
    if int(request.headers.get("content-length") or 0) > MAX_FORM_BYTES:
        raise TooLarge
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_FORM_BYTES:
            raise TooLarge
    return content


def comes_from_elsewhere(request: Request) -> bool:
    """Return whether a browser says that another site made it send this; old browsers say nothing."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def local_path(text: str, default: str) -> str:
    """Return a path of the console to redirect to; the default for a path that leaves the console.

    >>> local_path("/console/models/digits?page=2", "/console/")
    '/console/models/digits?page=2'
    >>> local_path("//evil.example/console/", "/console/")
    '/console/'
    """
    plain = text.isascii() and text.isprintable() and not set(text) & set("\\ \"'<>")
    inside = text.startswith("/console/") and ".." not in text and not text.startswith("/console//")
    return text if plain and inside and len(text) <= 2000 else default


def peer_of(request: Request) -> str:
    """Return the client address of a request: the last one in x-forwarded-for, which the front door adds."""
    forwarded = request.headers.get("x-forwarded-for", "")
    return forwarded.rpartition(",")[2].strip() or (request.client.host if request.client else "")
