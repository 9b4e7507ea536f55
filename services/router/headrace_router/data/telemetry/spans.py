"""Spans of recorded calls: one for the call, one for its look-up, one for each time that batchers work for it.

Imported only when a collector is configured. Calls that are not recorded do not come here.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from headrace_servicekit.calls import Call as Received
from headrace_servicekit.errors import Code
from headrace_servicekit.tracing import Tracing
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from headrace_router.data.request.trace import Marks

LOOKUP, BATCHER = "lookup", "batcher"


class CallSpans:
    """Begins the spans of calls. one_in: of calls that come without a trace, one of so many is recorded; 0: none."""

    def __init__(self, tracing: Tracing, *, one_in: int) -> None:
        self._tracing, self._one_in, self._seen = tracing, one_in, 0

    def samples(self) -> bool:
        """Return whether a call that comes without a trace is recorded."""
        self._seen += 1
        if self._seen != self._one_in:
            return False
        self._seen = 0
        return True

    def pass_over(self, requests: int) -> None:
        """Count calls that could not be recorded; another one is in their place."""
        self._seen = min(self._seen + requests, max(self._one_in - 1, 0))

    def begin(self, method: str, call: Received) -> tuple[str, CallSpan]:
        """Begin the span of a call; return its traceparent, and the span."""
        received, span = self._tracing.start(method, call)
        assert span is not None, "only recorded calls come here"
        return received.traceparent or "", CallSpan(self._tracing, span)


class CallSpan:
    """The span of one call, and those below it."""

    def __init__(self, tracing: Tracing, span: trace.Span) -> None:
        self._tracing, self._span = tracing, span

    def computing(self, answer: asyncio.Future[Any], pool: str) -> str:
        """Begin the span of a batcher's work, which ends with its answer; return its traceparent."""
        span = self._tracing.tracer.start_span(
            BATCHER,
            context=trace.set_span_in_context(self._span),
            kind=SpanKind.CLIENT,
            attributes={"headrace.pool": pool},
        )
        answer.add_done_callback(lambda done: _end(span, done))
        return traceparent_of(span)

    def end(self, code: str, marks: Marks | None) -> None:
        """End the span with the status that the call was answered with."""
        if marks is not None and marks.routed:
            self._lookup_span(marks)
        self._tracing.end(self._span, code)

    def _lookup_span(self, marks: Marks) -> None:
        now, now_ns = marks.now(), time.time_ns()
        span = self._tracing.tracer.start_span(
            LOOKUP,
            context=trace.set_span_in_context(self._span),
            start_time=now_ns - int((now - marks.routed) * 1e9),
        )
        span.end(now_ns - int((now - (marks.lookup_ended or now)) * 1e9))


def traceparent_of(span: trace.Span) -> str:
    """Return what names a span as the parent of others."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _end(span: trace.Span, done: asyncio.Future[Any]) -> None:
    """End the span of a batcher's work with what came of it."""
    error = None if done.cancelled() else done.exception()
    if done.cancelled():
        span.set_attribute("headrace.outcome", "withdrawn")
    elif error is not None:
        span.set_status(StatusCode.ERROR, getattr(error, "reason", ""))
    else:
        response = done.result()
        span.set_attributes(
            {
                "headrace.queue_us": response.queue_us,
                "headrace.compute_us": response.compute_us,
                "headrace.batch_requests": response.batch_requests,
                "headrace.batch_rows": response.batch_rows,
            }
        )
        if response.code:
            span.set_status(StatusCode.ERROR, f"{Code(response.code).name} {response.reason}")
    span.end()
