"""The fallback chain: the request's own version, then the fallbacks of its route, until one answers in time.

Routes without fallbacks go straight to the look-up. What is tried next, and whose fault an error is, is decided in
`step_choice.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from headrace_servicekit.errors import ServiceError

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.batchers.decisions.balance import Latency, RetryBudget
from headrace_router.data.fallbacks.decisions.step_choice import (
    AT_HAND,
    CANNOT,
    blames_the_caller,
    choose,
    error_to_return,
    falls_back,
    hand_over_s,
)
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_router.data.request.deadlines import in_a_task
from headrace_router.data.request.request import ResolvedRequest, fitted
from headrace_router.data.request.trace import PRIMARY
from headrace_router.data.tables.decisions.fallback_steps import (
    Backup,
    FallbackSteps,
    Given,
    Precomputed,
    Stale,
)
from headrace_router.data.tables.decisions.lookup_policy import Mode
from headrace_router.data.tables.served import ServedVersion
from headrace_router.data.tables.table import Table, Variant

# What was never measured takes so long at least.
QUICKEST_S = 0.001
TIME_SHORT, OVER_BUDGET, NOT_FITTING = "TIME_SHORT", "RETRY_BUDGET_SPENT", "INPUTS_DO_NOT_FIT"
NO_BACKEND = "NO_BACKEND"


Find = Callable[[ResolvedRequest], Awaitable[Answer]]


class AnswerLookup(Protocol):
    """Where answers are found."""

    def stage(self, table: Table) -> Find:
        """Return what finds the answers of the requests of a route, by the variant and the deadline of each."""
        ...

    def find(self, resolved: ResolvedRequest, variant: Variant, deadline: float) -> Awaitable[Answer]:
        """Return the stored or computed answer of a variant, by a deadline on the loop's clock. Raises ServiceError."""
        ...

    def kept(self, resolved: ResolvedRequest, variant: Variant) -> Awaitable[Answer | None]:
        """Return the stored answer that is as good as a computed one, or None; nothing is computed."""
        ...

    def kept_stale(self, resolved: ResolvedRequest, variant: Variant, max_age_s: float) -> Awaitable[Answer | None]:
        """Return the cached answer if it is at most so old, or None."""
        ...

    def stale_on_error(self, resolved: ResolvedRequest, variant: Variant) -> Awaitable[Answer | None]:
        """Return the cached answer that the route allows in place of an error, or None."""
        ...

    def precomputed(self, resolved: ResolvedRequest, variant: Variant) -> Awaitable[Answer | None]:
        """Return the precomputed answer of the request's entity, of any age, or None."""
        ...


class Prospects(Protocol):
    """What is known of those who compute answers."""

    def needs_s(self, pool: str, served: ServedVersion, attributes: Mapping[str, str]) -> float:
        """Return how long an answer probably takes, CANNOT when no version can give one."""
        ...

    def renews(self, pool: str, served: ServedVersion) -> bool:
        """Return whether one request may measure again how long an answer takes."""
        ...


