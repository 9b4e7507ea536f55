"""Answers that are computed: what is sent to a batcher, and what comes back."""

from __future__ import annotations

import asyncio

from headrace.batcher.v1 import batcher_pb2

from headrace_router.data.batchers.work import Work
from headrace_router.data.messages import ServedFrom
from headrace_router.data.question import Found, Question
from headrace_router.data.routes.table import Arm


def work_of(question: Question, arm: Arm, deadline: float, loop: asyncio.AbstractEventLoop) -> Work:
    """Return the work that answers a question by an arm."""
    layout, call = question.layout, question.call
    answer: asyncio.Future[batcher_pb2.InferResponse] = loop.create_future()
    work = Work(answer, arm.pool, arm.served.digest, layout.rows, question.inputs, deadline)
    # Attributes rather than a dozen keywords, which would take three times as long.
    work.absent, work.dims, work.outputs = layout.absent, layout.dims, question.outputs
    work.max_wait_us, work.hedged = question.table.max_wait_us, question.table.hedge
    work.answers = arm.served.answers
    work.client, work.priority = call.caller.client, question.request.priority
    work.trace, work.again, work.patience_s = question.trace, question.again, question.patience_s
    work.traceparent = call.traceparent if call.span is None else call.span.computing(answer, arm.pool)
    work.request_id = call.request_id if call.sampled else ""
    return work


def computed(arm: Arm, response: batcher_pb2.InferResponse, outcome: str) -> Found:
    """Return an answer as found by the request that it was computed for. outcome: why nothing kept could be given."""
    return Found(
        response.outputs,
        ServedFrom.ONLINE,
        arm.served,
        queue_us=response.queue_us,
        compute_us=response.compute_us,
        lookup_outcome=outcome,
        batch_requests=response.batch_requests or 1,
    )


def shared(arm: Arm, response: batcher_pb2.InferResponse, outcome: str) -> Found:
    """Return an answer as found by a request that waited for the execution of another."""
    return Found(response.outputs, ServedFrom.ONLINE, arm.served, lookup_outcome=outcome, shared_flight=True)
