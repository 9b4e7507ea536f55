"""The fallback ladder: the request's own version, then the fallbacks of its route, until one answers in time.

Routes without fallbacks go straight to the look-up. What is tried next is decided in `rung_choice.py`, whose fault an
error is in `falling.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from headrace_servicekit.errors import ServiceError

from headrace_router.data.batchers.balance import RetryBudget
from headrace_router.data.batchers.estimates import Latency
from headrace_router.data.deadlines import in_a_task
from headrace_router.data.explain.trace import PRIMARY
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_router.data.fallbacks.falling import blames_the_caller, falls_back, told
from headrace_router.data.fallbacks.fitting import fitted
from headrace_router.data.fallbacks.rung_choice import AT_HAND, CANNOT, HAND_OVER_S, choose
from headrace_router.data.fallbacks.rungs import Backup, Given, Precomputed, Rungs, Stale
from headrace_router.data.lookup.policy import Mode
from headrace_router.data.messages import ServedFrom
from headrace_router.data.question import Found, Question
from headrace_router.data.routes.table import Arm

# What was never measured takes so long at least.
QUICKEST_S = 0.001
TIME_SHORT, OVER_BUDGET, NOT_FITTING = "TIME_SHORT", "RETRY_BUDGET_SPENT", "INPUTS_DO_NOT_FIT"
NO_BACKEND = "NO_BACKEND"


class Look(Protocol):
    """Where answers are found."""

    def find(self, question: Question, arm: Arm, deadline: float) -> Awaitable[Found]:
        """Return the answer of an arm, kept or computed, by a deadline on the loop's clock. Raises ServiceError."""
        ...

    def kept(self, question: Question, arm: Arm) -> Awaitable[Found | None]:
        """Return the answer that is kept and as good as a computed one, or None; nothing is computed."""
        ...

    def kept_stale(self, question: Question, arm: Arm, max_age_s: float) -> Awaitable[Found | None]:
        """Return the cached answer if it is at most so old, or None."""
        ...

    def stale_on_error(self, question: Question, arm: Arm) -> Awaitable[Found | None]:
        """Return the cached answer that the route allows in place of an error, or None."""
        ...

    def precomputed(self, question: Question, arm: Arm) -> Awaitable[Found | None]:
        """Return the precomputed answer of the request's entity, of any age, or None."""
        ...


class Prospects(Protocol):
    """What is known of those who compute answers."""

    def needs_s(self, pool: str, digest: str) -> float:
        """Return how long an answer probably takes, CANNOT when nobody can give one."""
        ...

    def renews(self, pool: str, digest: str) -> bool:
        """Return whether one request may find out anew how long an answer takes."""
        ...


