"""What a batcher's answer says went wrong, as an error for the caller."""

from __future__ import annotations

from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, FieldViolation, Internal, ServiceError, error_for

from headrace_router.data.batchers.work import Work

# What a batcher alone can know of a request. All else that could be wrong with one was found here before it was sent.
_OF_THE_REQUEST = frozenset(("NAN_NOT_ALLOWED", "MODEL_REJECTED_INPUT", "ROWS_DIFFER", "QUARANTINED_INPUT"))

# Codes by which a caller learns that the request is wrong, or that it may not be asked.
_BLAMES = frozenset(
    (
        Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.PERMISSION_DENIED, Code.UNAUTHENTICATED,
        Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE, Code.UNIMPLEMENTED,
    )
)  # fmt: skip

# In place of an answer that is none to the request: what happened behind the front door is no caller's fault.
DISAGREES = batcher_pb2.InferResponse(
    code=Code.UNAVAILABLE,
    reason="BATCHER_DISAGREES",
    message="the batcher's answer does not fit the request",
    retry_after_us=1_000_000,
)

_BLAMED = "contract["


def disagrees(work: Work, response: batcher_pb2.InferResponse) -> bool:
    """Return whether an answer breaks the version's contract, or blames the request for what was right with it."""
    if not response.code:
        if work.parts is not None and not response.more:  # the last one says how it ended
            return bool(response.outputs)
        answers = work.answers
        return answers is not None and not answers.keep_contract(work.rows, work.outputs, response.outputs)
    return response.code in _BLAMES and (
        response.code != Code.INVALID_ARGUMENT or response.reason not in _OF_THE_REQUEST
    )


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
