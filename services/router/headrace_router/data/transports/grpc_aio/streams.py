"""Streams of predictions: many requests of one call, each answered as soon as its answer is there.

The kit's interceptors are around a stream: identity, the end of its token, the deny list, statuses and accounting. Each
request is predicted as one of a call of its own, with a deadline of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import structlog
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import Internal, ServiceError, Unavailable
from headrace_servicekit.identity import Identity, identity
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.predictor import Predictor
from headrace_router.data.protocols.oip import infer_message, infer_stream
from headrace_router.data.request.request import Call
from headrace_router.data.transports.admission import AdmissionControl
from headrace_router.data.transports.call_context import CallContextFactory, wanted
from headrace_router.data.transports.pace import ClientPace

log = structlog.get_logger()

Write = Callable[[bytes], Awaitable[None]]

# Of one stream: it is read no further while it has so many requests, or bytes of them, unanswered.
MOST_IN_FLIGHT = 256
MOST_BYTES = 64 * 1024 * 1024


class PredictionStreams:
    """Serves `ModelStreamInfer`; a prometheus_client collector.

    max_active: requests of all streams in progress, of one client fewer; beyond, each is refused. pace: by which they
    are read.
    """

    def __init__(
        self,
        predictor: Predictor,
        contexts: CallContextFactory,
        pace: ClientPace,
        *,
        max_active: int,
    ) -> None:
        self._predictor, self._contexts, self.pace = predictor, contexts, pace
        self._admission, self._active = AdmissionControl(max_active), 0
        self._open = self._requests = 0

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        yield GaugeMetricFamily("headrace_router_streams", "Streams of predictions that are open.", value=self._open)
        help_text = "Requests that came within streams."
        yield CounterMetricFamily("headrace_router_stream_requests", help_text, value=self._requests)

    async def serve(self, messages: AsyncIterator[bytes], context: Any) -> None:
        """Answer the requests of one stream until its caller has sent all and has every answer."""
        headers = wanted(context.invocation_metadata())
        headers.pop(REQUEST_ID_HEADER, None)  # of the stream: each request has its own
        stream = _Stream(self, context, headers, identity())
        self._open += 1
        try:
            await stream.run(messages)
        finally:
            self._open -= 1
            log.info("stream", client=stream.caller.client, requests=stream.requests, errors=stream.errors)

    async def answer(
        self, data: bytes, headers: dict[str, str], remaining_s: float | None, caller: Identity, write: Write
    ) -> None:
        """Write the messages that answer a request: one, unless its version answers in parts. Raises ServiceError."""
        call = self._contexts.call(headers, infer_stream.METHOD, remaining_s, caller)
        self._active += 1
        self._requests += 1
        try:
            request = self._parsed(data, call)
            answer = await self._predictor.predict_in_parts(
                request, call, lambda answer: write(infer_stream.render(answer))
            )
            last = None if answer.rest is None else infer_stream.render_final(data, answer)
            if last is not None:
                await write(last)
        finally:
            self._active -= 1
            if self._admission.counted:
                self._admission.release(id(call))

    def _parsed(self, data: bytes, call: Call) -> Any:
        try:
            if self._active > self._admission.threshold:
                self._admission.admit(id(call), call.caller.client, self._active)
            return infer_message.parse(data)
        except ServiceError as error:
            self._predictor.refused(call, error)
            raise


class _Stream:
    """One stream. requests, errors: so far."""

    def __init__(self, streams: PredictionStreams, context: Any, headers: dict[str, str], caller: Identity) -> None:
        self._streams, self._context, self._headers, self.caller = streams, context, headers, caller
        self.requests = self.errors = 0
        self._in_flight = self._bytes = 0
        self._room = asyncio.Event()
        self._writing = asyncio.Lock()

    async def run(self, messages: AsyncIterator[bytes]) -> None:
        """Answer every request. A place is free again when the answer is written, so who does not read waits."""
        async with asyncio.TaskGroup() as tasks:
            async for data in messages:
                self.requests += 1
                self._in_flight += 1
                self._bytes += len(data)
                tasks.create_task(self._answer(data), name="request of a stream")
                await self._streams.pace.wait(self.caller.client)
                while self._in_flight >= MOST_IN_FLIGHT or self._bytes >= MOST_BYTES:
                    self._room.clear()
                    await self._room.wait()

    async def _answer(self, data: bytes) -> None:
        try:
            failure = await self._failure(data)
            if failure is not None:
                await self._write(failure)
        finally:
            self._in_flight -= 1
            self._bytes -= len(data)
            self._room.set()

    async def _write(self, message: bytes) -> None:
        async with self._writing:
            await self._context.write(message)

    async def _failure(self, data: bytes) -> bytes | None:
        """Answer a request; return the message of what it failed with, None when it did not."""
        try:
            remaining_s = self._context.time_remaining()
            await self._streams.answer(data, self._headers, remaining_s, self.caller, self._write)
            return None
        except ServiceError as error:  # kept by no name: its traceback holds this frame
            return self._failed(data, error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the stream is over
                raise
            return self._failed(data, Unavailable("the request was stopped inside the service", reason="STOPPED"))
        except Exception:
            log.exception("unhandled error", method=infer_stream.METHOD)
            return self._failed(data, Internal("internal error"))

    def _failed(self, data: bytes, failure: ServiceError) -> bytes:
        self.errors += 1
        return infer_stream.render_error(infer_stream.request_id_of(data), failure)
