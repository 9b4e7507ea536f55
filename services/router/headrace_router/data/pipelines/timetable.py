"""The times of one request to a pipeline: what its steps need, by when each has to begin, and by when to end."""

from __future__ import annotations

import math
from collections.abc import Mapping

from headrace_servicekit.errors import ServiceError

from headrace_router.data.answer.refusals import no_backend, pool_starting
from headrace_router.data.batchers.work import Work
from headrace_router.data.pipelines.decisions.schedule import Chosen, Verdict, admit, earliest_end_s, latest_ends
from headrace_router.data.pipelines.surroundings import Surroundings
from headrace_router.data.tables.served import PlannedStep

# Left of the deadline for giving the answer, and at most this share of the time.
HAND_OVER_S, HAND_OVER_SHARE = 0.02, 0.1
# What was never measured takes so long at least.
QUICKEST_S = 0.001


class Timetable:
    """The times of one request, from what is known of those who run its steps. begin_by: of each step, once planned."""

    def __init__(self, work: Work, chosen: Chosen, around: Surroundings) -> None:
        self._work, self._chosen, self._around, self._steps = work, chosen, around, chosen.plan.steps
        self._waits_until = around.loop.time() + min(work.queue_timeout_s, around.queue_timeout_s)
        self._needs_s, self._margin_s = [0.0] * len(self._steps), 0.0
        self.begin_by = self._end_by = [work.deadline] * len(self._steps)

    def pool_of(self, step: PlannedStep) -> str:
        """Return the pool that runs a step."""
        return step.pool or self._work.pool

    def estimate(self, now: float) -> tuple[Verdict, float]:
        """Learn how long each step probably takes; return what becomes of the request, and how long the answer takes.

        A request whose answer would be late may go all the same where it finds out whether the estimate still holds.
        """
        prospects, wanted = self._around.prospects, self._chosen.wanted
        self._needs_s = [
            max(prospects.needs_s(self.pool_of(step), step.served.digest), QUICKEST_S) if is_wanted else 0.0
            for step, is_wanted in zip(self._steps, wanted, strict=True)
        ]
        verdict, takes_s = admit(self._chosen, self._needs_s, self._work.deadline - now)
        return (Verdict.GO if verdict is Verdict.TIME_SHORT and self._renews() else verdict), takes_s

    def refusal(self) -> ServiceError:
        """Return why no batcher answers: the slowest pool that is being started or, where those do not suffice, one
        that is not being started.
        """
        ready_in_s = self._miss()
        starting = self._sufficient(ready_in_s)
        if starting:
            pool = max(starting, key=lambda pool: starting[pool])
            return pool_starting(pool, starting[pool])
        return no_backend(next(pool for pool, one in ready_in_s.items() if one is None))

    def waits_for_members_until(self, now: float) -> float:
        """Return until when a request waits for members without a batcher: longer for pools that are being started."""
        starting = self._sufficient(self._miss())
        if not starting or self._work.queue_timeout_s <= 0:
            return min(self._waits_until, self._work.deadline)
        return self._work.deadline if now + max(starting.values()) < self._work.deadline else now

    def plan(self, now: float) -> None:
        """Set by when each step has to begin and to end, from what was learnt."""
        if math.inf in self._needs_s:
            self._miss()  # who can be done without is not waited for, and is started all the same
        self._margin_s = min(HAND_OVER_S, HAND_OVER_SHARE * (self._work.deadline - now))
        self._end_by = latest_ends(self._chosen, self._needs_s, self._work.deadline - self._margin_s)
        self.begin_by = [end - need for end, need in zip(self._end_by, self._needs_s, strict=True)]

    def waits_s(self, at: int) -> float:
        """Return how long a step may wait for a batcher: who is away, and can be done without, is not waited for."""
        return self._work.queue_timeout_s if self._needs_s[at] < math.inf else 0.0

    def until(self, at: int, now: float) -> float:
        """Return the deadline of an attempt: those behind the step keep the time that they need."""
        timeout_s = self._steps[at].timeout_s
        until = min(self._work.deadline, max(self._end_by[at], now + self._needs_s[at]) + self._margin_s)
        return until if timeout_s is None else min(until, now + timeout_s)

    def has_time(self, at: int, now: float) -> bool:
        """Return whether another attempt at a step would end by when it has to."""
        return now + self._needs_s[at] <= self._end_by[at]

    def _miss(self) -> dict[str, float | None]:
        """Note the pools that lack a member; return after how long each that is being started answers."""
        needed = zip(self._steps, self._needs_s, strict=True)
        pools = dict.fromkeys(self.pool_of(step) for step, needs_s in needed if needs_s == math.inf)
        return {pool: self._around.miss(pool) for pool in pools}

    def _sufficient(self, ready_in_s: Mapping[str, float | None]) -> dict[str, float]:
        """Return after how long each pool that is being started answers; none where they alone do not suffice."""
        starting = {pool: one for pool, one in ready_in_s.items() if one is not None}
        needs = zip(self._steps, self._needs_s, strict=True)
        then_s = [QUICKEST_S if self.pool_of(step) in starting else needs_s for step, needs_s in needs]
        return starting if earliest_end_s(self._chosen, then_s) < math.inf else {}

    def _renews(self) -> bool:
        """Return whether this request may measure again how long the steps take."""
        prospects, wanted = self._around.prospects, self._chosen.wanted
        steps = [step for step, is_wanted in zip(self._steps, wanted, strict=True) if is_wanted]
        return any(prospects.renews(self.pool_of(step), step.served.digest) for step in steps)
