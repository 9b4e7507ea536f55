"""What the data plane refuses with, apart from what a contract forbids; and the error of a batcher's answer."""

from __future__ import annotations

import math

from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import (
    Code,
    DeadlineExceeded,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    PreconditionFailed,
    ResourceExhausted,
    ServiceError,
    Unavailable,
    error_for,
)

RETRY_AFTER_S = 1.0
BUDGET_SPENT = "BUDGET_SPENT"


def model_missing() -> ServiceError:
    """Return the error for a request that names no model."""
    description = "a model must be named"
    return InvalidArgument(
        f"model: {description}", reason="MODEL_MISSING", violations=[FieldViolation("model", description)]
    )


def no_tables() -> ServiceError:
    """Return the error for a data plane that has no tables yet: it cannot know which models exist."""
    return Unavailable("no route tables yet", reason="TABLES_NOT_LOADED", retry_after_s=RETRY_AFTER_S)


def model_not_ready(model: str) -> ServiceError:
    """Return the error for a model that exists and that nothing serves."""
    return Unavailable(
        f"model '{model}' exists, and nothing serves it yet",
        reason="MODEL_NOT_READY",
        metadata={"model": model},
        retry_after_s=RETRY_AFTER_S,
    )


def version_not_found(model: str, version: str) -> ServiceError:
    """Return the error for a pinned version that the route does not name."""
    return NotFound(
        f"the route of model '{model}' names no version '{version}'",
        reason="VERSION_NOT_FOUND",
        metadata={"model": model, "version": version},
    )


def too_many_requests(limit: int) -> ServiceError:
    """Return the error for a request above a bound, or above its client's share of what is left of it."""
    return ResourceExhausted(
        f"as many requests as may be are in progress here: {limit} in all, or what one client may have of them",
        reason="TOO_MANY_REQUESTS",
        retry_after_s=0.1,
    )


def budget_spent(client: str, ends_in_s: float) -> ServiceError:
    """Return the error for a request that would have to be computed for a client that has spent its budget."""
    return ResourceExhausted(
        f"client '{client}' has used all the computing that its budget lets it until the period ends: "
        "only cached answers are given",
        reason=BUDGET_SPENT,
        retry_after_s=max(ends_in_s, RETRY_AFTER_S),
    )


def rate_limited(limit: str, client: str, model: str, per_s: float, next_s: float) -> ServiceError:
    """Return the error for a request beyond a client's rate limit. model: `*` for a limit of all together."""
    asked = "all models together" if model == "*" else f"model '{model}'"
    return ResourceExhausted(
        f"client '{client}' may send {per_s:g} requests a second to {asked} (rate limit '{limit}')",
        reason="RATE_LIMITED",
        metadata={"rate_limit": limit},
        retry_after_s=max(next_s, 0.001),
    )


def rate_limit_unavailable(limit: str) -> ServiceError:
    """Return the error for a request under a rate limit that is closed while the shared count is unavailable."""
    return Unavailable(
        f"requests cannot be counted now, and rate limit '{limit}' lets none through then",
        reason="RATE_LIMIT_UNAVAILABLE",
        metadata={"rate_limit": limit},
        retry_after_s=RETRY_AFTER_S,
    )


def no_backend(pool: str) -> ServiceError:
    """Return the error for a request that no batcher of its pool can take now."""
    return Unavailable(
        f"no batcher of pool '{pool}' can answer for this version now",
        reason="NO_BACKEND",
        metadata={"pool": pool},
        retry_after_s=RETRY_AFTER_S,
    )


def answers_in_parts(model: str) -> ServiceError:
    """Return the error for a request that takes one answer, to a version that gives any number of them."""
    return PreconditionFailed(
        f"model '{model}' answers this request in parts: ask by PredictStream, ModelStreamInfer or POST :predictStream",
        reason="ANSWERS_IN_PARTS",
        metadata={"model": model},
    )


def too_many_answers(which: str) -> ServiceError:
    """Return the error for a request that would be answered in parts, while as many are as may be."""
    return ResourceExhausted(
        f"limit of streamed answers reached here {which}", reason="TOO_MANY_ANSWERS", retry_after_s=RETRY_AFTER_S
    )


