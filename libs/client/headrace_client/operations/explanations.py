"""Explanations: how an answer came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from headrace.router.v1 import compute_pb2, predict_pb2

from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import invalid
from headrace_client.operations.prediction import SERVED_FROM, ServedFrom

DEFAULT_TIMEOUT_S = 5.0


def way_name(way: compute_pb2.ComputeWay) -> str:
    """Return `backend`, `thread` or `inline`; empty for one that is not known."""
    known = way and way in compute_pb2.ComputeWay.values()
    return compute_pb2.ComputeWay.Name(way).removeprefix("COMPUTE_WAY_").lower() if known else ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that was tried for a request.

    step: `primary`, or a fallback of the route. pool, batcher: empty where no batcher was asked. begin: from the
    request's arrival. queue, compute: parts of `took`. batch_rows, batch_mates: rows of the execution, and the other
    requests in it. reason: why it did not answer; empty when it did, CACHED where a step of a pipeline had its outputs
    kept. hedge: whether it went beside a late one. pipeline_step: the step of the pipeline that was run, empty for a
    version that is none. takes_from: the steps before it. compute_way: where the batcher executed it: `backend`
    (Triton), `thread` or `inline` of its own process; empty where it does not say.
    """

    step: str
    version: str
    pool: str
    batcher: str
    begin: timedelta
    took: timedelta
    queue: timedelta
    compute: timedelta
    batch_rows: int
    batch_mates: int
    reason: str
    hedge: bool
    pipeline_step: str = ""
    takes_from: tuple[str, ...] = ()
    compute_way: str = ""

    @classmethod
    def from_proto(cls, attempt: predict_pb2.ExplainResponse.Attempt) -> Attempt:
        """Return the attempt of a message."""
        return cls(
            step=attempt.step,
            version=attempt.version,
            pool=attempt.pool,
            batcher=attempt.batcher,
            begin=timedelta(microseconds=attempt.begin_us),
            took=timedelta(microseconds=attempt.took_us),
            queue=timedelta(microseconds=attempt.queue_us),
            compute=timedelta(microseconds=attempt.compute_us),
            batch_rows=attempt.batch_rows,
            batch_mates=attempt.batch_mates,
            reason=attempt.reason,
            hedge=attempt.hedge,
            pipeline_step=attempt.pipeline_step,
            takes_from=tuple(attempt.takes_from),
            compute_way=way_name(attempt.compute_way),
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """How an answer, or an error, came about.

    bucket: that the unit fell into; None when none was hashed. rule: that chose the variant; empty when the weights
    did. variant_version: what the variant, or the caller, named. version: what computed the answer. served_from: None
    for an error. lookup_outcome: why nothing kept could be given. shared_execution: whether the answer was computed for
    another request, which this one waited for. code, reason: of the reply; 0 and empty for an answer. route, total:
    from the arrival until the variant was known, and until the reply. message: everything, as the API gives it.
    """

    prediction_id: str
    request_id: str
    received: datetime
    client: str
    data_plane: str
    model: str
    generation: int
    rule: str
    bucket: int | None
    variant: str
    variant_version: str
    version: str
    digest: str
    served_from: ServedFrom | None
    age: timedelta
    lookup_outcome: str
    shared_execution: bool
    fallback_step: str
    degraded_reason: str
    attempts: tuple[Attempt, ...]
    code: int
    reason: str
    route: timedelta
    total: timedelta
    message: predict_pb2.ExplainResponse = field(repr=False, compare=False)

    @classmethod
    def from_proto(cls, response: predict_pb2.ExplainResponse) -> Explanation:
        """Return the explanation of a message."""
        return cls(
            prediction_id=response.prediction_id,
            request_id=response.request_id,
            received=response.receive_time.ToDatetime(UTC),
            client=response.client,
            data_plane=response.data_plane,
            model=response.model,
            generation=response.generation,
            rule=response.rule,
            bucket=response.bucket if response.HasField("bucket") else None,
            variant=response.variant,
            variant_version=response.variant_version,
            version=response.version,
            digest=response.digest,
            served_from=SERVED_FROM.get(response.served_from, ServedFrom.UNKNOWN) if response.served_from else None,
            age=timedelta(milliseconds=response.age_ms),
            lookup_outcome=response.lookup_outcome,
            shared_execution=response.shared_execution,
            fallback_step=response.fallback_step,
            degraded_reason=response.degraded_reason,
            attempts=tuple(map(Attempt.from_proto, response.attempts)),
            code=response.code,
            reason=response.reason,
            route=timedelta(microseconds=response.route_us),
            total=timedelta(microseconds=response.total_us),
            message=response,
        )


def explain(
    session: Session, prediction_id: str = "", *, request_id: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[Explanation]:
    """Return how an answer came about, by the id of the prediction or of the request (then of its last answer).

    Answers that were asked to be explained (`predict(…, explain=True)`), and a sample of all others, are known for an
    hour. Raises NotFound, reason EXPLANATION_NOT_FOUND, for those that are not.
    """
    if bool(prediction_id) == bool(request_id):
        raise invalid("prediction_id", "give it, or a request_id, and not both")
    request = predict_pb2.ExplainRequest(prediction_id=prediction_id, request_id=request_id)
    response = yield from invoke(session, predict_pb2.ExplainResponse, request, timeout_s=timeout)
    return Explanation.from_proto(response)
