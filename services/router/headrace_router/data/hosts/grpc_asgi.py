"""Unary gRPC methods as a plain ASGI app, for a server that speaks HTTP/2 with trailers and has the client's word for
when it is gone: see `presence.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import Internal, ServiceError, Unavailable, Unimplemented

from headrace_router.data.hosts import framing
from headrace_router.data.hosts.arrivals import GRPC_ENCODING_HEADER, Arrivals, wanted_of
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
_CONTENT = (b"content-type", b"application/grpc")
_ACCEPTED = (b"grpc-accept-encoding", framing.ACCEPTED)
_START: dict[str, Any] = {
    "type": "http.response.start", "status": 200, "headers": [_CONTENT, _ACCEPTED], "trailers": True,
}  # fmt: skip


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
        self._active += 1
        trailers: framing.Headers = []
        try:
            message, more = await self._answer(scope, receive, trailers)
        except ServiceError as error:
            await refuse(send, error, trailers)
        except ClientGone:
            pass
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            await refuse(send, Unavailable("the call was stopped inside the service", reason="STOPPED"), trailers)
        except Exception:
            log.exception("unhandled error", method=scope["path"])
            await refuse(send, Internal("internal error"), trailers)
        else:
            await send(_START)
            await send({"type": "http.response.body", "body": framing.framed(message)})
            ended = [framing.OK_TRAILER, *trailers, *more]
            await send({"type": "http.response.trailers", "headers": ended})
        finally:
            self._active -= 1
            if self._crowd.counted:
                self._crowd.leave()

    async def _answer(self, scope: Scope, receive: Receive, trailers: framing.Headers) -> tuple[bytes, framing.Headers]:
        """Return the answer and its own trailers; `trailers` gets those that errors have too."""
        found = self._methods.get(scope["path"])
        if found is None:
            raise Unimplemented("this method is not served here", reason="METHOD_UNKNOWN")
        method, serve = found
        try:
            headers = wanted_of(scope["headers"])
            timeout = headers.get(TIMEOUT_HEADER)
            remaining_s = None if timeout is None else parse_timeout(timeout)
            call = self._arrivals.call(headers, method, remaining_s, self._identify(scope))
        except ServiceError as error:
            self._refused(self._arrivals.stranger(scope["headers"]), error)
            raise
        trailers.append((_REQUEST_ID, call.request_id.encode()))
        try:
            if self._active > self._crowd.begins:
                self._crowd.enter(call.caller.client, self._active)
            body = await read_body(receive, self._max_message_bytes + framing.PREFIX_BYTES, call.deadline)
            message = None if GRPC_ENCODING_HEADER in headers else framing.plain(body)
            if message is None:
                message = await self._unframed(body, headers.get(GRPC_ENCODING_HEADER, ""))
        except ServiceError as error:
            self._refused(call, error)
            raise
        answer, more = await self._presence.while_there(serve(message, headers, call), receive)
        return answer, framing.encoded(more) if more else []

    async def _unframed(self, body: bytes, encoding: str) -> bytes:
        most = self._max_message_bytes
        if framing.compressed(body):  # a kilobyte may become megabytes, in which the loop would serve nobody
            return await asyncio.to_thread(framing.unframed, body, encoding, most)
        return framing.unframed(body, encoding, most)


async def refuse(send: Send, error: ServiceError, trailers: framing.Headers) -> None:
    """Answer with headers only: a message never came."""
    headers = [_CONTENT, _ACCEPTED, *framing.refusal_headers(error), *trailers]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
