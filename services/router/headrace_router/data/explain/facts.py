"""What an explanation says: a request's trace and what became of it, as a message. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from headrace.router.v1 import predict_pb2

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.request.request import Call, Request
from headrace_router.data.request.trace import PRIMARY, Attempt, Trace
from headrace_router.data.tables.decisions.lookup_policy import StoredVersion
from headrace_router.data.tables.served import REQUEST, ServedVersion

# Of an attempt whose answer was no longer awaited: another one was quicker, or the caller left.
WITHDRAWN = "WITHDRAWN"


class Outcome(NamedTuple):
    """How a request ended, at a time of the trace's clock.

    prediction_id: made for errors too, which only the explanation names. code: a gRPC status code. reason: of
    ErrorInfo, empty for an answer.
    """

    prediction_id: str
    ended: float
    code: int = 0
    reason: str = ""


def explanation(
    trace: Trace, request: Request, call: Call, outcome: Outcome, *, data_plane: str, ended_at: datetime
) -> predict_pb2.ExplainResponse:
    """Return what is kept. data_plane: its id. ended_at: the same moment as `outcome.ended`."""
    variant, found = trace.variant, trace.found if not outcome.code else None
    total_s = outcome.ended - trace.started
    response = predict_pb2.ExplainResponse(
        prediction_id=outcome.prediction_id,
        request_id=request.request_id or call.request_id,
        client=call.caller.client,
        data_plane=data_plane,
        model=request.model,
        code=outcome.code,
        reason=outcome.reason,
        route_us=_us((outcome.ended if trace.routed is None else trace.routed) - trace.started),
        total_us=_us(total_s),
        parts=trace.parts,
        parts_bytes=trace.part_bytes,
    )
    response.receive_time.FromMicroseconds(int(ended_at.timestamp() * 1e6) - _us(total_s))
    if trace.table is not None:
        response.generation = trace.table.generation
    if variant is not None:
        response.rule, response.variant, response.variant_version = variant.rule, variant.name, variant.served.version
        if trace.table is not None and variant.name and not variant.rule:
            _set_bucket(response, trace, request, call)
    if found is not None:
        _set_answer(response, found)
        if found.served_from is ServedFrom.PRECOMPUTED and found.served is not None and trace.table is not None:
            _set_publish(response, trace.table.kept.get(found.served.digest), found.served)
    response.attempts.extend(_attempts(trace, found, outcome))
    return response


def _set_bucket(response: predict_pb2.ExplainResponse, trace: Trace, request: Request, call: Call) -> None:
    assert trace.table is not None
    bucket = trace.table.bucket(
        user_id=request.user_id, entity_id=request.entity_id, request_id=request.request_id or call.request_id
    )
    if bucket is not None:
        response.bucket = bucket


def _set_answer(response: predict_pb2.ExplainResponse, found: Answer) -> None:
    response.MergeFrom(
        predict_pb2.ExplainResponse(
            served_from=_SERVED_FROM[found.served_from],
            age_ms=found.age_ms,
            lookup_outcome=found.lookup_outcome,
            shared_execution=found.shared_execution,
            fallback_step=found.fallback_step,
            degraded_reason=found.degraded_reason,
            missing_steps=found.missing_steps,
        )
    )
    if found.served is not None:
        response.version, response.digest = found.served.version, found.served.digest


def _set_publish(response: predict_pb2.ExplainResponse, stored: StoredVersion | None, served: ServedVersion) -> None:
    """Say which generation of answers a precomputed one is from, and what computed it."""
    if stored is None:
        return
    response.publish = f"models/{response.model}/versions/{served.version}/publishes/{stored.generation}"
    if stored.run or stored.manifest:
        response.origin.run, response.origin.manifest_digest = stored.run, stored.manifest
        response.origin.version_digest = served.digest


def _attempts(trace: Trace, found: Answer | None, outcome: Outcome) -> Iterator[predict_pb2.ExplainResponse.Attempt]:
    """Yield what was tried; what gave the answer last, also where no batcher was asked on this request's behalf."""
    made = list(trace.attempts)
    if found is not None and not any(one.ended and not one.reason for one in made):
        made.append(_of_found(trace, found, outcome))
    for one in made:
        yield _message(trace, one, outcome)


def _of_found(trace: Trace, found: Answer, outcome: Outcome) -> Attempt:
    """Return the attempt of an answer that was kept, given, or computed for another request."""
    began = trace.routed if trace.routed is not None else trace.started
    return Attempt(
        found.fallback_step or PRIMARY,
        found.served.version if found.served is not None else "",
        "",
        "",
        max([began, *(one.ended for one in trace.attempts)]),
        outcome.ended,
        found.queue_us,
        found.compute_us,
        batch_requests=found.batch_requests,
    )


def _message(trace: Trace, one: Attempt, outcome: Outcome) -> predict_pb2.ExplainResponse.Attempt:
    ended, reason = one.ended or outcome.ended, one.reason
    if not one.ended:
        reason = outcome.reason or WITHDRAWN
    variant_version = trace.variant.served.version if trace.variant is not None else ""
    return predict_pb2.ExplainResponse.Attempt(
        step=one.step,
        version=one.version or (variant_version if one.pool else ""),
        pool=one.pool,
        batcher=one.batcher,
        begin_us=_us(one.began - trace.started),
        took_us=_us(ended - one.began),
        queue_us=one.queue_us,
        compute_us=one.compute_us,
        batch_rows=one.batch_rows,
        batch_mates=max(0, one.batch_requests - 1),
        reason=reason,
        hedge=one.hedge,
        pipeline_step=one.pipeline_step,
        compute_way=one.compute_way,
        takes_from=_takes_from(trace, one.pipeline_step) if one.pipeline_step else (),
    )


def _takes_from(trace: Trace, name: str) -> Iterator[str]:
    """Yield the steps whose outputs a step of the variant's pipeline takes, each once."""
    plan = None if trace.variant is None else trace.variant.served.pipeline
    steps = () if plan is None else plan.steps
    step = next((one for one in steps if one.name == name), None)
    if step is not None:
        yield from dict.fromkeys(steps[take.step].name for take in step.takes if take.step != REQUEST)


def _us(seconds: float) -> int:
    return max(0, int(seconds * 1e6))


_SERVED_FROM = {source: predict_pb2.PredictResponse.ServedFrom.Name(source.value) for source in ServedFrom}
