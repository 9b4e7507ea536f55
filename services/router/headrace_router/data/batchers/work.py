"""One request to the batchers of a pool, its attempts, and what its answer says. Knows no transport."""

from __future__ import annotations

import asyncio
import copy
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.table import Variant

if TYPE_CHECKING:
    from headrace_router.data.batchers.decisions.balance import Endpoint
    from headrace_router.data.request.trace import Trace
    from headrace_router.data.tables.decisions.fallback_steps import Hedge
    from headrace_router.data.tables.served import KnownForms, ServedVersion


# Classes are numbers as in `InferRequest`; 0 is what did not say, and is read as this.
ONLINE = batcher_pb2.InferRequest.PRIORITY_ONLINE
# What waits behind everything else: bulk work, and clients that have spent their budgets.
BATCH = batcher_pb2.InferRequest.PRIORITY_BATCH
# Copies of what has been answered: no caller waits for them, and no request may wait behind them.
SHADOW = batcher_pb2.InferRequest.PRIORITY_SHADOW


class Online(Protocol):
    """What computes answers."""

    @property
    def in_flight(self) -> int:
        """Return how many works are at batchers."""
        ...

    def submit(self, works: Iterable[Work]) -> None:
        """Settle the `answer` of each work, sooner or later."""
        ...

    def withdraw(self, work: Work) -> None:
        """Stop caring about a work."""
        ...


class Holder(Protocol):
    """The batcher that an attempt is in flight on."""

    def withdraw(self, attempt: Attempt) -> None:
        """Forget an attempt."""
        ...

    def taken(self, attempt: Attempt) -> None:
        """Let one more part of an answer be sent."""
        ...

    def suspects(self, attempt: Attempt) -> bool:
        """Return whether no other batcher may get the request, because it may be why its version has gone."""
        ...


@dataclass(slots=True)
class PipelineWork:
    """What a work has besides when its version is a pipeline, which no batcher computes.

    served: the pipeline's. attributes: of the request, by which switches select. asked: the request, where what its
    steps compute is recorded; None for a copy. missing: steps that failed and that the answer does without, once there
    is one.
    """

    served: ServedVersion
    attributes: Mapping[str, str]
    asked: ResolvedRequest | None = None
    missing: tuple[str, ...] = ()


class Work:
    """One request to the batchers of a pool.

    inputs, absent, dims, outputs: as in `InferRequest`. deadline: on the loop's clock. answer: settled with the
    `InferResponse` or with an error; its caller withdraws the work when it no longer wants the answer. priority:
    class as in `InferRequest`. queue_timeout_s: how long it may wait for a batcher that is away for a moment; the pools
    have a bound of their own, and a caller with something else to try says 0. traceparent, request_id: of a request
    that is recorded or logged, else empty. answers: which of them keep the contract; None takes any. trace: of one that
    is explained. again: whether a batcher was asked for an answer before. hedged: how its route hedges it, if it does.
    pipeline: None where a batcher computes the answer. parts: where an answer in parts goes, None for one without.

    attempts: how many were sent. current, hedge: the latest attempt, and the one beside it; the first answer of the two
    settles the work. tick, hedge_tick: of its timers.
    """

    __slots__ = (
        "absent", "again", "answer", "answers", "attempts", "client", "current", "deadline", "digest", "dims", "hedge",
        "hedge_tick", "hedged", "inputs", "max_wait_us", "outputs", "parts", "pipeline", "pool", "priority",
        "queue_timeout_s",
        "request_id", "rows", "size_bytes", "tick", "trace", "traceparent",
    )  # fmt: skip

    def __init__(
        self,
        answer: asyncio.Future[batcher_pb2.InferResponse],
        pool: str,
        digest: str,
        rows: int,
        inputs: Sequence[bytes],
        deadline: float,
    ) -> None:
        # The rest is set as attributes: a dozen keywords would take three times as long.
        self.answer, self.pool, self.digest, self.rows, self.inputs = answer, pool, digest, rows, inputs
        self.deadline, self.size_bytes = deadline, sum(map(len, inputs))
        self.absent: Sequence[int] = ()
        self.dims: Sequence[int] = ()
        self.outputs: tuple[int, ...] = ()
        self.max_wait_us: int | None = None
        self.client = self.traceparent = self.request_id = ""
        self.priority: int = ONLINE
        self.queue_timeout_s = math.inf
        self.again = False
        self.trace: Trace | None = None
        self.hedged: Hedge | None = None
        self.answers: KnownForms | None = None
        self.pipeline: PipelineWork | None = None
        self.parts: PartBuffer | None = None
        self.attempts = self.tick = self.hedge_tick = 0
        self.current: Attempt | None = None
        self.hedge: Attempt | None = None

    def taken(self) -> None:
        """Let the batcher send one more part of the answer."""
        for attempt in self.in_flight():
            assert attempt.replica is not None
            attempt.replica.taken(attempt)

    def in_flight(self) -> list[Attempt]:
        """Return the attempts that await an answer."""
        return [one for one in (self.current, self.hedge) if one is not None and one.replica is not None]


class Attempt:
    """One request at one batcher.

    endpoint: the version at that batcher. sent: on the loop's clock. replica: that has it in flight; None when it is
    over. id: of the request in frames. probes: whether it tries an ejected endpoint. is_hedge: whether another attempt
    was in flight when it was sent.
    """

    __slots__ = ("endpoint", "id", "is_hedge", "probes", "replica", "sent", "work")

    def __init__(self, work: Work, endpoint: Endpoint[Any], sent: float, *, probes: bool, is_hedge: bool) -> None:
        self.work, self.endpoint, self.sent = work, endpoint, sent
        self.probes, self.is_hedge = probes, is_hedge
        self.replica: Holder | None = None
        self.id = 0

    def beside(self) -> Attempt | None:
        """Return the other attempt at the request if it is in flight."""
        other = self.work.current if self.is_hedge else self.work.hedge
        return other if other is not None and other.replica is not None else None


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


# Responses that a batcher may send before any was taken; it bounds their bytes itself, and sends one whatever its size.
AT_ONCE = 16


class PartBuffer:
    """The responses that came and were not taken yet. came: how many came so far.

    answer: of the work, settled with the last response, or with an error.
    """

    __slots__ = ("_answer", "_arrived", "_waiting", "came")

    def __init__(self, answer: asyncio.Future[batcher_pb2.InferResponse]) -> None:
        self.came = 0
        self._arrived: deque[batcher_pb2.InferResponse] = deque()
        self._answer = answer
        self._waiting: asyncio.Future[None] | None = None
        answer.add_done_callback(self._wake)

    @property
    def is_full(self) -> bool:
        """Return whether the batcher has sent as many as it was let."""
        return len(self._arrived) >= AT_ONCE

    def put(self, response: batcher_pb2.InferResponse) -> None:
        """Add a response that came."""
        self.came += 1
        self._arrived.append(response)
        self._wake(None)

    async def take(self) -> batcher_pb2.InferResponse:
        """Return the next response; the one that has no `more` is the last. Raises ServiceError."""
        while not self._arrived:
            if self._answer.done():
                error = self._answer.exception()
                if error is None:
                    return self._answer.result()
                # Not the future's own: its traceback would hold this frame, which holds the future and so the error.
                raise copy.copy(error)
            self._waiting = self._answer.get_loop().create_future()
            await self._waiting
        return self._arrived.popleft()

    def _wake(self, _answer: object) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
