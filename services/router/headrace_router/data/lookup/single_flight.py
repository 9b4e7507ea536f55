"""One execution for everybody who wants the same answer at the same time.

A shared execution belongs to no caller. It reads the store, gives each waiter what that waiter may have, and computes
for the rest; it continues while any caller waits, until the latest deadline among them. A caller that leaves ends it
for no other; an error reaches all and is not stored. Nothing here is a task: the store and the batchers call back.

Where the store will hardly have anything and no batcher has work, a batcher computes speculatively, while the store is
read (`execution.py`). The first answer counts; an error of the batchers waits for the store's word. If the
store has anything, also if it is too old, everything continues as if the batcher had not been asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from copy import copy
from functools import partial

import structlog
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, Internal, ServiceError

from headrace_router.data.answer.answer import Answer
from headrace_router.data.answer.refusals import deadline_exceeded, error_of, not_precomputed, store_unavailable
from headrace_router.data.batchers.work import (
    Online,
    Work,
    computed,
    flagged,
    missing_in,
    shared,
    work_of,
)
from headrace_router.data.lookup.cache_lookup import CacheLookup, StoredAnswer, choose
from headrace_router.data.lookup.execution import (
    SharedExecution,
    Waiter,
    executes_speculatively,
    given,
    key_of,
    stands_in,
)
from headrace_router.data.lookup.layers import Layers, Pair, source_of
from headrace_router.data.lookup.metrics import MISS, NOT_AWAITED, STALE, STORE_UNAVAILABLE, TOO_OLD, Counts
from headrace_router.data.request.deadlines import TICK_S, Deadlines

log = structlog.get_logger()

# For an answer that replaces a stale one, for which no caller waits.
RENEWAL_S = 5.0
RENEW_AGAIN_S = 1.0
MAX_RENEWALS = 256


class SingleFlight:
    """All shared executions of a data plane."""

    def __init__(
        self, online: Online, pipelines: Online, layers: Layers, counts: Counts, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._online, self._pipelines, self._layers, self._counts, self._loop = online, pipelines, layers, counts, loop
        self._executions: dict[Hashable, SharedExecution] = {}
        self._deadlines: Deadlines[Waiter] = Deadlines(loop, self._due)
        self._renewals = 0

    def __len__(self) -> int:
        return len(self._executions)

    @property
    def watched(self) -> int:
        """Return how many requests have a deadline of their own."""
        return len(self._deadlines)

    async def wait(self, cache_lookup: CacheLookup, deadline: float, known: StoredAnswer | None) -> Answer:
        """Return the answer, by a deadline on the loop's clock. Raises ServiceError.

        known: a cached answer that the request may not be given, unless nothing else can answer.
        """
        key = key_of(cache_lookup)
        execution = None if key is None else self._executions.get(key)
        begins = execution is None
        if execution is None:
            execution = self._begin(cache_lookup, known)
        waiter = Waiter(execution, self._loop.create_future(), cache_lookup, deadline)
        execution.waiters[waiter] = None
        if not cache_lookup.computes:  # Valkey alone can answer, and may take its time
            waiter.tick = self._deadlines.add(waiter, deadline)
        if begins:
            self._start(execution, waiter)
        elif cache_lookup.key is not None:
            cache_lookup.variant.served.repetition.observe_key(cache_lookup.key, returned=True)
        if not begins and execution.work is not None:
            waiter.end_lookup()
            waiter.outcome = cache_lookup.unkeyed or (
                NOT_AWAITED if execution.reading else TOO_OLD if execution.aged else MISS
            )
            if execution.aged:
                waiter.allow_for_stale(self._loop.time())
            self._watch(waiter, execution.work)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        except ServiceError:
            del waiter  # holds the error, whose traceback holds this frame: all would wait for the garbage collector
            raise

    def renew(self, cache_lookup: CacheLookup, known: StoredAnswer) -> None:
        """Replace a stale answer in the background, unless that is under way or failed just now."""
        key, here = key_of(cache_lookup), self._layers.memory.get(cache_lookup.key)
        if key is None or key in self._executions or self._renewals >= MAX_RENEWALS:
            return
        if here is None or here.renew_from <= self._loop.time():
            execution = self._begin(cache_lookup, known)
            self._go_on(execution)
            self._read(execution)

    def _begin(self, cache_lookup: CacheLookup, known: StoredAnswer | None) -> SharedExecution:
        execution = SharedExecution(cache_lookup)
        execution.know(known, self._loop.time())
        if execution.key is not None:
            self._executions[execution.key] = execution
        return execution

    def _break(self, execution: SharedExecution) -> None:
        """Settle all who wait after an unexpected error, and leave nothing behind for later requests.

        A request, the store, a batcher and a timer call into an execution; each of these ways in ends here.
        """
        log.exception("shared execution failed")
        self._end(execution)
        for waiter in list(execution.waiters):
            self._settle(waiter, Internal("internal error"))
        self._withdraw(execution)

    def _start(self, execution: SharedExecution, waiter: Waiter) -> None:
        cache_lookup = execution.cache_lookup
        try:
            if cache_lookup.computes and executes_speculatively(
                cache_lookup.variant.served.repetition.known, self._online.in_flight
            ):
                waiter.outcome = cache_lookup.unkeyed or NOT_AWAITED
                self._compute(execution)
        except Exception:
            self._break(execution)
        else:
            self._read(execution)

    def _read(self, execution: SharedExecution) -> None:
        execution.reading = True
        try:
            self._layers.read(execution.cache_lookup, partial(self._stored, execution))
        except Exception:
            self._break(execution)

    def _stored(self, execution: SharedExecution, pair: Pair | None) -> None:
        """Give waiters what the store has, and compute for the rest."""
        try:
            cached, precomputed = pair or (None, None)
            known, execution.reading = cached is not None or precomputed is not None, False
            if pair is not None:
                _observe(execution.cache_lookup, known=known)
            if known and execution.asked:
                self._take_back(execution)
            execution.know(cached, self._loop.time())
            renewed, aged = execution.renews and self._is_fresh(execution.cache_lookup, cached, precomputed), False
            for waiter in list(execution.waiters):
                choice = choose(waiter.cache_lookup.bound, cached, precomputed)
                if choice.kept is not None:
                    aged = aged or choice.stale
                    self._counts.hits[STALE if choice.stale else source_of(choice.kept), choice.kept.layer] += 1
                    self._settle(waiter, given(waiter.cache_lookup.variant, choice.kept, stale=choice.stale))
                elif not waiter.cache_lookup.unkeyed:
                    waiter.outcome = TOO_OLD if choice.too_old else MISS if pair is not None else STORE_UNAVAILABLE
            if not execution.cache_lookup.computes:
                self._refuse(execution, answered=pair is not None)
            elif execution.failed is not None:
                failed, execution.failed = execution.failed, None
                self._failed(execution, *failed)
            elif execution.work is not None:
                return
            elif execution.waiters or (execution.renews and not renewed) or (aged and self._go_on(execution)):
                self._compute(execution)
            else:
                self._end(execution)
        except Exception:
            self._break(execution)

    def _refuse(self, execution: SharedExecution, *, answered: bool) -> None:
        """Settle the waiters that may not compute."""
        for waiter in list(execution.waiters):
            self._counts.misses[waiter.outcome] += 1
            error = not_precomputed(too_old=waiter.outcome == TOO_OLD) if answered else store_unavailable()
            self._settle(waiter, error)
        self._end(execution)

    def _compute(self, execution: SharedExecution, after: float = 0.0) -> None:
        """Execute the request of the first who waits. after: a deadline that was not met, to be better than."""
        now, execution.leader = self._loop.time(), next(iter(execution.waiters), None)
        if execution.aged:
            for waiter in execution.waiters:
                waiter.allow_for_stale(now)
        until = max([waiter.due for waiter in execution.waiters], default=now)
        if execution.renews:
            until = max(until, now + RENEWAL_S)
        if until <= after:
            self._fail(execution, deadline_exceeded())
            return
        cache_lookup = execution.cache_lookup if execution.leader is None else execution.leader.cache_lookup
        execution.work = work = work_of(cache_lookup.resolved, execution.cache_lookup.variant, until, self._loop)
        if execution.aged and all(waiter.stale_on_error(now) is not None for waiter in execution.waiters):
            work.queue_timeout_s = 0.0  # there is something else to give
        for waiter in execution.waiters:
            waiter.end_lookup()
            self._watch(waiter, work)
        work.answer.add_done_callback(partial(self._landed, execution, work))
        online = self._online if work.pipeline is None else self._pipelines
        online.submit((work,))

    def _landed(
        self, execution: SharedExecution, work: Work, answer: asyncio.Future[batcher_pb2.InferResponse]
    ) -> None:
        """Settle everybody with what an execution came to."""
        if execution.work is not work or answer.cancelled():
            return
        execution.work, error = None, answer.exception()
        try:
            if error is None:
                response = answer.result()
                if not response.code:
                    self._answered(execution, response, missing_in(work))
                    return
                error = error_of(response)
            elif not isinstance(error, ServiceError):
                log.error("execution failed", exc_info=error)
                error = Internal("internal error")
            if execution.reading:
                execution.failed = work, error
            else:
                self._failed(execution, work, error)
        except Exception:
            self._break(execution)

    def _answered(
        self, execution: SharedExecution, response: batcher_pb2.InferResponse, missing: tuple[str, ...]
    ) -> None:
        for waiter in list(execution.waiters):
            self._counts.misses[waiter.outcome] += 1
            self._counts.shared += waiter is not execution.leader
            of = computed if waiter is execution.leader else shared
            self._settle(waiter, flagged(of(waiter.cache_lookup.variant, response, waiter.outcome), missing))
        self._end(execution)
        served = execution.cache_lookup.variant.served
        served.repetition.observe_execution(response.compute_us, response.batch_requests)
        if not missing:
            self._layers.keep(execution.cache_lookup, response.outputs)

    def _failed(self, execution: SharedExecution, work: Work, error: ServiceError) -> None:
        """Settle the waiters that an error concerns, and try for the others."""
        if error.code is Code.DEADLINE_EXCEEDED:
            self._give_up([one for one in execution.waiters if one.due <= work.deadline + TICK_S], error)
        elif error.code is Code.INVALID_ARGUMENT and execution.cache_lookup.resolved.table.policy.by_entity:
            # Requests for one entity may have other inputs than those that are to blame: its leader's, or, of a renewal
            # that had none, those of a caller that was given a stale answer long ago.
            self._give_up([execution.leader] if execution.leader is not None else [], error)
        else:
            self._fail(execution, error)
            return
        if execution.waiters:
            self._compute(execution, after=work.deadline if error.code is Code.DEADLINE_EXCEEDED else 0.0)
        else:
            self._fail(execution, error)

    def _fail(self, execution: SharedExecution, error: ServiceError) -> None:
        here = self._layers.memory.get(execution.cache_lookup.key) if execution.renews else None
        if here is not None:
            here.renew_from = self._loop.time() + RENEW_AGAIN_S
        self._give_up(list(execution.waiters), error)
        self._end(execution)

    def _give_up(self, waiters: Iterable[Waiter], error: ServiceError) -> None:
        """Settle waiters with an error, or with a stale answer where the route has it so."""
        now = self._loop.time()
        for waiter in waiters:
            stale = waiter.stale_on_error(now) if stands_in(error) else None
            if stale is None:
                self._settle(waiter, copy(error))  # each who raises it adds to its traceback
            else:
                self._counts.hits[STALE, stale.layer] += 1
                self._settle(
                    waiter, given(waiter.cache_lookup.variant, stale, stale=True, degraded_reason=error.reason)
                )

    def _settle(self, waiter: Waiter, outcome: Answer | ServiceError) -> None:
        if waiter.tick:
            self._deadlines.discard(waiter, waiter.tick)
        waiter.settle(outcome)

    def _watch(self, waiter: Waiter, work: Work) -> None:
        """Keep the deadline of a waiter that is earlier than the execution's."""
        if waiter.due < work.deadline:
            if waiter.tick:
                self._deadlines.discard(waiter, waiter.tick)
            waiter.tick = self._deadlines.add(waiter, waiter.due)

    def _due(self, waiter: Waiter) -> None:
        if waiter in waiter.execution.waiters:
            self._out_of_time(waiter.execution, waiter)

    def _out_of_time(self, execution: SharedExecution, waiter: Waiter) -> None:
        try:
            self._give_up([waiter], deadline_exceeded())
            self._let_go(execution)
        except Exception:
            self._break(execution)

    def _leave(self, waiter: Waiter) -> None:
        if waiter in waiter.execution.waiters:
            del waiter.execution.waiters[waiter]
            if waiter.tick:
                self._deadlines.discard(waiter, waiter.tick)
            self._let_go(waiter.execution)

    def _let_go(self, execution: SharedExecution) -> None:
        """End a shared execution without waiters."""
        if not execution.wanted:
            self._withdraw(execution)
            self._end(execution)

    def _take_back(self, execution: SharedExecution) -> None:
        """Let a shared execution be as if batchers had not been asked at once with the store."""
        for waiter in execution.waiters:
            waiter.resume_lookup()
        self._withdraw(execution)

    def _withdraw(self, execution: SharedExecution) -> None:
        """Forget what batchers were asked for."""
        work, execution.work, execution.failed = execution.work, None, None
        if work is not None and not work.answer.done():
            online = self._online if work.pipeline is None else self._pipelines
            online.withdraw(work)
            work.answer.cancel()  # which ends its span

    def _go_on(self, execution: SharedExecution) -> bool:
        """Let a shared execution continue without waiters; return False when too many do."""
        if execution.renews:
            return True
        if self._renewals >= MAX_RENEWALS:
            return False
        execution.renews = True
        self._renewals += 1
        self._counts.renewals += 1
        return True

    def _end(self, execution: SharedExecution) -> None:
        self._renewals -= execution.renews
        execution.renews, execution.leader = False, None
        if execution.key is not None and self._executions.get(execution.key) is execution:
            del self._executions[execution.key]

    def _is_fresh(
        self, cache_lookup: CacheLookup, cached: StoredAnswer | None, precomputed: StoredAnswer | None
    ) -> bool:
        choice = choose(cache_lookup.bound, cached, precomputed)
        return choice.kept is not None and not choice.stale


def _observe(cache_lookup: CacheLookup, *, known: bool) -> None:
    """Take a reply of the store into account. Where answers are precomputed, keys of cached ones say too little."""
    repetition = cache_lookup.variant.served.repetition
    repetition.observe_store(known=known)
    if cache_lookup.key is not None and not cache_lookup.generation:
        repetition.observe_key(cache_lookup.key, returned=known)
