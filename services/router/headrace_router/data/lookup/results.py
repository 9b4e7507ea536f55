"""Answers that are computed: what is sent to a batcher, and what comes back."""

from __future__ import annotations

import asyncio

from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, ServiceError

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.batchers.work import PipelineWork, Work
from headrace_router.data.lookup.decisions.freshness import StoredAnswer
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.table import Variant

STEPS_MISSING = "STEPS_MISSING"


def work_of(resolved: ResolvedRequest, variant: Variant, deadline: float, loop: asyncio.AbstractEventLoop) -> Work:
    """Return the work that answers a request by a variant."""
    layout, call = resolved.layout, resolved.call
    answer: asyncio.Future[batcher_pb2.InferResponse] = loop.create_future()
    work = Work(answer, variant.pool, variant.served.digest, layout.rows, resolved.inputs, deadline)
    # Attributes rather than a dozen keywords, which would take three times as long.
    work.absent, work.dims, work.outputs = layout.absent, layout.dims, resolved.outputs
    work.max_wait_us, work.hedged = resolved.table.max_wait_us, resolved.table.hedge
    work.answers = variant.served.answers
    work.client, work.priority = call.caller.client, resolved.request.priority
    work.trace, work.again, work.queue_timeout_s = resolved.trace, resolved.again, resolved.queue_timeout_s
    work.traceparent = call.traceparent if call.span is None else call.span.computing(answer, variant.pool)
    work.request_id = call.request_id if call.sampled else ""
    if variant.served.pipeline is not None:
        work.pipeline = PipelineWork(variant.served, resolved.request.attributes, resolved)
    return work


def missing_in(work: Work) -> tuple[str, ...]:
    """Return the steps that an answer does without: it is given, flagged, to those who wait, and not kept."""
    return work.pipeline.missing if work.pipeline is not None else ()


def flagged(found: Answer, missing: tuple[str, ...]) -> Answer:
    """Return an answer that says which steps of its pipeline it does without, if there are any."""
    if missing:
        found.degraded_reason, found.missing_steps = STEPS_MISSING, missing
    return found


def computed(variant: Variant, response: batcher_pb2.InferResponse, outcome: str) -> Answer:
    """Return an answer as found by the request that it was computed for. outcome: why no stored answer was served."""
    return Answer(
        response.outputs,
        ServedFrom.ONLINE,
        variant.served,
        queue_us=response.queue_us,
        compute_us=response.compute_us,
        lookup_outcome=outcome,
        batch_requests=response.batch_requests or 1,
        invalid=response.invalid_rows > 0,
    )


def shared(variant: Variant, response: batcher_pb2.InferResponse, outcome: str) -> Answer:
    """Return an answer as found by a request that waited for the execution of another."""
    return Answer(
        response.outputs,
        ServedFrom.ONLINE,
        variant.served,
        lookup_outcome=outcome,
        shared_execution=True,
        invalid=response.invalid_rows > 0,
    )


# What says nothing against the request: another answer may stand in.
_STANDS_IN = frozenset(
    (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS)
)


def given(variant: Variant, answer: StoredAnswer, *, stale: bool = False, degraded_reason: str = "") -> Answer:
    """Return a stored answer as found."""
    source = ServedFrom.STALE if stale else ServedFrom.PRECOMPUTED if answer.precomputed else ServedFrom.CACHE
    return Answer(
        answer.outputs,
        source,
        variant.served,
        int(answer.age_s * 1000),
        answer.layer,
        degraded_reason=degraded_reason,
    )


def stands_in(error: ServiceError) -> bool:
    """Return whether an older answer is better than this error."""
    return error.code in _STANDS_IN