class FallbackChain:
    """Finds answers to requests.

    budget: of requests that are sent to a batcher although another one was asked already. max_rows: of one request.
    """

    def __init__(
        self,
        look: AnswerLookup,
        prospects: Prospects,
        budget: RetryBudget,
        degraded: DegradedAnswers,
        *,
        max_rows: int,
        now: Callable[[], float],
    ) -> None:
        self._lookup, self._prospects, self._budget, self._degraded = look, prospects, budget, degraded
        self._max_rows, self._now = max_rows, now
        self._kept = Latency()

    def stage(self, table: Table) -> Find:
        """Return what finds the answers of a route's requests: the look-up alone where nothing could stand in."""
        return self.find if table.fallback or table.pinned_fallback else self._lookup.stage(table)

    def find(self, resolved: ResolvedRequest) -> Awaitable[Answer]:
        """Return the answer, by the call's deadline. Raises ServiceError: that of the request's own version."""
        variant, table = resolved.variant, resolved.table
        steps = table.fallback if variant.name else table.pinned_fallback
        if not steps:
            return self._lookup.find(resolved, variant, resolved.call.deadline)
        return self._try_in_order(resolved, steps)

    async def at_hand(self, resolved: ResolvedRequest, refusal: ServiceError) -> Answer:
        """Return the stored answer that is as good as a computed one. Raises the refusal where there is none."""
        found = await self._in_time(self._lookup.kept(resolved, resolved.variant), resolved.call.deadline)
        if found is None:
            raise refusal
        return found

    async def _try_in_order(self, resolved: ResolvedRequest, steps: FallbackSteps) -> Answer:
        variant, deadline = resolved.variant, resolved.call.deadline
        left_s = deadline - self._now()
        needs = self._needs(resolved, steps, left_s)
        choice = choose(left_s, needs)
        within_s = left_s if choice is None or choice.step else choice.within_s
        if choice is not None and choice.step:
            found = await self._in_time(self._lookup.kept(resolved, variant), deadline)
            if found is not None:
                return found
            if needs[0] == CANNOT:
                return await self._fall_back(resolved, steps, NO_BACKEND, None)
            if not self._prospects.renews(variant.pool, variant.served):
                return await self._fall_back(resolved, steps, TIME_SHORT, None)
            within_s = max(left_s - hand_over_s(left_s), left_s / 2)
        # While another step can answer, no request waits for an absent batcher, and no stale answer replaces an error.
        alone = min(needs[1:]) == CANNOT
        asked = resolved if alone else replace(resolved, queue_timeout_s=0.0, last=False)
        try:
            return await self._lookup.find(asked, variant, deadline - left_s + within_s)
        except ServiceError as error:
            if not falls_back(error):
                raise
            own = error
        return await self._fall_back(resolved, steps, own.reason, own)

    async def _fall_back(
        self, resolved: ResolvedRequest, steps: FallbackSteps, reason: str, own: ServiceError | None
    ) -> Answer:
        """Return the answer of a fallback.

        reason: why the request's own version does not answer. own: its error; None when it was passed over, so that it
        is asked at last when nothing else answers.
        """
        deadline, trace, start = resolved.call.deadline, resolved.trace, 1
        errors, asked = ([own], True) if own is not None else ([], False)
        if trace is not None and own is None:
            trace.passed_over(PRIMARY, reason)
        while (left_s := deadline - self._now()) > 0:
            choice = choose(left_s, self._needs(resolved, steps, left_s), start)
            if choice is None:
                break
            step, start, until = steps[choice.step - 1], choice.step + 1, deadline - left_s + choice.within_s
            try:
                if isinstance(step, Backup):
                    found, asked = await self._back_up(resolved, step, until, again=asked)
                else:
                    found = await self._given(resolved, step, until)
            except ServiceError as error:
                if blames_the_caller(error, resolved, step):
                    raise
                errors.append(error)
                found, asked = None, True
            if found is not None:
                self._degraded.add(resolved.table.model, step.name, reason)
                return replace(found, fallback_step=step.name, degraded_reason=reason)
        return await self._last(resolved, reason, errors, again=asked, passed_over=own is None)

    async def _last(
        self, resolved: ResolvedRequest, reason: str, errors: list[ServiceError], *, again: bool, passed_over: bool
    ) -> Answer:
        """Return what is left when no fallback answered. Raises ServiceError."""
        variant, deadline = resolved.variant, resolved.call.deadline
        in_time = deadline > self._now()
        if passed_over and in_time and not (again and not self._budget.spend()):
            if resolved.trace is not None:
                resolved.trace.turn_to(PRIMARY, variant.served.version)
            return await self._lookup.find(replace(resolved, again=again), variant, deadline)
        found = await self._in_time(self._lookup.stale_on_error(resolved, variant), deadline) if in_time else None
        if found is not None:
            return replace(found, degraded_reason=reason)
        raise error_to_return(errors, in_time=in_time)

    async def _in_time(self, kept: Awaitable[Answer | None], until: float) -> Answer | None:
        """Return a stored answer, or None when there is none by then."""
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

    def _needs(self, resolved: ResolvedRequest, steps: FallbackSteps, left_s: float) -> list[float]:
        """Return how long each step probably takes."""
        variant, prospects = resolved.variant, self._prospects
        computes = resolved.table.policy.mode is not Mode.BATCH
        attributes = resolved.request.attributes
        own_s = prospects.needs_s(variant.pool, variant.served, attributes) if computes else self._kept.needs_s()
        needs = [max(own_s, QUICKEST_S)]
        for step in steps:
            if isinstance(step, Backup):
                one = max(prospects.needs_s(step.pool, step.served or variant.served, attributes), QUICKEST_S)
            elif isinstance(step, Given):
                one = AT_HAND if step.row(resolved.request.entity_id) is not None else CANNOT
            elif isinstance(step, Precomputed) and not resolved.request.entity_id:
                one = CANNOT
            else:
                one = max(self._kept.needs_s(), QUICKEST_S)
            least_s = step.min_time_left_s
            if least_s is not None and one < CANNOT:
                one = CANNOT if left_s < least_s else one if one == AT_HAND else max(least_s, QUICKEST_S)
            needs.append(one)
        return needs

    async def _back_up(
        self, resolved: ResolvedRequest, step: Backup, until: float, *, again: bool
    ) -> tuple[Answer | None, bool]:
        """Return the answer of a backup, None when it is not asked, and whether a batcher was asked by now.

        Raises ServiceError.
        """
        variant, trace, served = resolved.variant, resolved.trace, step.served or resolved.variant.served
        fit = fitted(resolved, served, self._max_rows)
        if fit is None or (again and not self._budget.spend()):
            if trace is not None:
                trace.passed_over(step.name, NOT_FITTING if fit is None else OVER_BUDGET)
            return None, again
        if trace is not None:
            trace.turn_to(step.name, served.version)
        fit = replace(fit, again=again, queue_timeout_s=0.0, last=False)
        found = await self._lookup.find(fit, replace(variant, served=served, pool=step.pool), until)
        return replace(found, served_from=ServedFrom.FALLBACK), True

    async def _given(self, resolved: ResolvedRequest, step: Precomputed | Stale | Given, until: float) -> Answer | None:
        """Return the answer of a fallback that computes nothing, None when it has none."""
        variant, look = resolved.variant, self._lookup
        if isinstance(step, Given):
            return _values(resolved, step)
        if isinstance(step, Stale):
            found, source = (
                await self._in_time(look.kept_stale(resolved, variant, step.max_age_s), until),
                ServedFrom.STALE,
            )
        else:
            found, source = await self._in_time(look.precomputed(resolved, variant), until), ServedFrom.PRECOMPUTED
        return None if found is None else replace(found, served_from=source)


def _values(resolved: ResolvedRequest, step: Given) -> Answer | None:
    variant, row = resolved.variant, step.row(resolved.request.entity_id)
    if row is None:
        return None
    try:
        outputs = row.outputs(variant.served.digest, variant.served.contract, resolved.layout.rows, resolved.outputs)
    except ValueError:  # a row that is not one of this contract, which the control plane does not let pass
        return None
    return Answer(outputs, ServedFrom.FALLBACK, None)
