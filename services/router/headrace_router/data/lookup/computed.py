"""Answers that are computed: what is sent to a batcher, and what comes back."""

from __future__ import annotations

import asyncio

from headrace.batcher.v1 import batcher_pb2

from headrace_router.data.batchers.work import Work
from headrace_router.data.messages import ServedFrom
from headrace_router.data.resolved_request import LookupResult, ResolvedRequest
from headrace_router.data.routes.table import Variant


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
    return work


def computed(variant: Variant, response: batcher_pb2.InferResponse, outcome: str) -> LookupResult:
    """Return an answer as found by the request that it was computed for. outcome: why nothing kept could be given."""
    return LookupResult(
        response.outputs,
        ServedFrom.ONLINE,
        variant.served,
        queue_us=response.queue_us,
        compute_us=response.compute_us,
        lookup_outcome=outcome,
        batch_requests=response.batch_requests or 1,
    )


def shared(variant: Variant, response: batcher_pb2.InferResponse, outcome: str) -> LookupResult:
    """Return an answer as found by a request that waited for the execution of another."""
    return LookupResult(
        response.outputs, ServedFrom.ONLINE, variant.served, lookup_outcome=outcome, shared_execution=True
    )
