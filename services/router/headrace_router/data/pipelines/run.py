"""One request to a pipeline, from its admission to its answer. Everything is called on the loop and never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, Internal, ServiceError

from headrace_router.data.answer.refusals import error_of, pipeline_time_short
from headrace_router.data.batchers.work import SHADOW, PipelineWork, Work
from headrace_router.data.pipelines.decisions.schedule import State, Verdict, choose, next_moves
from headrace_router.data.pipelines.steps import StepResults, blamed, inputs_of, work_of
from headrace_router.data.pipelines.surroundings import CACHED, StepExecution, Surroundings
from headrace_router.data.pipelines.timetable import Timetable
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.served import Plan, PlannedStep

log = structlog.get_logger()

# How often a request that waits for a member looks whether a batcher has it again.
LOOK_AGAIN_S = 0.02
# What another attempt may do better.
_REPEATABLE = frozenset(
    (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS)
)


class Run:
    """The steps of one request. Each runs as a work of its own, which the pools treat as any other.

    Nothing watches the deadline of the request itself: every step has one, and a defect ends the run too.
    """

    def __init__(self, work: Work, asked: PipelineWork, plan: Plan, around: Surroundings) -> None:
        self.work, self._asked, self._plan, self._around = work, asked, plan, around
        self._chosen = choose(plan, work.outputs, asked.attributes)
        self._times = Timetable(work, self._chosen, around)
        self._results = StepResults(plan, asked.served.contract, work.rows)
        self._states = [State.WAITING if wanted else State.UNWANTED for wanted in self._chosen.wanted]
        self._works: dict[int, Work] = {}
        self._layouts: dict[int, Layout] = {}
        self._keys: dict[int, bytes] = {}
        self._attempts = [0] * len(plan.steps)
        self._began = [0.0] * len(plan.steps)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Start what can start, unless the answer would come too late, or never."""
        self._guarded(self._begin)

    def stop(self) -> None:
        """Withdraw every step."""
        self._disarm()
        for at in list(self._works):
            self._drop(at)
        self._results.given.clear()
        self._around.ended(self.work)

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do what a timer or an answer calls for. An unexpected error would otherwise leave the caller waiting."""
        try:
            act(*arguments)
        except Exception:
            log.exception("pipeline failed", model=self._asked.served.model, version=self._asked.served.version)
            self._fail(Internal("internal error"))

    def _begin(self) -> None:
        self._disarm()
        if self.work.answer.done():
            self.stop()
            return
        now = self._around.loop.time()
        verdict, takes_s = self._times.estimate(now)
        if verdict is Verdict.NO_BACKEND:
            if now + LOOK_AGAIN_S < self._times.waits_for_members_until(now):
                self._wake(now + LOOK_AGAIN_S, self._begin)
            else:
                self._fail(self._times.refusal())
        elif verdict is Verdict.TIME_SHORT:
            self._fail(pipeline_time_short(takes_s, self.work.deadline - now))
        else:
            self._times.plan(now)
            self._results.take_request(self.work)
            self._advance()

    def _advance(self) -> None:
        """Do what is to be done next, until nothing is."""
        self._disarm()
        moves = next_moves(self._chosen, self._states, self._times.begin_by, self._around.loop.time())
        for at in moves.missing:
            self._drop(at)
            if self._plan.steps[at].soft_fail:
                self._results.failed.append(at)
            self._lose(at)
        for at in moves.start:
            self._states[at] = State.RUNNING
        self._results.failed += moves.late
        for at in moves.drop:
            self._drop(at)
            self._states[at] = State.UNWANTED
        if moves.failed:
            self._fail(self._results.error())
            return
        if moves.over:
            self._answer()
            return
        if moves.wake_at is not None:
            self._wake(moves.wake_at, self._advance)
        for at in moves.start:
            if self.work.answer.done():  # one could not be started, and nothing stands for it
                return
            if self._states[at] is State.RUNNING:  # else what was kept of those before has let others go without it
                self._start(at)

    def _start(self, at: int) -> None:
        now = self._around.loop.time()
        try:
            work = self._work(at, now)
        except ServiceError as error:  # sizes that vary and do not fit
            self._results.note(at, error)
            self._end(at, None)
            return
        if self._plan.steps[at].cache_s and self._is_kept(at, work):
            return
        self._attempts[at] += 1
        self._began[at] = now
        self._works[at] = work
        work.answer.add_done_callback(partial(self._guarded, self._done, at, work))
        self._around.online.submit((work,))

    def _work(self, at: int, now: float) -> Work:
        """Return the work of a step. Raises InvalidArgument."""
        step, asked, around = self._plan.steps[at], self.work, self._around
        inputs = inputs_of(step, self._results.given, self._chosen.allowed(at), asked.rows)
        until, waits_s = self._times.until(at, now), self._times.waits_s(at)
        work, self._layouts[at] = work_of(asked, step, inputs, until, around.loop, around.max_rows, waits_s)
        work.again = work.again or self._attempts[at] > 0
        return work

    def _is_kept(self, at: int, work: Work) -> bool:
        """Take what a step gave to the same inputs, and return whether that is kept."""
        step, cache = self._plan.steps[at], self._around.cache
        if cache is None or (key := cache.key(step, self._asked, self._layouts[at], work.inputs)) is None:
            return False
        self._keys[at], found = key, cache.get(key, step, self._asked)
        if found is None:
            return False
        self._around.count(step, self.work, CACHED, 0.0)
        if work.trace is not None:
            work.trace.not_sent(work.pool, CACHED)
        self._end(at, batcher_pb2.InferResponse(outputs=found))
        return True

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
            self._results.note(at, blamed(step, error))
            if self._tries_again(at, step, error, now):
                self._start(at)
                return
            self._end(at, None)
        else:
            if step.recorded is not None and self._asked.asked is not None:
                executed = StepExecution(self._layouts[at], work.inputs, response, now - self._began[at])
                self._around.record(step.recorded, self._asked.asked, executed)
            if at in self._keys and self._around.cache is not None and not response.invalid_rows:
                self._around.cache.keep(self._keys[at], response.outputs)
            self._end(at, response)

    def _end(self, at: int, response: batcher_pb2.InferResponse | None) -> None:
        """Note what became of a step. response: None when it failed."""
        if response is None:
            self._results.failed.append(at)
            self._lose(at)
        else:
            self._states[at] = State.GIVEN
            self._results.take(at, response)
        self._advance()

    def _lose(self, at: int) -> None:
        """Go on without what a step would have given."""
        if self._plan.steps[at].soft_fail:
            self._states[at] = State.GIVEN
            self._results.stand_in_for(at)
        else:
            self._states[at] = State.MISSING

    def _tries_again(self, at: int, step: PlannedStep, error: ServiceError, now: float) -> bool:
        """Return whether a step that failed is started again."""
        return (
            self._attempts[at] <= step.retries
            and error.code in _REPEATABLE
            and self.work.priority != SHADOW
            and self._times.has_time(at, now)
            and self._around.budget.spend()
        )

    def _answer(self) -> None:
        """Settle the request with the outputs that it wants."""
        self._asked.missing = self._results.missing()
        response = self._results.answer(self._chosen.outputs)
        if not self.work.answer.done():
            self.work.answer.set_result(response)
        self.stop()

    def _fail(self, error: ServiceError) -> None:
        if not self.work.answer.done():
            self.work.answer.set_exception(error)
        self.stop()

    def _drop(self, at: int) -> None:
        """Withdraw a step if it runs."""
        work = self._works.pop(at, None)
        if work is not None and not work.answer.done():
            self._around.online.withdraw(work)
            work.answer.cancel()
            self._around.count(self._plan.steps[at], self.work, "WITHDRAWN", self._around.loop.time() - self._began[at])

    def _wake(self, at: float, act: Callable[[], None]) -> None:
        self._timer = self._around.loop.call_at(at, self._guarded, act)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
