"""Requests that were executing when what ran their version went away: each is tried once more, with nothing beside it.

One of them may be why it went away. Who survives alone is answered; who makes it go away again is refused from then on.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from headrace_batcher.backends.backend import BackendLost
from headrace_batcher.batching.answers import BACKEND_CRASHED, INTERNAL, QUARANTINED_INPUT
from headrace_batcher.batching.execution import Executor
from headrace_batcher.batching.floor import Floor
from headrace_batcher.batching.lives import Lives
from headrace_batcher.batching.suspects import Suspects, Verdict, digest_of
from headrace_batcher.batching.work import DONE, Work, settle

log = structlog.get_logger()


class Trials:
    """The suspects of one version. ring: called when there is something to try."""

    def __init__(
        self,
        name: str,
        executor: Executor,
        floor: Floor,
        lives: Lives,
        ring: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._name = name
        self._executor = executor
        self._floor = floor
        self._lives = lives
        self._ring = ring
        self._now = now
        self._waiting: deque[Work] = deque()
        self._known = Suspects()
        self._running: asyncio.Task[None] | None = None

    @property
    def rows(self) -> int:
        """Return the rows of those that wait."""
        return sum(work.rows for work in self._waiting)

    def suspect(self, works: Sequence[Work]) -> None:
        """Take over the members of an execution that was lost with what ran it."""
        for work in works:
            # Also those whose callers have left: the same values may come again.
            self._known.mark(digest_of(work.key, work.inputs), Verdict.SUSPECT, self._now())
            if work.state is not DONE:
                self._waiting.append(work)
        self._ring()

    def without_suspects(self, batch: list[Work], now: float) -> list[Work]:
        """Return the members of a batch of which nothing is known; suspects are kept to be tried, culprits refused."""
        if not self._known:
            return batch
        innocent = []
        for work in batch:
            verdict = self._known.verdict(digest_of(work.key, work.inputs), now)
            if verdict is None:
                innocent.append(work)
            elif verdict is Verdict.CONDEMNED:
                self._executor.fail(work, QUARANTINED_INPUT)
            else:
                self._waiting.append(work)
                self._ring()
        return innocent

    def expire(self, now: float) -> float:
        """Tell those whose deadline has passed; return the next deadline of the others."""
        if not self._waiting:
            return math.inf
        for work in self._waiting:
            if work.state is not DONE and work.deadline <= now:
                self._executor.expire(work)
        if any(work.state is DONE for work in self._waiting):
            self._waiting = deque(work for work in self._waiting if work.state is not DONE)
        return min((work.deadline for work in self._waiting), default=math.inf)

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Try those that wait, if there are any and they are not being tried already. The version is loaded."""
        if self._waiting and self._running is None:
            self._running = tasks.create_task(self._try_all(), name=f"trials {self._name}")
            self._running.add_done_callback(self._ended)

    def give_up(self) -> None:
        """Tell all that wait: they cannot be tried here."""
        settle(self._waiting, BACKEND_CRASHED)
        self._waiting.clear()

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._running = None
        self._ring()

    async def _try_all(self) -> None:
        life = self._lives.number
        while self._waiting and self._lives.number == life and self._lives.there:
            started = self._now()
            async with self._floor.alone() as alone:
                # The version may have gone while the floor was waited for, which says nothing of who was to be tried.
                if self._waiting and self._lives.number == life and self._lives.there:
                    await self._try(self._waiting.popleft(), alone)
            # Others have the floor for as long as the trial had it.
            await asyncio.sleep(self._now() - started)

    async def _try(self, work: Work, alone: bool) -> None:
        """Execute one suspect; it is settled, whatever happens."""
        if not self._executor.still_wanted([work]):
            return  # and stays a suspect
        digest, life = digest_of(work.key, work.inputs), self._lives.number
        try:
            await self._executor.run([work], self._executor.send([work]))
        except BackendLost as error:
            if await self._lives.ended_by(error, life) and alone:
                self._known.mark(digest, Verdict.CONDEMNED, self._now())
                log.error("input quarantined", model=self._name, rows=work.rows, cause=str(error))
                self._executor.fail(work, QUARANTINED_INPUT)
        except Exception:
            log.exception("trial failed", model=self._name)
            self._executor.fail(work, INTERNAL)
        else:
            self._known.clear(digest)
        finally:
            self._executor.fail(work, BACKEND_CRASHED)
