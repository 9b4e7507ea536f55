"""The loop of one version: cuts batches, runs several at a time, and settles every member on its own."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import structlog
from headrace_runtime import shapes
from headrace_runtime.backends.backend import Backend, BackendLost, ProcessCrashed
from headrace_runtime.contract import Contract
from headrace_runtime.shapes import WrongInput
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Code

from headrace_batcher.batching.execution import Executor
from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.batching.padder import Padder
from headrace_batcher.batching.poison_isolation import Incarnations, PoisonIsolation
from headrace_batcher.batching.split import Split
from headrace_batcher.batching.traces import Traces
from headrace_batcher.batching.usage import VersionUsage
from headrace_batcher.decisions import policy, priority
from headrace_batcher.decisions.admission import Admission, Sleep
from headrace_batcher.decisions.answers import (
    BACKEND_CRASHED,
    BACKEND_LOST,
    EXPIRED,
    INTERNAL,
    STOPPING,
    TOO_LATE,
    Failure,
)
from headrace_batcher.decisions.at_backend import Sent
from headrace_batcher.decisions.compute import Way
from headrace_batcher.decisions.padded_sizes import Padding
from headrace_batcher.decisions.queue import WorkQueue
from headrace_batcher.decisions.service_times import ServiceTimes
from headrace_batcher.decisions.work import DONE, ONLINE, QUEUED, Work, settle
from headrace_batcher.encoder import Encoder
from headrace_batcher.metrics import BatchCounters

log = structlog.get_logger()

# After an execution was lost nothing is sent for this long: if the backend died, what waits was no part of it.
HOLD_S = 0.2


class Batcher:
    """Queue and executions of one version.

    name: on the backend. service_times: measured so far. gate: shared by all versions of a backend. ours: whether no
    other client uses the process that runs the version. usage: seconds by client. padding: rules by which rows of
    different sizes share a batch. crashed: called when only this version must be loaded again. way: where it executes.
    Call `submit`, `cancel` and the others from the event loop; none of them blocks.
    """

    def __init__(
        self,
        name: str,
        contract: Contract,
        limits: policy.Limits,
        backend: Backend,
        *,
        counters: BatchCounters | None = None,
        service_times: ServiceTimes | None = None,
        gate: ExecutionGate | None = None,
        traces: Traces | None = None,
        usage: VersionUsage | None = None,
        ours: bool = True,
        padding: Padding | None = None,
        crashed: Callable[[str], None] = lambda reason: None,
        way: Callable[[], Way | None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.contract = contract
        self.limits, self.padding = limits, padding
        self.encoder = Encoder(contract.outputs)
        self.counters = counters or BatchCounters()
        self.counters.queued_rows = lambda: self._queue.rows
        self.counters.predicted_wait_s = lambda: self.predicted_wait_s(self._now())
        self._padder = None if padding is None else Padder(padding, contract, self.counters)
        self._executor = Executor(
            *(name, contract, backend, self.counters, traces or Traces(name), now, limits.instances),
            service_times=service_times,
            usage=usage,
            way=way,
        )
        self.service_times = self._executor.service_times
        self._gate = gate or ExecutionGate()
        self._now = now
        self._queue = WorkQueue(limits.max_rows)
        self._admission = Admission(self._queue, limits, self.service_times, self._wait_s)
        self._wakeup = Wakeup()
        self._incarnations = Incarnations(crashed, ours=ours)
        self._isolation = PoisonIsolation(name, self._executor, self._gate, self._incarnations, self._wakeup.wake, now)
        self._refusing: Failure | None = None
        self._held_until = 0.0
        self._sleep: Sleep | None = None

    # What callers do.

    def submit(self, work: Work) -> None:
        """Queue a request, or settle it at once when it must be refused."""
        if self._refusing is not None and not self._lets_wait(work, self._refusing):
            return
        too_many = policy.too_many_rows(work.rows, self.limits, online=work.priority == ONLINE)
        if too_many is not None:
            self._shed(work, too_many)
            return
        try:
            layout = self._executor.layout(work.key)
            work.size_bytes = shapes.check_inputs(layout, work.rows, work.inputs)
            if self._padder is not None:
                layout = self._padder.pad(work, layout, self._executor.layout)
        except WrongInput as error:
            work.sink.settle(work, Failure(Code.INVALID_ARGUMENT, "INVALID_TENSOR", str(error), error.position))
            return
        going = self._admission.admit(work)
        if isinstance(going, policy.Refusal):
            self._shed(work, going)
            return
        for one in going:
            self._turn_away(one)
        max_wait_s = self.limits.max_wait_s if work.max_wait_s is None else work.max_wait_s
        service_s = self.service_times.estimate(self.limits.max_rows, work.arrived)
        work.act_by = policy.act_by(work.arrived, max_wait_s, work.deadline, service_s)
        if work.rows > self.limits.max_rows:
            work.pieces = Split(work).pieces(layout, self.limits.max_rows)
            for piece in work.pieces:
                self._queue.push(piece)
        else:
            self._queue.push(work)
        self._wakeup.wake()

    def cancel(self, work: Work) -> None:
        """Drop a request whose caller left; no outcome follows. What executes already is not stopped, unless it answers
        in parts."""
        if work.state is not DONE:
            self.counters.cancelled += 1
            if work.flow is not None:
                work.flow.abandon()
        for one in work.pieces or (work,):
            self.discard(one)
        work.state = DONE

    def discard(self, work: Work) -> None:
        """Forget a request, wherever it is."""
        if work.state is QUEUED:
            self._queue.remove(work)
        work.state = DONE

    def refuse(self, failure: Failure) -> None:
        """Refuse new requests with `failure`, and give it to those that wait."""
        self._wake_up()
        self._refusing = failure
        settle(self._queue.clear(), failure)
        self._wakeup.wake()

    def accept(self) -> None:
        """Admit requests again after `refuse`: the version is loaded. Suspected requests are tried first."""
        self._wake_up()
        self._incarnations.begin()
        self._refusing = None
        self._wakeup.wake()

    def sleep(self, load_s: float, asked: Callable[[], None]) -> None:
        """Queue requests whose deadline allows for loading the version, about load_s; execute none before `accept`.
        asked: called at the first such request."""
        self._sleep = Sleep(load_s, asked)
        self._refusing, self._held_until = self._sleep.refusal, math.inf

    def send_away(self, failure: Failure) -> None:
        """Fail the requests that wait for an evicted version with `failure`; the version stays evicted."""
        self._isolation.give_up()
        waiting = self._queue.clear()
        self.counters.shed[failure.reason] += len(waiting)
        if self._sleep is not None:
            self._sleep.asked = False
        settle(waiting, failure)

    def lose(self) -> None:
        """Refuse requests because what runs them is gone; those that executed are kept to be tried alone."""
        self._incarnations.end()
        self.refuse(BACKEND_LOST)

    def retire(self) -> None:
        """Answer the requests that are queued here and stop isolating: another batcher follows the version's
        crashes."""
        self._incarnations.ours = False

    @property
    def accepting(self) -> bool:
        """Return whether requests are taken."""
        return self._refusing is None

    @property
    def sleeps(self) -> bool:
        """Return whether the version is evicted, and requests wait until it is loaded."""
        return self._sleep is not None

    @property
    def asked(self) -> bool:
        """Return whether a request has come since the version was evicted."""
        return self._sleep is not None and self._sleep.asked

    @property
    def gone(self) -> bool:
        """Return whether what runs the version is gone; what executed then waits for it to be loaded again."""
        return not self._incarnations.there

    @property
    def rows(self) -> int:
        """Return the rows that wait or execute."""
        return self._queue.rows + self._isolation.rows + self._executor.at_backend.rows

    @property
    def incarnation(self) -> int:
        """Return how often the version was loaded again."""
        return self._incarnations.number

    @property
    def last_answer(self) -> float:
        """Return when an execution last ended, -1 before the first."""
        return self._executor.last_answer

    def predicted_wait_s(self, now: float) -> float:
        """Return how long a new ONLINE request would wait at most before its execution begins."""
        return self._wait_s(self._queue.priority_rows(ONLINE), now)

    # The loop.

    async def serve_forever(self) -> None:
        """Run batches until cancelled; requests that still wait then fail with UNAVAILABLE."""
        self._gate.join(self._wakeup.wake)
        try:
            async with asyncio.TaskGroup() as executions:
                while True:
                    await self._wakeup.wait(self._dispatch(executions) - self._now())
        finally:
            self._gate.leave(self._wakeup.wake)
            self.refuse(STOPPING)
            self._isolation.give_up()

    def _dispatch(self, executions: asyncio.TaskGroup) -> float:
        """Drop what expired, start every batch that is due; return when to look again."""
        now = self._now()
        queue = self._queue
        if queue:
            for work in queue.expire(self._next_end(now)):
                self._executor.expire(work, EXPIRED if work.deadline <= now else TOO_LATE)
        next_deadline = min(queue.next_deadline(), self._isolation.expire(now))
        if now < self._held_until:
            return min(self._held_until, next_deadline)
        if self.accepting:
            self._isolation.begin(executions)
        if not self._gate.open:
            return next_deadline
        while queue:
            step = self._next_step(now)
            if isinstance(step, policy.Wait):
                return min(step.until, next_deadline)
            if self.limits.alone:
                step.rows = 1  # which the first request takes, however many it has
            batch = self._isolation.without_suspected(queue.take(step, self._room_beside), now)
            if batch:
                task = executions.create_task(self._execute(batch, self._executor.send(batch)))
                self._gate.begin(apart=self.limits.alone)  # which may go on for minutes
                task.add_done_callback(self._executed)
        return next_deadline

    def _next_step(self, now: float) -> policy.Cut | policy.Wait:
        queue, learnt_s = self._queue, self.service_times.learnt
        return priority.next_step(queue.snapshot(now), self._finishes(now), self.limits, learnt_s, queue.callers, now)

    def _next_end(self, now: float) -> float:
        """Return the deadline that a request must have to be of use in the next batch."""
        if len(self._executor.at_backend) < self.limits.instances:
            return now
        rows = self._queue.priority_rows(ONLINE) or self._queue.rows
        batch_s = self.service_times.estimate(max(1, min(rows, self.limits.max_rows)), now)
        return policy.next_end(self._finishes(now), batch_s, self.limits, now)

    def _finishes(self, now: float) -> Sequence[float]:
        """Return when each execution should end."""
        return self._executor.at_backend.finishes(self.service_times.estimate, now)

    def _room_beside(self, online_rows: int) -> int:
        return 1 if self.limits.alone else priority.room_beside(online_rows, self.limits, self.service_times.learnt)

    def _executed(self, _task: asyncio.Task[None]) -> None:
        self._gate.end(apart=self.limits.alone)
        if self._queue:
            self._wakeup.wake()

    async def _execute(self, batch: list[Work], sent: Sent) -> None:
        """Run a batch; every member is settled or goes into isolation, whatever happens."""
        outcome, incarnation = STOPPING, self._incarnations.number
        try:
            await self._executor.run(batch, sent)
            self._isolation.absolve(batch)
        except BackendLost as error:
            log.warning("execution lost", model=self.name, requests=len(batch), cause=str(error))
            outcome = BACKEND_CRASHED
            self._held_until = self._now() + HOLD_S
            if await self._incarnations.ended_by(error, incarnation):
                if not self.limits.alone:
                    self._isolation.suspect(batch)
                    batch = []
                elif isinstance(error, ProcessCrashed):
                    outcome = self._isolation.blame(batch[0], error)
        except Exception:
            log.exception("execution failed", model=self.name, requests=len(batch))
            outcome = INTERNAL
        finally:
            unsettled = [work for work in batch if work.state is not DONE]
            if unsettled:
                self.counters.failed[outcome.reason] += len(unsettled)
                settle(unsettled, outcome)

    # Admission.

    def _lets_wait(self, work: Work, refusal: Failure) -> bool:
        """Return whether a request may wait for a version that is not in memory; it is refused when it may not."""
        if self._sleep is not None:
            if self._sleep.may_wait(work):
                return True
            self.counters.shed[refusal.reason] += 1
        work.sink.settle(work, refusal)
        return False

    def _wake_up(self) -> None:
        if self._sleep is not None:
            self._sleep, self._held_until = None, 0.0

    def _shed(self, work: Work, refusal: policy.Refusal) -> None:
        self.counters.shed[refusal.reason] += 1
        failure = Failure(refusal.code, refusal.reason, refusal.message, retry_after_s=refusal.retry_after_s)
        work.sink.settle(work, failure)

    def _turn_away(self, work: Work) -> None:
        """Give the place of a request to another one."""
        if work.state is QUEUED:
            self._queue.remove(work)
            work.state = DONE
            self._shed(work, self._admission.displaced(work, self._now()))

    def _wait_s(self, rows_ahead: int, now: float) -> float:
        """Return how long a new request would wait with so many rows before it."""
        if not self._executor.at_backend and not rows_ahead:
            return 0.0
        finishes = self._finishes(now)
        batch_s = self.service_times.estimate(self.limits.max_rows, now)
        return policy.predicted_wait_s(finishes, rows_ahead, batch_s, self.limits, now)
