"""Unary gRPC methods inside Envoy: from a request of the filter bridge to its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import Internal, ServiceError, Unavailable, Unimplemented

from headrace_router.data.request.request import Call
from headrace_router.data.transports.admission import AdmissionControl
from headrace_router.data.transports.call_context import (
    GRPC_ENCODING_HEADER,
    TIMEOUT_HEADER,
    CallContextFactory,
    parse_timeout,
)
from headrace_router.data.transports.envoy import framing
from headrace_router.data.transports.envoy.bridged_request import BridgedRequest
from headrace_router.data.transports.prediction_methods import Serve

log = structlog.get_logger()

_REQUEST_ID = REQUEST_ID_HEADER.encode()
CONTENT: framing.Headers = [(b"content-type", b"application/grpc"), (b"grpc-accept-encoding", framing.ACCEPTED)]
"""What every answer begins with."""

Answered = tuple[bytes | None, framing.Headers]
"""A framed message and the trailers after it; or None and what follows CONTENT in an answer of headers only."""


class UnaryCalls:
    """Serves requests by their methods.

    methods: by `package.Service/Method`. max_message_bytes: of a request, as sent and inflated. max_active: requests in
    progress, above which more are refused before they are read; of one client fewer. refused: counts a request that was
    refused before any method saw it.
    """

    def __init__(
        self,
        methods: Mapping[str, Serve],
        contexts: CallContextFactory,
        *,
        refused: Callable[[Call, ServiceError], None],
        max_message_bytes: int,
        max_active: int,
    ) -> None:
        self._methods = {f"/{name}": (name, serve) for name, serve in methods.items()}
        self._contexts, self._refused = contexts, refused
        self._max_message_bytes, self._admission = max_message_bytes, AdmissionControl(max_active)
        self._active = 0

    async def respond(self, request: BridgedRequest) -> Answered:
        """Return the answer to one request. Until it waits for something it needs no task."""
        self._active += 1
        trailers: framing.Headers = []
        try:
            message, more = await self._answer(request, trailers)
        except ServiceError as error:
            return refusal(error, trailers)
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
            if self._admission.counted:
                self._admission.release(request)

    async def _answer(self, request: BridgedRequest, trailers: framing.Headers) -> tuple[bytes, framing.Headers]:
        """Return the answer and its own trailers; `trailers` gets those that errors have too."""
        found = self._methods.get(request.path)
        if found is None:
            raise Unimplemented("this method is not served here", reason="METHOD_UNKNOWN")
        method, serve = found
        try:
            headers = request.headers()
            timeout = headers.get(TIMEOUT_HEADER)
            remaining_s = None if timeout is None else parse_timeout(timeout)
            call = self._contexts.call(headers, method, remaining_s, request.identity())
        except ServiceError as error:
            self._refused(self._contexts.stranger(request.request_id()), error)
            raise
        trailers.append((_REQUEST_ID, call.request_id.encode()))
        try:
            if self._active > self._admission.threshold:
                self._admission.admit(request, call.caller.client, self._active)
            body = request.body()
            message = None if GRPC_ENCODING_HEADER in headers else framing.plain(body)
            if message is None:
                message = await self._unframed(body, headers.get(GRPC_ENCODING_HEADER, ""))
        except ServiceError as error:
            self._refused(call, error)
            raise
        answer, more = await serve(message, headers, call)
        return answer, framing.encoded(more) if more else []

    async def _unframed(self, body: bytes, encoding: str) -> bytes:
        most = self._max_message_bytes
        if framing.compressed(body):  # a kilobyte may become megabytes, in which the loop would serve nobody
            return await asyncio.to_thread(framing.unframed, body, encoding, most)
        return framing.unframed(body, encoding, most)


def refusal(error: ServiceError, trailers: framing.Headers) -> Answered:
    """Return an answer of headers only: a message never came."""
    return None, [*framing.refusal_headers(error), *trailers]
