"""One log line, and one span where spans are collected, per execution that has a member whose caller is followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import structlog

from headrace_batcher.decisions.work import Work

if TYPE_CHECKING:
    from headrace_servicekit.tracing import Tracing

log = structlog.get_logger()

# Members that a line names, and that a span links.
MAX_NAMED = 8


class BatchSpans(Protocol):
    """Makes the span of an execution (`headrace_batcher.spans.Spans`)."""

    def batch(
        self, name: str, traceparents: Sequence[str], started: float, ended: float, attributes: dict[str, int | str]
    ) -> None:
        """Record a span. started, ended: on the monotonic clock. traceparents: of the members, one at least."""
        ...


def spans_for(tracing: Tracing | None) -> BatchSpans | None:
    """Return what makes spans, None where no collector is configured."""
    if tracing is None:
        return None
    from headrace_batcher.spans import Spans  # imports that most never need

    return Spans(tracing.tracer)


class Traces:
    """Spans of the executions of one version. spans: None when tracing is off."""

    def __init__(self, name: str, spans: BatchSpans | None = None) -> None:
        self._name = name
        self._spans = spans

    def executed(self, members: Sequence[Work], rows: int, started: float, ended: float, *, failure: str = "") -> None:
        """Tell of an execution if a member is followed. failure: the kind of error, empty when there were answers."""
        followed = [work for work in members if work.request_id or work.traceparent]
        if not followed:
            return
        named = followed[:MAX_NAMED]
        traceparents = [work.traceparent for work in named if work.traceparent]
        log.info(
            "batch executed",
            model=self._name,
            rows=rows,
            requests=len(members),
            ms=round((ended - started) * 1000, 3),
            followed=len(followed),
            request_ids=[work.request_id for work in named if work.request_id],
            trace_ids=[traceparent[3:35] for traceparent in traceparents],
            failure=failure or None,
        )
        if self._spans is not None and traceparents:
            attributes: dict[str, int | str] = {"headrace.batch.rows": rows, "headrace.batch.requests": len(members)}
            if failure:
                attributes["error.type"] = failure
            self._spans.batch(self._name, traceparents, started, ended, attributes)
