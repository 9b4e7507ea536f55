"""Poison-request isolation: what was executing when the backend went away is executed once more, each request alone.

One of them may be the cause. One that survives alone is answered; one that makes the backend go away again is refused
from then on. What is answered in parts executes alone anyway, and is not tried again, as some of them may have been
sent: it is refused once its inputs have ended a process twice.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from headrace_runtime.backends.backend import BackendLost, ModelCrashed

from headrace_batcher.batching.execution import Executor
from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.decisions.answers import BACKEND_CRASHED, INTERNAL, QUARANTINED_INPUT, Failure
from headrace_batcher.decisions.suspected_requests import SuspectedRequests, Verdict, digest_of
from headrace_batcher.decisions.work import DONE, Work, settle

log = structlog.get_logger()


# Bound for requests without a deadline, as the version may never come back: the longest call that data planes allow.
LONGEST_WAIT_S = 60.0


class PoisonIsolation:
    """Executes the suspected requests of one version alone. wake: called when there is something to try."""

    def __init__(
        self,
        name: str,
        executor: Executor,
        gate: ExecutionGate,
        incarnations: Incarnations,
        wake: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._name = name
        self._executor = executor
        self._gate = gate
        self._incarnations = incarnations
        self._wake = wake
        self._now = now
        # Each with the time until which it waits for the version.
        self._waiting: deque[tuple[Work, float]] = deque()
        self._known = SuspectedRequests()
        self._running: asyncio.Task[None] | None = None

    @property
    def rows(self) -> int:
        """Return the rows of those that wait."""
        return sum(work.rows for work, _ in self._waiting)

    def suspect(self, works: Sequence[Work]) -> None:
        """Take over the members of an execution that was lost with what ran it."""
        for work in works:
            # Also those whose callers have left: the same values may come again.
            self._known.mark(digest_of(work.key, work.inputs), Verdict.SUSPECT, self._now())
            if work.state is not DONE:
                self._wait(work, self._now())
        self._wake()

    def blame(self, work: Work, error: BackendLost) -> Failure:
        """Note that a streamed request ended the process that executed it; return the failure for its caller."""
        digest, now = digest_of(work.key, work.inputs), self._now()
        if self._known.verdict(digest, now) is None:
            self._known.mark(digest, Verdict.SUSPECT, now)
            return BACKEND_CRASHED
        self._condemn(work, digest, error)
        return QUARANTINED_INPUT

    def absolve(self, batch: Sequence[Work]) -> None:
        """Forget what was suspected of requests that were answered in parts to the end."""
        for work in batch if self._known else ():
            if work.flow is not None and work.flow.whole:
                self._known.clear(digest_of(work.key, work.inputs))

    def without_suspected(self, batch: list[Work], now: float) -> list[Work]:
        """Return the members of a batch that are not suspected; suspected ones wait here, condemned ones are
        refused."""
        if not self._known:
            return batch
        innocent = []
        for work in batch:
            verdict = self._known.verdict(digest_of(work.key, work.inputs), now)
            if verdict is None or (verdict is Verdict.SUSPECT and work.flow is not None):
                innocent.append(work)
            elif verdict is Verdict.CONDEMNED:
                self._executor.fail(work, QUARANTINED_INPUT)
            else:
                self._wait(work, now)
                self._wake()
        return innocent

    def expire(self, now: float) -> float:
        """Tell those who have waited for as long as they may; return when the next of the others will have."""
        if not self._waiting:
            return math.inf
        for work, until in self._waiting:
            if work.deadline <= now:
                self._executor.expire(work)
            elif until <= now:
                self._executor.fail(work, BACKEND_CRASHED)
        if any(work.state is DONE for work, _ in self._waiting):
            self._waiting = deque(one for one in self._waiting if one[0].state is not DONE)
        return min((until for _, until in self._waiting), default=math.inf)

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Try those that wait, if there are any and they are not being tried already. The version is loaded."""
        if self._waiting and self._running is None:
            self._running = tasks.create_task(self._try_all(), name=f"poison isolation {self._name}")
            self._running.add_done_callback(self._ended)

    def give_up(self) -> None:
        """Tell all that wait: they cannot be tried here."""
        settle((work for work, _ in self._waiting), BACKEND_CRASHED)
        self._waiting.clear()

    def _wait(self, work: Work, now: float) -> None:
        self._waiting.append((work, now + LONGEST_WAIT_S if work.deadline == math.inf else work.deadline))

    def _condemn(self, work: Work, digest: bytes, error: BackendLost) -> None:
        self._known.mark(digest, Verdict.CONDEMNED, self._now())
        log.error("input quarantined", model=self._name, rows=work.rows, cause=str(error))

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._running = None
        self._wake()

    async def _try_all(self) -> None:
        incarnation = self._incarnations.number
        while self._waiting and self._incarnations.number == incarnation and self._incarnations.there:
            started = self._now()
            async with self._gate.exclusive() as alone:
                # The version may have gone while this waited for the gate, which says nothing of who was to be tried.
                if self._waiting and self._incarnations.number == incarnation and self._incarnations.there:
                    await self._try(self._waiting.popleft()[0], alone)
            # Others may execute for as long as this one kept them from it.
            await asyncio.sleep(self._now() - started)

    async def _try(self, work: Work, alone: bool) -> None:
        """Execute one suspected request alone; it is settled, whatever happens."""
        if not self._executor.still_wanted([work]):
            return  # and it stays suspected
        digest, incarnation = digest_of(work.key, work.inputs), self._incarnations.number
        try:
            await self._executor.run([work], self._executor.send([work]))
        except BackendLost as error:
            if await self._incarnations.ended_by(error, incarnation) and alone:
                self._condemn(work, digest, error)
                self._executor.fail(work, QUARANTINED_INPUT)
        except Exception:
            log.exception("isolated execution failed", model=self._name)
            self._executor.fail(work, INTERNAL)
        else:
            self._known.clear(digest)
        finally:
            self._executor.fail(work, BACKEND_CRASHED)


# A lost execution is a crash if its backend is known to be gone within this; a neighbour is asked once a second.
CONFIRM_S = 3.0


class Incarnations:
    """The incarnations of one version on its backend: each begins when the version is loaded.

    crashed: called when only this version is gone, so that it is loaded again. ours: whether no other client uses the
    process that runs it; a shared server may have ended because of another client's requests.
    """

    def __init__(self, crashed: Callable[[str], None], *, ours: bool = True) -> None:
        self.number = 0
        self.ours = ours
        self._crashed = crashed
        self._gone = asyncio.Event()

    def begin(self) -> None:
        """Note that the version is loaded; does nothing while it is."""
        if self._gone.is_set():
            self._gone.clear()
            self.number += 1

    def end(self) -> None:
        """Note that what ran it is gone."""
        self._gone.set()

    @property
    def there(self) -> bool:
        """Return whether it is not reported gone."""
        return not self._gone.is_set()

    async def ended_by(self, error: BackendLost, incarnation: int) -> bool:
        """Return whether an execution that began in `incarnation` may be why that one ended, rather than being slow."""
        if incarnation == self.number and isinstance(error, ModelCrashed) and not self._gone.is_set():
            self._crashed(str(error))
        if not self.ours:
            return False
        if incarnation != self.number or isinstance(error, ModelCrashed):
            return True
        try:
            async with asyncio.timeout(CONFIRM_S):
                await self._gone.wait()
        except TimeoutError:
            return False
        return True
