"""Predictions by REST inside Envoy: from a request of the filter bridge to its answer, whole bodies each way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import Internal, NotFound, ServiceError, Unavailable

from headrace_router.data.predictor import Predictor
from headrace_router.data.request.request import Call, Request
from headrace_router.data.request.trace import timing_of
from headrace_router.data.transports.admission import AdmissionControl
from headrace_router.data.transports.call_context import (
    ENCODING_HEADER,
    TIMEOUT_HEADER,
    CallContextFactory,
    parse_timeout,
)
from headrace_router.data.transports.envoy.bridged_answer import Answered, Headers, packed_headers
from headrace_router.data.transports.envoy.bridged_request import BridgedRequest
from headrace_router.data.transports.rest.app import METHOD
from headrace_router.data.transports.rest.bodies import PLAIN, inflate, too_large
from headrace_router.data.transports.rest.inference_paths import InferencePaths, below_root
from headrace_router.data.transports.rest.paths import PredictionRoute, Render, Reply, find_v1
from headrace_router.data.transports.rest.refusal import refused

log = structlog.get_logger()

_REQUEST_ID = REQUEST_ID_HEADER.encode()
_OK = b"200"


class RestCalls:
    """Serves predictions by their paths. Their method is POST: Envoy's routes lead nothing else here.

    max_body_bytes: of a request, as sent and inflated. max_active: requests in progress, above which more are refused
    before they are read; of one client fewer.
    """

    def __init__(
        self,
        predictor: Predictor,
        contexts: CallContextFactory,
        inference: InferencePaths,
        *,
        max_body_bytes: int,
        max_active: int,
    ) -> None:
        self._predictor, self._contexts, self._inference = predictor, contexts, inference
        self._max_body_bytes, self._admission = max_body_bytes, AdmissionControl(max_active)
        self._active = 0

    async def respond(self, request: BridgedRequest) -> Answered:
        """Return the answer to one request. Until it waits for something it needs no task."""
        self._active += 1
        headers: Headers = []
        raw = request.path.partition("?")[0].encode("latin-1")
        try:
            reply = await self._reply(raw, request, headers)
        except ServiceError as error:
            reply = refused(raw, error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            reply = refused(raw, Unavailable("the call was stopped inside the service", reason="STOPPED"))
        except Exception:
            log.exception("unhandled error", path=request.path)
            reply = refused(raw, Internal("internal error"))
        finally:
            self._active -= 1
            if self._admission.counted:
                self._admission.release(request)
        return packed_reply(reply, headers)

    async def _reply(self, raw: bytes, request: BridgedRequest, headers: Headers) -> Reply:
        """Return the reply; `headers` gets those that errors have too."""
        try:
            found = request.headers()
            timeout = found.get(TIMEOUT_HEADER)
            remaining_s = None if timeout is None else parse_timeout(timeout)
            call = self._contexts.call(found, METHOD, remaining_s, request.identity())
        except ServiceError as error:
            self._predictor.refused(self._contexts.stranger(request.request_id()), error)
            raise
        headers.append((_REQUEST_ID, call.request_id.encode()))
        try:
            route = self._inference.find("POST", raw) if below_root(raw) else find_v1("POST", raw)
            if not isinstance(route, PredictionRoute):
                raise NotFound(f"no such path: {request.path}", reason="PATH_NOT_FOUND")
            asked, render = await self._parsed(route, request, found, call)
        except ServiceError as error:
            self._predictor.refused(call, error)
            raise
        answer = await self._predictor.predict(asked, call)
        if call.marks is not None:
            headers += [(name.encode(), value.encode()) for name, value in timing_of(found, call.marks)]
        return render(answer)

    async def _parsed(
        self, route: PredictionRoute, request: BridgedRequest, found: Mapping[str, str], call: Call
    ) -> tuple[Request, Render]:
        if self._active > self._admission.threshold:
            self._admission.admit(request, call.caller.client, self._active)
        body, most = request.body(), self._max_body_bytes
        if len(body) > most:
            raise too_large(most)
        encoding = found.get(ENCODING_HEADER, "")
        if encoding not in PLAIN:  # a kilobyte may become a megabyte, for which the loop would stop serving
            body = await asyncio.to_thread(inflate, body, encoding, most)
        return route.parse(body, found)


def packed_reply(reply: Reply, headers: Headers) -> Answered:
    """Return a reply as the filter takes it."""
    status = _OK if reply.status == 200 else str(reply.status).encode()
    length = (b"content-length", str(len(reply.body)).encode())
    return packed_headers(((b":status", status), *reply.headers, length, *headers)), reply.body, b""
