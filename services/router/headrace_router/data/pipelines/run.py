"""One request to a pipeline, from its admission to its answer. Everything is called on the loop and never waits."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import Protocol

import structlog
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, Internal, ServiceError

from headrace_router.data.batchers.decisions.balance import RetryBudget
from headrace_router.data.batchers.errors import error_of
from headrace_router.data.batchers.work import SHADOW, Online, PipelineWork, Work
from headrace_router.data.pipelines import tensors
from headrace_router.data.pipelines.decisions.admission import Verdict, admit, lacking
from headrace_router.data.pipelines.decisions.schedule import State, choose, latest_ends, next_moves
from headrace_router.data.pipelines.step_work import blamed, inputs_of, work_of
from headrace_router.data.pipelines.tensors import Tensor
from headrace_router.data.refusals import no_backend, nothing_selected, pipeline_time_short
from headrace_router.data.served import REQUEST, Plan, PlannedStep

log = structlog.get_logger()

# How often a request that waits for a member looks whether a batcher has it again.
LOOK_AGAIN_S = 0.02
# Left of the deadline for giving the answer, and at most this share of the time.
HAND_OVER_S, HAND_OVER_SHARE = 0.02, 0.1
# What was never measured takes so long at least.
QUICKEST_S = 0.001
# What another attempt may do better.
_REPEATABLE = frozenset(
    (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS)
)


class Prospects(Protocol):
    """What is known of those who run steps."""

    def needs_s(self, pool: str, digest: str) -> float:
        """Return how long an answer probably takes, infinite when nobody can give one."""
        ...

    def renews(self, pool: str, digest: str) -> bool:
        """Return whether one request may find out anew how long an answer takes."""
        ...


class Surroundings(Protocol):
    """What a run needs of those around it."""

    online: Online
    prospects: Prospects
    budget: RetryBudget
    loop: asyncio.AbstractEventLoop
    max_rows: int
    queue_timeout_s: float

    def miss(self, pool: str) -> float | None:
        """Note that a pool has no batcher for a step; return after how long one that is being started answers."""
        ...

    def ended(self, run: Run) -> None:
        """Forget a run."""
        ...

    def count(self, step: PlannedStep, work: Work, outcome: str, took_s: float) -> None:
        """Count the execution of a step. outcome: the name of a gRPC code, or WITHDRAWN."""
        ...


class Run:
    """The steps of one request. Each runs as a work of its own, which the pools treat as any other."""

    def __init__(self, work: Work, asked: PipelineWork, plan: Plan, around: Surroundings) -> None:
        self.work, self._asked, self._plan, self._around = work, asked, plan, around
        self._chosen = choose(plan, work.outputs, asked.attributes)
        self._states = [State.WAITING if wanted else State.UNWANTED for wanted in self._chosen.wanted]
        self._works: dict[int, Work] = {}
        self._attempts = [0] * len(plan.steps)
        self._began = [0.0] * len(plan.steps)
        self._errors: dict[int, ServiceError] = {}
        self._failed: list[int] = []
        self._spent_us = [(0, 0)] * len(plan.steps)
        """Of each step: in queues and computing, on the way to it that took longest, and in itself."""
        self._given: dict[tuple[int, int], Tensor] = {}
        self._invalid = False
        self._begin_by = self._end_by = [work.deadline] * len(plan.steps)
        self._needs_s, self._margin_s = [0.0] * len(plan.steps), 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waits_until = around.loop.time() + min(work.queue_timeout_s, around.queue_timeout_s)

    def begin(self) -> None:
        """Start what can start, unless the answer would come too late, or never."""
        self._timer = None
        if self.work.answer.done():
            self.stop()
            return
        now, steps = self._around.loop.time(), self._plan.steps
        self._needs_s = [
            self._need_s(step) if wanted else 0.0 for step, wanted in zip(steps, self._chosen.wanted, strict=True)
        ]
        verdict, takes_s = admit(self._chosen, self._needs_s, self.work.deadline - now)
        if verdict is Verdict.NO_BACKEND:
            if now + LOOK_AGAIN_S < self._waits_for_members_until(now):
                self._timer = self._around.loop.call_later(LOOK_AGAIN_S, self.begin)
                return
            missing = lacking(self._chosen, self._needs_s)
            self._fail(
                nothing_selected(self._plan.attributes) if missing is None else no_backend(self._pool(steps[missing]))
            )
            return
        if verdict is Verdict.TIME_SHORT and not self._renews():
            self._fail(pipeline_time_short(takes_s, self.work.deadline - now))
            return
        self._margin_s = min(HAND_OVER_S, HAND_OVER_SHARE * (self.work.deadline - now))
        self._end_by = latest_ends(self._chosen, self._needs_s, self.work.deadline - self._margin_s)
        self._begin_by = [end - need for end, need in zip(self._end_by, self._needs_s, strict=True)]
        pipeline = self._asked.served.contract
        given = tensors.of_request(pipeline.inputs, self.work.rows, self.work.absent, self.work.dims, self.work.inputs)
        self._given = {(REQUEST, position): tensor for position, tensor in given.items()}
        self._advance()

    def _waits_for_members_until(self, now: float) -> float:
        """Return until when a request waits for members that nobody has: longer for pools that are being started."""
        wanted = zip(self._plan.steps, self._needs_s, strict=True)
        ready_in_s = [self._around.miss(self._pool(step)) for step, needs_s in wanted if needs_s == math.inf]
        known = [one for one in ready_in_s if one is not None]
        if not known or len(known) < len(ready_in_s) or self.work.queue_timeout_s <= 0:
            return min(self._waits_until, self.work.deadline)
        return self.work.deadline if now + max(known) < self.work.deadline else now

    def stop(self) -> None:
        """Withdraw every step."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for at in list(self._works):
            self._drop(at)
        self._given.clear()
        self._around.ended(self)

    def _advance(self) -> None:
        """Do what is to be done next, until nothing is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        moves = next_moves(self._chosen, self._states, self._begin_by, self._around.loop.time())
        for at in moves.missing:
            self._go_without(at)
        for at in moves.start:
            self._states[at] = State.RUNNING
        self._failed += moves.late
        for at in moves.drop:
            self._drop(at)
            self._states[at] = State.UNWANTED
        if moves.failed:
            self._fail(self._error())
            return
        if moves.over:
            self._answer()
            return
        if moves.wake_at is not None:
            self._timer = self._around.loop.call_at(moves.wake_at, self._advance)
        for at in moves.start:
            if self.work.answer.done():  # one could not be started, and nothing stands for it
                return
            self._start(at)

    def _start(self, at: int) -> None:
        step = self._plan.steps[at]
        try:
            work = self._work(at, step)
        except ServiceError as error:  # sizes that vary and do not fit
            self._errors[at] = error
            self._end(at, None)
            return
        self._attempts[at] += 1
        self._began[at] = self._around.loop.time()
        self._works[at] = work
        work.answer.add_done_callback(partial(self._done, at, work))
        self._around.online.submit((work,))

    def _work(self, at: int, step: PlannedStep) -> Work:
        """Return the work of a step. Raises InvalidArgument."""
        inputs = inputs_of(step, self._given, self._chosen.allowed(at), self.work.rows)
        # Who is away now, and can be done without, is not waited for.
        waits_s = self.work.queue_timeout_s if self._needs_s[at] < math.inf else 0.0
        work = work_of(
            self.work, step, inputs, self._until(at, step), self._around.loop, self._around.max_rows, waits_s
        )
        work.again = work.again or self._attempts[at] > 0
        return work

    def _done(self, at: int, work: Work, answer: asyncio.Future[batcher_pb2.InferResponse]) -> None:
        """Take the answer of a step, or its error."""
        if answer.cancelled():
            return
        step, error = self._plan.steps[at], answer.exception()
        if self._works.get(at) is not work:
            return
        del self._works[at]
        if self.work.answer.done():
            self.stop()
            return
        response = answer.result() if error is None else None
        if response is not None and response.code:
            error = error_of(response)
        elif error is not None and not isinstance(error, ServiceError):
            log.error("step failed", step=step.name, exc_info=error)
            error = Internal("internal error")
        now = self._around.loop.time()
        outcome = error.code.name if isinstance(error, ServiceError) else "OK"
        self._around.count(step, self.work, outcome, now - self._began[at])
        if response is None or error is not None:
            assert isinstance(error, ServiceError)
            self._errors[at] = blamed(step, error)
            if self._tries_again(at, step, error, now):
                self._start(at)
                return
            self._end(at, None)
        else:
            self._end(at, response)

    def _end(self, at: int, response: batcher_pb2.InferResponse | None) -> None:
        """Note what became of a step. response: None when it failed."""
        step = self._plan.steps[at]
        if response is None:
            self._states[at] = State.MISSING
            self._failed.append(at)
            if step.soft_fail:
                self._stand_in_for(at)
        else:
            self._states[at] = State.GIVEN
            self._invalid = self._invalid or response.invalid_rows > 0
            for position, tensor in tensors.of_answer(response.outputs, step.gives).items():
                self._given[at, position] = tensor
            before = max([self._spent_us[take.step] for take in step.takes if take.step != REQUEST], default=(0, 0))
            self._spent_us[at] = (before[0] + response.queue_us, before[1] + response.compute_us)
        self._advance()

    def _go_without(self, at: int) -> None:
        """Note a step that will not run."""
        self._states[at] = State.MISSING
        if self._plan.steps[at].soft_fail:
            self._failed.append(at)
            self._stand_in_for(at)

    def _stand_in_for(self, at: int) -> None:
        """Let zeros stand for what a step would have given."""
        step = self._plan.steps[at]
        self._states[at] = State.GIVEN
        for position in step.gives:
            spec = step.served.contract.outputs[position]
            self._given[at, position] = tensors.zeros(spec.datatype, (self.work.rows, *spec.shape))

    def _tries_again(self, at: int, step: PlannedStep, error: ServiceError, now: float) -> bool:
        """Return whether a step that failed is started anew."""
        return (
            self._attempts[at] <= step.retries
            and error.code in _REPEATABLE
            and self.work.priority != SHADOW
            and now + self._needs_s[at] <= self._end_by[at]
            and self._around.budget.spend()
        )

    def _until(self, at: int, step: PlannedStep) -> float:
        """Return the deadline of an attempt: those behind the step keep the time that they need."""
        now = self._around.loop.time()
        until = min(self.work.deadline, max(self._end_by[at], now + self._needs_s[at]) + self._margin_s)
        return until if step.timeout_s is None else min(until, now + step.timeout_s)

    def _answer(self) -> None:
        """Settle the request with the outputs that it wants."""
        contract = self._asked.served.contract
        specs = [contract.outputs[position] for position in self._chosen.outputs]
        sources = [self._plan.outputs[position] for position in self._chosen.outputs]
        outputs = tensors.encoded(specs, [self._given[source] for source in sources])
        queue_us, compute_us = max(self._spent_us[at] for at, _ in sources)
        self._asked.missing = tuple(self._plan.steps[at].name for at in sorted(set(self._failed)))
        response = batcher_pb2.InferResponse(
            outputs=outputs,
            batch_rows=self.work.rows,
            batch_requests=1,
            queue_us=queue_us,
            compute_us=compute_us,
            invalid_rows=self.work.rows if self._invalid else 0,
        )
        if not self.work.answer.done():
            self.work.answer.set_result(response)
        self.stop()

    def _fail(self, error: ServiceError) -> None:
        if not self.work.answer.done():
            self.work.answer.set_exception(error)
        self.stop()

    def _error(self) -> ServiceError:
        """Return the error of the step that failed first, one that blames the request before others."""
        errors = [self._errors[at] for at in sorted(self._errors)]
        return next((one for one in errors if one.code is Code.INVALID_ARGUMENT), errors[0])

    def _drop(self, at: int) -> None:
        """Withdraw a step if it runs."""
        work = self._works.pop(at, None)
        if work is not None and not work.answer.done():
            self._around.online.withdraw(work)
            work.answer.cancel()
            self._around.count(self._plan.steps[at], self.work, "WITHDRAWN", self._around.loop.time() - self._began[at])

    def _need_s(self, step: PlannedStep) -> float:
        return max(self._around.prospects.needs_s(self._pool(step), step.served.digest), QUICKEST_S)

    def _renews(self) -> bool:
        """Return whether this request may find out anew how long the steps take."""
        prospects, wanted = self._around.prospects, self._chosen.wanted
        steps = [step for step, is_wanted in zip(self._plan.steps, wanted, strict=True) if is_wanted]
        return any(prospects.renews(self._pool(step), step.served.digest) for step in steps)

    def _pool(self, step: PlannedStep) -> str:
        return step.pool or self.work.pool
