"""Unary gRPC methods, for a server that speaks HTTP/2 with trailers and has the client's word for when it is gone
(`presence.py`): as a plain ASGI app, and as answers that a host of another kind sends (`handover.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import Internal, ServiceError, Unavailable, Unimplemented
from headrace_servicekit.identity import Identity

from headrace_router.data.hosts import framing
from headrace_router.data.hosts.arrivals import GRPC_ENCODING_HEADER, Arrivals, told_request_id, wanted_of
from headrace_router.data.hosts.asgi import Identify
from headrace_router.data.hosts.bodies import read_body
from headrace_router.data.hosts.crowd import Crowd
from headrace_router.data.hosts.deadline import HEADER as TIMEOUT_HEADER
from headrace_router.data.hosts.deadline import parse_timeout
from headrace_router.data.hosts.exchange import ClientGone, Receive, Scope, Send
from headrace_router.data.hosts.methods import Serve
from headrace_router.data.hosts.presence import Presence
from headrace_router.data.messages import Call

log = structlog.get_logger()

_REQUEST_ID = REQUEST_ID_HEADER.encode()
CONTENT: framing.Headers = [(b"content-type", b"application/grpc"), (b"grpc-accept-encoding", framing.ACCEPTED)]
"""What every answer begins with."""
_START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": CONTENT, "trailers": True}

Answered = tuple[bytes | None, framing.Headers]
"""A framed message and the trailers after it; or None and what follows CONTENT in an answer of headers only."""


class Request(Protocol):
    """One request, as its host has it. path: `/package.Service/Method`. whole: the body, if it is all there."""

    path: str
    whole: bytes | None

    def headers(self) -> dict[str, str]:
        """Return the headers that matter. Raises ServiceError."""
        ...

    def identity(self) -> Identity | None:
        """Return the caller, None when headers tell. Raises ServiceError."""
        ...

    def told_id(self) -> str | None:
        """Return the request id that the headers give."""
        ...

    async def body(self, most: int, until: float) -> bytes:
        """Return the whole body; as `read_body`."""
        ...

    def receive(self) -> Awaitable[Mapping[str, Any]]:
        """Return what ASGI's receive does."""
        ...


class OfScope:
    """A request of ASGI's."""

    __slots__ = ("_identify", "_receive", "_scope", "path", "whole")

    def __init__(self, scope: Scope, receive: Receive, identify: Identify) -> None:
        self._scope, self._identify = scope, identify
        self.path: str = scope["path"]
        self._receive = receive
        self.whole: bytes | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that matter. Raises ServiceError."""
        return wanted_of(self._scope["headers"])

    def identity(self) -> Identity | None:
        """Return the caller, None when headers tell. Raises ServiceError."""
        return self._identify(self._scope)

    def told_id(self) -> str | None:
        """Return the request id that the headers give."""
        return told_request_id(self._scope["headers"])

    async def body(self, most: int, until: float) -> bytes:
        """Return the whole body; as `read_body`."""
        return await read_body(self._receive, most, until)

    def receive(self) -> Awaitable[Mapping[str, Any]]:
        """Return what ASGI's receive does."""
        return self._receive()


class GrpcApp:
    """The ASGI app.

    methods: by `package.Service/Method`. max_message_bytes: of a request, as sent and inflated. max_active: requests in
    progress, above which more are refused before they are read; of one client fewer. presence, identify: as in
    RestHost. refused: counts a request that was refused before any method saw it.
    """

    def __init__(
        self,
        methods: Mapping[str, Serve],
        arrivals: Arrivals,
        presence: Presence,
        *,
        identify: Identify,
        refused: Callable[[Call, ServiceError], None],
        max_message_bytes: int,
        max_active: int,
    ) -> None:
        self._refused = refused
        self._methods = {f"/{name}": (name, serve) for name, serve in methods.items()}
        self._arrivals, self._presence, self._identify = arrivals, presence, identify
        self._max_message_bytes, self._crowd = max_message_bytes, Crowd(max_active)
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answered = await self.respond(OfScope(scope, receive, self._identify))
        if answered is None:
            return
        message, ended = answered
        if message is None:
            await _send_headers(send, ended)
            return
        await send(_START)
        await send({"type": "http.response.body", "body": message})
        await send({"type": "http.response.trailers", "headers": ended})

    async def respond(self, request: Request) -> Answered | None:
        """Return the answer to one request, None when its client has left.

        Until it waits for something it needs no task, if `presence` does not either.
        """
        self._active += 1
        trailers: framing.Headers = []
        try:
            message, more = await self._answer(request, trailers)
        except ServiceError as error:
            return refusal(error, trailers)
        except ClientGone:
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return refusal(Unavailable("the call was stopped inside the service", reason="STOPPED"), trailers)
        except Exception:
            log.exception("unhandled error", method=request.path)
            return refusal(Internal("internal error"), trailers)
        else:
            return framing.framed(message), [framing.OK_TRAILER, *trailers, *more]
        finally:
            self._active -= 1
            if self._crowd.counted:
                self._crowd.leave(request)

    async def _answer(self, request: Request, trailers: framing.Headers) -> tuple[bytes, framing.Headers]:
        """Return the answer and its own trailers; `trailers` gets those that errors have too."""
        found = self._methods.get(request.path)
        if found is None:
            raise Unimplemented("this method is not served here", reason="METHOD_UNKNOWN")
        method, serve = found
        try:
            headers = request.headers()
            timeout = headers.get(TIMEOUT_HEADER)
            remaining_s = None if timeout is None else parse_timeout(timeout)
            call = self._arrivals.call(headers, method, remaining_s, request.identity())
        except ServiceError as error:
            self._refused(self._arrivals.stranger(request.told_id()), error)
            raise
        trailers.append((_REQUEST_ID, call.request_id.encode()))
        try:
            if self._active > self._crowd.begins:
                self._crowd.enter(request, call.caller.client, self._active)
            body = request.whole
            if body is None:
                body = await request.body(self._max_message_bytes + framing.PREFIX_BYTES, call.deadline)
            message = None if GRPC_ENCODING_HEADER in headers else framing.plain(body)
            if message is None:
                message = await self._unframed(body, headers.get(GRPC_ENCODING_HEADER, ""))
        except ServiceError as error:
            self._refused(call, error)
            raise
        answer, more = await self._presence.while_there(serve(message, headers, call), request.receive)
        return answer, framing.encoded(more) if more else []

    async def _unframed(self, body: bytes, encoding: str) -> bytes:
        most = self._max_message_bytes
        if framing.compressed(body):  # a kilobyte may become megabytes, in which the loop would serve nobody
            return await asyncio.to_thread(framing.unframed, body, encoding, most)
        return framing.unframed(body, encoding, most)


def refusal(error: ServiceError, trailers: framing.Headers) -> Answered:
    """Return an answer of headers only: a message never came."""
    return None, [*framing.refusal_headers(error), *trailers]


async def refuse(send: Send, error: ServiceError) -> None:
    """Answer so."""
    await _send_headers(send, framing.refusal_headers(error))


async def _send_headers(send: Send, headers: framing.Headers) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*CONTENT, *headers]})
    await send({"type": "http.response.body", "body": b""})
