"""REST as a plain ASGI app: any ASGI server can run it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import Internal, ServiceError
from headrace_servicekit.identity import Identity

from headrace_router.data.predictor import Predictor
from headrace_router.data.request.request import Call, Request
from headrace_router.data.request.trace import timing_of
from headrace_router.data.transports.admission import AdmissionControl
from headrace_router.data.transports.call_context import (
    ENCODING_HEADER,
    TIMEOUT_HEADER,
    CallContextFactory,
    finishing,
    parse_timeout,
    received_request_id,
    wanted_of,
)
from headrace_router.data.transports.rest.bodies import PLAIN, inflate, read_body
from headrace_router.data.transports.rest.disconnects import (
    AwaitedDisconnects,
    ClientGone,
    DisconnectDetection,
    Receive,
    Scope,
    Send,
)
from headrace_router.data.transports.rest.event_stream import Events, EventStreams
from headrace_router.data.transports.rest.inference_paths import OF_ANYBODY, InferencePaths, below_root
from headrace_router.data.transports.rest.paths import (
    PredictionRoute,
    ReadRoute,
    Render,
    Reply,
    StreamRoute,
    find_v1,
)
from headrace_router.data.transports.rest.refusal import refused

log = structlog.get_logger()

READY_PATH = "/readyz"
# What spans and counts name the methods of REST.
METHOD = "REST predict"

Identify = Callable[[Scope], Identity | None]
"""Gives the caller of a request, None when its headers tell. Raises ServiceError."""


def by_headers(_scope: Scope) -> Identity | None:
    """Leave it to the headers: the front door has checked the token."""
    return None


class RestTransport:
    """The ASGI app.

    max_body_bytes: larger bodies are refused while they arrive, or while they are inflated. max_active: requests in
    progress, above which more are refused before their bodies are read; of one client fewer. ready: what `/readyz`
    answers, which the front door asks. disconnects: how the server tells that a client has left. identify: gives the
    caller, None when headers do.
    """

    def __init__(
        self,
        predictor: Predictor,
        contexts: CallContextFactory,
        inference: InferencePaths,
        events: EventStreams,
        *,
        max_body_bytes: int,
        max_active: int,
        ready: Callable[[], bool],
        disconnects: DisconnectDetection | None = None,
        identify: Identify = by_headers,
    ) -> None:
        self._disconnects, self._identify = disconnects or AwaitedDisconnects(), identify
        self._predictor, self._contexts, self._inference, self._ready = predictor, contexts, inference, ready
        self._events = events
        self._max_body_bytes, self._admission = max_body_bytes, AdmissionControl(max_active)
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; of those only HTTP, and lifespan without anything to do."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"] == READY_PATH:
            await _answer(send, [], Reply(b"{}", 200 if self._ready() else 503))
        elif scope["type"] == "http":
            self._active += 1
            try:
                await self._serve(scope, receive, send)
            finally:
                self._active -= 1
                if self._admission.counted:
                    self._admission.release(receive)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = []
        raw = _raw_path(scope)
        try:
            found = wanted_of(scope["headers"])
            timeout = found.get(TIMEOUT_HEADER)
            remaining_s = None if timeout is None else parse_timeout(timeout)
            caller = self._identify(scope)
            call = self._contexts.call(found, METHOD, remaining_s, caller, of_anybody=raw in OF_ANYBODY)
            headers.append((REQUEST_ID_HEADER.encode(), call.request_id.encode()))
            method = scope["method"]
            what = self._inference.find(method, raw) if below_root(raw) else find_v1(method, raw)
            if isinstance(what, ReadRoute):
                body = await self._body(receive, found, call) if method == "POST" else b""
                with finishing(call):
                    reply = what.read(call.caller, body)
            elif isinstance(what, StreamRoute):
                await self._stream(what, receive, send, found, call, headers)
                return
            else:
                request, render = await self._request(what, receive, found, call)
                answer = await self._disconnects.unless_disconnected(self._predictor.predict(request, call), receive)
                headers += [(name.encode(), value.encode()) for name, value in timing_of(found, call.marks)]
                reply = render(answer)
            await _answer(send, headers, reply)
        except ServiceError as error:
            if not headers:
                self._predictor.refused(self._contexts.stranger(received_request_id(scope["headers"])), error)
            await refuse(send, headers, raw, error)
        except ClientGone:
            pass
        except Exception:
            log.exception("unhandled error", path=scope["path"])
            await refuse(send, headers, raw, Internal("internal error"))

    async def _stream(
        self,
        what: StreamRoute,
        receive: Receive,
        send: Send,
        found: dict[str, str],
        call: Call,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        """Answer in parts. Raises ServiceError where nothing was answered yet."""
        until = call.deadline if TIMEOUT_HEADER in found else None
        try:
            if self._active > self._admission.threshold:
                self._admission.admit(receive, call.caller.client, self._active)
            parts = self._events.parts(what.model, await self._body(receive, found, call))
        except ServiceError as error:
            self._predictor.refused(call, error)
            raise
        answering = self._events.answer(parts, call, found, Events(send, headers), until)
        with finishing(call):
            await self._disconnects.unless_disconnected(answering, receive)

    async def _request(
        self, what: PredictionRoute, receive: Receive, headers: Mapping[str, str], call: Call
    ) -> tuple[Request, Render]:
        """Return the request and what renders its answer. Raises ServiceError for bad bodies."""
        try:
            if self._active > self._admission.threshold:
                self._admission.admit(receive, call.caller.client, self._active)
            return what.parse(await self._body(receive, headers, call), headers)
        except ServiceError as error:
            self._predictor.refused(call, error)
            raise

    async def _body(self, receive: Receive, headers: Mapping[str, str], call: Call) -> bytes:
        most = self._max_body_bytes
        body = await read_body(receive, most, call.deadline)
        encoding = headers.get(ENCODING_HEADER, "")
        if encoding in PLAIN:
            return body
        # A kilobyte may become a megabyte, in which the loop would serve no request.
        return await asyncio.to_thread(inflate, body, encoding, most)


def _raw_path(scope: Scope) -> bytes:
    """Return the path as it was sent, where the server tells: servers differ in what they decode."""
    raw = scope.get("raw_path")
    return scope["path"].encode() if raw is None else raw.partition(b"?")[0]


async def refuse(send: Send, headers: list[tuple[bytes, bytes]], raw: bytes, error: ServiceError) -> None:
    """Answer with an error. raw: the path as it was sent."""
    await _answer(send, headers, refused(raw, error))


async def _answer(send: Send, headers: list[tuple[bytes, bytes]], reply: Reply) -> None:
    length = (b"content-length", str(len(reply.body)).encode())
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length, *headers]})
    await send({"type": "http.response.body", "body": reply.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
