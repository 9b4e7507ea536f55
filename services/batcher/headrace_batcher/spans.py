"""Spans of executions. Imported only when a collector is configured."""

from __future__ import annotations

import time
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags


class Spans:
    """Makes one span per execution: in the trace of its first followed member, linked to all of them.

    An execution serves several traces and a span has one parent; the links lead there from the others.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def batch(
        self, name: str, traceparents: Sequence[str], started: float, ended: float, attributes: dict[str, int | str]
    ) -> None:
        contexts = [_context(traceparent) for traceparent in traceparents]
        # The clock that durations are measured with does not know the time of day.
        offset_ns = time.time_ns() - time.monotonic_ns()
        span = self._tracer.start_span(
            f"batch {name}",
            context=trace.set_span_in_context(NonRecordingSpan(contexts[0])),
            kind=SpanKind.INTERNAL,
            links=[Link(context) for context in contexts],
            start_time=int(started * 1e9) + offset_ns,
            attributes=attributes,
        )
        if "error.type" in attributes:
            span.set_status(StatusCode.ERROR)
        span.end(int(ended * 1e9) + offset_ns)


def _context(traceparent: str) -> SpanContext:
    """Return the context of a valid W3C traceparent."""
    return SpanContext(
        int(traceparent[3:35], 16),
        int(traceparent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(traceparent[53:55], 16)),
    )