def answer_cut_off(pool: str) -> ServiceError:
    """Return the error for an answer in parts whose batcher went away before the last one."""
    return Unavailable(
        f"the batcher of pool '{pool}' went away in the middle of the answer: ask again from the beginning",
        reason="ANSWER_CUT_OFF",
        metadata={"pool": pool},
        retry_after_s=RETRY_AFTER_S,
    )


def pool_starting(pool: str, ready_in_s: float) -> ServiceError:
    """Return the error for a request that has less time than a pool needs that starts from zero."""
    expected = (
        f"it is expected to answer in {math.ceil(ready_in_s)} s" if ready_in_s else "that takes longer than before"
    )
    return Unavailable(
        f"pool '{pool}' has no batcher and is being started: {expected}",
        reason="POOL_STARTING",
        metadata={"pool": pool},
        retry_after_s=max(ready_in_s, RETRY_AFTER_S),
    )


def quarantined_input() -> ServiceError:
    """Return the error for inputs that took what runs their model down twice."""
    return InvalidArgument(
        "the inference backend went away twice on the values of this request: it is not executed again for ten minutes",
        reason="QUARANTINED_INPUT",
    )


def pool_full(pool: str, predicted_wait_s: float) -> ServiceError:
    """Return the error for a request that found every batcher of its pool at its bound, or its client at its share."""
    return ResourceExhausted(
        f"every batcher of pool '{pool}' has as many requests as it may have from this client",
        reason="POOL_FULL",
        metadata={"pool": pool},
        retry_after_s=min(max(predicted_wait_s, 0.05), RETRY_AFTER_S),
    )


def deadline_exceeded() -> ServiceError:
    """Return the error for an answer that did not come in time."""
    return DeadlineExceeded("the answer would come after the deadline", reason="DEADLINE_PASSED")


def entity_missing() -> ServiceError:
    """Return the error for a request without entity to a route that only looks up what was computed beforehand."""
    description = "this route answers from precomputed answers, which are found by entity"
    return InvalidArgument(
        f"entity_id: {description}", reason="ENTITY_MISSING", violations=[FieldViolation("entity_id", description)]
    )


def not_precomputed(*, too_old: bool, rows: int = 1) -> ServiceError:
    """Return the error for an entity without an answer, from a route that computes none."""
    description = "no precomputed answer for this entity"
    if rows != 1:
        description = f"precomputed answers have one row, the request has {rows}"
    elif too_old:
        description = "the precomputed answer for this entity is older than may be given"
    return NotFound(f"{description}, and the route computes none", reason="NOT_PRECOMPUTED")


def store_unavailable() -> ServiceError:
    """Return the error for a route that computes nothing while what was computed cannot be read."""
    return Unavailable(
        "precomputed answers cannot be read now, and the route computes none",
        reason="STORE_UNAVAILABLE",
        retry_after_s=RETRY_AFTER_S,
    )


def pipeline_time_short(takes_s: float, left_s: float) -> ServiceError:
    """Return the error for a pipeline whose steps would end behind the deadline: none of them is begun."""
    return DeadlineExceeded(
        f"the steps of this pipeline take about {takes_s * 1000:.0f} ms, and {max(0.0, left_s) * 1000:.0f} ms are left",
        reason="TIME_SHORT",
    )


_BLAMED = "contract["


def error_of(response: batcher_pb2.InferResponse) -> ServiceError:
    """Return the error of an answer.

    A blamed input becomes a violation of `blamed_field`, which the predictor turns into the caller's name for it.
    """
    try:
        code = Code(response.code)
    except ValueError:
        code = Code.UNKNOWN
    if code is Code.INTERNAL:
        return Internal("the model failed on this request", reason=response.reason or "INTERNAL")
    violations = ()
    if response.blamed_input:
        violations = (FieldViolation(blamed_field(response.blamed_input - 1), response.message),)
    retry_after_s = response.retry_after_us / 1e6 if response.retry_after_us else None
    return error_for(code, response.message, reason=response.reason, violations=violations, retry_after_s=retry_after_s)


def blamed_field(position: int) -> str:
    """Return the provisional field of an input, by its position in the contract."""
    return f"{_BLAMED}{position}]"


def blamed_position(field: str) -> int | None:
    """Return the position in the contract that `blamed_field` wrote, or None for any other field."""
    return int(field[len(_BLAMED) : -1]) if field.startswith(_BLAMED) else None
