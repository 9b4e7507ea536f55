"""Answers that are computed: what is sent to a batcher, and what comes back."""

from __future__ import annotations

import asyncio

from headrace.batcher.v1 import batcher_pb2

from headrace_router.data.messages import ServedFrom
from headrace_router.data.question import Found, Question
from headrace_router.data.tables import Arm
from headrace_router.data.work import Work


def work_of(question: Question, arm: Arm, deadline: float, loop: asyncio.AbstractEventLoop) -> Work:
    """Return the work that answers a question by an arm."""
    layout, call = question.layout, question.call
    answer: asyncio.Future[batcher_pb2.InferResponse] = loop.create_future()
    return Work(
        answer,
        pool=arm.pool,
        digest=arm.served.digest,
        rows=layout.rows,
        inputs=question.inputs,
        deadline=deadline,
        absent=layout.absent,
        dims=layout.dims,
        outputs=question.outputs,
        max_wait_us=question.table.max_wait_us,
        client=call.caller.client,
        priority=question.request.priority,
        traceparent=call.traceparent if call.span is None else call.span.computing(answer, arm.pool),
        request_id=call.request_id if call.sampled else "",
        trace=question.trace,
        again=question.again,
        patience_s=question.patience_s,
        hedged=question.table.hedge,
    )


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