class Ladder:
    """Finds answers to questions.

    budget: of requests that are sent to a batcher although another one was asked already. max_rows: of one request.
    """

    def __init__(
        self,
        look: Look,
        prospects: Prospects,
        budget: RetryBudget,
        degraded: DegradedAnswers,
        *,
        max_rows: int,
        now: Callable[[], float],
    ) -> None:
        self._look, self._prospects, self._budget, self._degraded = look, prospects, budget, degraded
        self._max_rows, self._now = max_rows, now
        self._kept = Latency()

    def find(self, question: Question) -> Awaitable[Found]:
        """Return the answer, by the call's deadline. Raises ServiceError: that of the request's own version."""
        arm, table = question.arm, question.table
        rungs = table.fallback if arm.variant else table.pinned_fallback
        if not rungs:
            return self._look.find(question, arm, question.call.deadline)
        return self._climb(question, rungs)

    async def _climb(self, question: Question, rungs: Rungs) -> Found:
        arm, deadline = question.arm, question.call.deadline
        left_s = deadline - self._now()
        needs = self._needs(question, rungs, left_s)
        choice = choose(left_s, needs)
        within_s = left_s if choice is None or choice.step else choice.within_s
        if choice is not None and choice.step:
            found = await self._in_time(self._look.kept(question, arm), deadline)
            if found is not None:
                return found
            if needs[0] == CANNOT:
                return await self._fall(question, rungs, NO_BACKEND, None)
            if not self._prospects.renews(arm.pool, arm.served.digest):
                return await self._fall(question, rungs, TIME_SHORT, None)
            within_s = max(left_s - HAND_OVER_S, left_s / 2)
        # While somebody else can answer, nobody waits for a batcher that is away, and nothing stands in for an error.
        alone = min(needs[1:]) == CANNOT
        asked = question if alone else replace(question, patience_s=0.0, last=False)
        try:
            return await self._look.find(asked, arm, deadline - left_s + within_s)
        except ServiceError as error:
            if not falls_back(error):
                raise
            own = error
        return await self._fall(question, rungs, own.reason, own)

    async def _fall(self, question: Question, rungs: Rungs, reason: str, own: ServiceError | None) -> Found:
        """Return the answer of a fallback.

        reason: why the request's own version does not answer. own: its error; None when it was passed over, so that it
        is asked at last when nothing else answers.
        """
        deadline, trace, step = question.call.deadline, question.trace, 1
        errors, asked = ([own], True) if own is not None else ([], False)
        if trace is not None and own is None:
            trace.passed_over(PRIMARY, reason)
        while (left_s := deadline - self._now()) > 0:
            choice = choose(left_s, self._needs(question, rungs, left_s), step)
            if choice is None:
                break
            rung, step, until = rungs[choice.step - 1], choice.step + 1, deadline - left_s + choice.within_s
            try:
                if isinstance(rung, Backup):
                    found, asked = await self._back_up(question, rung, until, again=asked)
                else:
                    found = await self._given(question, rung, until)
            except ServiceError as error:
                if blames_the_caller(error, question, rung):
                    raise
                errors.append(error)
                found, asked = None, True
            if found is not None:
                self._degraded.add(question.table.model, rung.name, reason)
                return replace(found, rung=rung.name, degraded_reason=reason)
        return await self._last(question, reason, errors, again=asked, passed_over=own is None)

    async def _last(
        self, question: Question, reason: str, errors: list[ServiceError], *, again: bool, passed_over: bool
    ) -> Found:
        """Return what is left when no fallback answered. Raises ServiceError."""
        arm, deadline = question.arm, question.call.deadline
        in_time = deadline > self._now()
        if passed_over and in_time and not (again and not self._budget.spend()):
            if question.trace is not None:
                question.trace.turn_to(PRIMARY, arm.served.version)
            return await self._look.find(replace(question, again=again), arm, deadline)
        found = await self._in_time(self._look.stale_on_error(question, arm), deadline) if in_time else None
        if found is not None:
            return replace(found, degraded_reason=reason)
        raise told(errors, in_time=in_time)

    async def _in_time(self, kept: Awaitable[Found | None], until: float) -> Found | None:
        """Return a kept answer, or None when there is none by then."""
        await in_a_task()
        began = self._now()
        try:
            async with asyncio.timeout_at(until):
                found = await kept
        except TimeoutError:
            self._kept.add_late(until - began, until)
            return None
        now = self._now()
        self._kept.add(now - began, 0.0, now)
        return found

    def _needs(self, question: Question, rungs: Rungs, left_s: float) -> list[float]:
        """Return how long each step probably takes."""
        arm, prospects = question.arm, self._prospects
        computes = question.table.policy.mode is not Mode.BATCH
        own_s = prospects.needs_s(arm.pool, arm.served.digest) if computes else self._kept.needs_s()
        needs = [max(own_s, QUICKEST_S)]
        for rung in rungs:
            if isinstance(rung, Backup):
                one = max(prospects.needs_s(rung.pool, (rung.served or arm.served).digest), QUICKEST_S)
            elif isinstance(rung, Given):
                one = AT_HAND if rung.row(question.request.entity_id) is not None else CANNOT
            elif isinstance(rung, Precomputed) and not question.request.entity_id:
                one = CANNOT
            else:
                one = max(self._kept.needs_s(), QUICKEST_S)
            least_s = rung.min_time_left_s
            if least_s is not None and one < CANNOT:
                one = CANNOT if left_s < least_s else one if one == AT_HAND else max(least_s, QUICKEST_S)
            needs.append(one)
        return needs

    async def _back_up(
        self, question: Question, rung: Backup, until: float, *, again: bool
    ) -> tuple[Found | None, bool]:
        """Return the answer of a backup, None when it is not asked, and whether a batcher was asked by now.

        Raises ServiceError.
        """
        arm, trace, served = question.arm, question.trace, rung.served or question.arm.served
        fit = fitted(question, served, self._max_rows)
        if fit is None or (again and not self._budget.spend()):
            if trace is not None:
                trace.passed_over(rung.name, NOT_FITTING if fit is None else OVER_BUDGET)
            return None, again
        if trace is not None:
            trace.turn_to(rung.name, served.version)
        fit = replace(fit, again=again, patience_s=0.0, last=False)
        found = await self._look.find(fit, replace(arm, served=served, pool=rung.pool), until)
        return replace(found, served_from=ServedFrom.FALLBACK), True

    async def _given(self, question: Question, rung: Precomputed | Stale | Given, until: float) -> Found | None:
        """Return the answer of a fallback that computes nothing, None when it has none."""
        arm, look = question.arm, self._look
        if isinstance(rung, Given):
            return _values(question, rung)
        if isinstance(rung, Stale):
            found, source = await self._in_time(look.kept_stale(question, arm, rung.max_age_s), until), ServedFrom.STALE
        else:
            found, source = await self._in_time(look.precomputed(question, arm), until), ServedFrom.PRECOMPUTED
        return None if found is None else replace(found, served_from=source)


def _values(question: Question, rung: Given) -> Found | None:
    arm, row = question.arm, rung.row(question.request.entity_id)
    if row is None:
        return None
    try:
        outputs = row.outputs(arm.served.digest, arm.served.contract, question.layout.rows, question.outputs)
    except ValueError:  # a row that is none of this contract, which the control plane does not let pass
        return None
    return Found(outputs, ServedFrom.FALLBACK, None)
