"""Outcome of a request: an answer or a failure, for the caller that waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace_runtime.shapes import Raw
from headrace_servicekit.errors import Code

from headrace_batcher.decisions.compute import Way
from headrace_batcher.encoder import RowShapes


@dataclass(slots=True)  # not frozen: that would take four times as long to make, for every request
class Answer:
    """The rows of one request, of every output of the contract, not yet encoded.

    batch_rows, batch_requests: of the execution that it was part of. invalid_rows: with a value that the contract
    excludes. way: where that ran, None where it is not said.
    """

    row_shapes: RowShapes
    values: Sequence[Raw]
    batch_rows: int
    batch_requests: int
    queue_s: float
    compute_s: float
    invalid_rows: int = 0
    way: Way | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer. blamed_input: position in the contract, None when no input is to blame.

    retry_after_s is 0 when trying again is of no use.
    """

    code: Code
    reason: str
    message: str
    blamed_input: int | None = None
    retry_after_s: float = 0.0


EXPIRED = Failure(Code.DEADLINE_EXCEEDED, "DEADLINE_PASSED", "the deadline passed before the execution began")
TOO_LATE = Failure(
    Code.DEADLINE_EXCEEDED, "DEADLINE_UNREACHABLE", "the execution would have ended after the deadline: too much waits"
)
ENDED_LATE = Failure(Code.DEADLINE_EXCEEDED, "DEADLINE_PASSED", "the deadline passed before the last part was there")
ANSWERS_IN_PARTS = Failure(
    Code.FAILED_PRECONDITION, "ANSWERS_IN_PARTS", "the version streams its answers, and the request takes one answer"
)
READER_TOO_SLOW = Failure(
    Code.RESOURCE_EXHAUSTED,
    "READER_TOO_SLOW",
    "the caller did not read the streamed answer, and the model waited for it",
)
STOPPING = Failure(Code.UNAVAILABLE, "STOPPING", "the batcher is stopping", retry_after_s=0.05)
NOT_LOADED = Failure(Code.UNAVAILABLE, "NOT_LOADED", "the version is not loaded here", retry_after_s=0.5)
MODEL_LOADING = Failure(
    Code.UNAVAILABLE, "MODEL_LOADING", "the version was not in memory and is loaded now", retry_after_s=1.0
)
MODEL_CROWDED_OUT = Failure(
    Code.UNAVAILABLE, "MODEL_LOADING", "the version is not in memory, and others that are in use take all of it"
)
BACKEND_LOST = Failure(Code.UNAVAILABLE, "NO_BACKEND", "the inference backend is not available", retry_after_s=1.0)
# Of a request that was executing when its backend went away, and that could not be tried again alone.
BACKEND_CRASHED = Failure(
    Code.UNAVAILABLE, "BACKEND_CRASHED", "the inference backend went away during the execution", retry_after_s=1.0
)
QUARANTINED_INPUT = Failure(
    Code.INVALID_ARGUMENT,
    "QUARANTINED_INPUT",
    "the inference backend went away twice on the values of this request: it is not executed again for ten minutes",
)
INTERNAL = Failure(Code.INTERNAL, "INTERNAL", "internal error")
MODEL_FAILING = Failure(Code.UNAVAILABLE, "MODEL_FAILING", "the model fails on every request", retry_after_s=1.0)
MODEL_REJECTED_INPUT = Failure(
    Code.INVALID_ARGUMENT, "MODEL_REJECTED_INPUT", "the model fails on the values of this request"
)
