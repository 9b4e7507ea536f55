"""One execution for everybody who wants the same answer at the same time.

A flight belongs to no caller. It reads the store, gives each waiter what that waiter may have, and computes for the
rest; it goes on while anybody waits, until the latest deadline among them. A caller that leaves takes nobody along; an
error reaches all and is not kept. Nothing here is a task: the store and the batchers call back.

Where the store will hardly have anything and no batcher has work, both are asked at once (`at_once.py`). Whichever has
an answer first gives it; an error of the batchers waits for the store's word. If the store has anything, also if it is
too old, all goes on as if nobody else had been asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from copy import copy

import structlog
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, Internal, ServiceError

from headrace_router.data.batchers.errors import error_of
from headrace_router.data.batchers.work import Online, Work
from headrace_router.data.deadlines import TICK_S, Deadlines
from headrace_router.data.lookup.answers import given, stands_in
from headrace_router.data.lookup.at_once import KnownShares, asks_at_once
from headrace_router.data.lookup.computed import computed, shared, work_of
from headrace_router.data.lookup.counts import MISS, NOT_AWAITED, STALE, STORE_UNAVAILABLE, TOO_OLD, Counts
from headrace_router.data.lookup.flight import Flight, Waiter, key_of
from headrace_router.data.lookup.freshness import Kept, choose
from headrace_router.data.lookup.layers import Layers, Pair, source_of
from headrace_router.data.lookup.sought import Sought
from headrace_router.data.question import Found
from headrace_router.data.refusals import deadline_exceeded, not_precomputed, store_unavailable

log = structlog.get_logger()

# For an answer that replaces a stale one, for which nobody waits.
RENEWAL_S = 5.0
RENEW_AGAIN_S = 1.0
MAX_RENEWALS = 256


class Flights:
    """All flights of a data plane."""

    def __init__(self, online: Online, layers: Layers, counts: Counts, loop: asyncio.AbstractEventLoop) -> None:
        self._online, self._layers, self._counts, self._loop = online, layers, counts, loop
        self._flights: dict[Hashable, Flight] = {}
        self._known = KnownShares()
        self._deadlines: Deadlines[Waiter] = Deadlines(loop, self._due)
        self._renewals = 0

    def __len__(self) -> int:
        return len(self._flights)

    @property
    def watched(self) -> int:
        """Return how many requests have a deadline of their own."""
        return len(self._deadlines)

    async def wait(self, sought: Sought, deadline: float, known: Kept | None) -> Found:
        """Return the answer, by a deadline on the loop's clock. Raises ServiceError.

        known: a cached answer that the request may not be given, unless nothing else can answer.
        """
        key = key_of(sought)
        flight = None if key is None else self._flights.get(key)
        begins = flight is None
        if flight is None:
            flight = self._begin(sought, known)
        waiter = Waiter(flight, self._loop.create_future(), sought, deadline)
        flight.waiters[waiter] = None
        if not sought.computes:  # Valkey alone can answer, and may take its time
            waiter.tick = self._deadlines.add(waiter, deadline)
        if begins:
            if sought.computes and asks_at_once(self._known.of(sought.arm.served.digest), self._online.in_flight):
                waiter.outcome = sought.unkeyed or NOT_AWAITED
                self._compute(flight)
            self._read(flight)
        elif flight.work is not None:
            waiter.look_ended()
            waiter.outcome = sought.unkeyed or (NOT_AWAITED if flight.reading else TOO_OLD if flight.aged else MISS)
            if flight.aged:
                waiter.allow_for_stale(self._loop.time())
            self._watch(waiter, flight.work)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def renew(self, sought: Sought, known: Kept) -> None:
        """Replace a stale answer in the background, unless that is under way or failed just now."""
        key, here = key_of(sought), self._layers.memory.get(sought.key)
        if key is None or key in self._flights or self._renewals >= MAX_RENEWALS:
            return
        if here is None or here.renew_from <= self._loop.time():
            flight = self._begin(sought, known)
            self._go_on(flight)
            self._read(flight)

    def _begin(self, sought: Sought, known: Kept | None) -> Flight:
        flight = Flight(sought)
        flight.know(known, self._loop.time())
        if flight.key is not None:
            self._flights[flight.key] = flight
        return flight

    def _read(self, flight: Flight) -> None:
        flight.reading = True
        self._layers.read(flight.sought, lambda pair: self._stored(flight, pair))

    def _stored(self, flight: Flight, pair: Pair | None) -> None:
        """Give waiters what the store has, and compute for the rest."""
        cached, precomputed = pair or (None, None)
        known, flight.reading = cached is not None or precomputed is not None, False
        if pair is not None:
            self._known.add(flight.sought.arm.served.digest, known=known)
        if known and flight.asked:
            self._take_back(flight)
        flight.know(cached, self._loop.time())
        renewed, aged = flight.renews and self._is_fresh(flight.sought, cached, precomputed), False
        for waiter in list(flight.waiters):
            choice = choose(waiter.sought.bound, cached, precomputed)
            if choice.kept is not None:
                aged = aged or choice.stale
                self._counts.hits[STALE if choice.stale else source_of(choice.kept), choice.kept.layer] += 1
                self._settle(waiter, given(waiter.sought.arm, choice.kept, stale=choice.stale))
            elif not waiter.sought.unkeyed:
                waiter.outcome = TOO_OLD if choice.too_old else MISS if pair is not None else STORE_UNAVAILABLE
        if not flight.sought.computes:
            self._refuse(flight, answered=pair is not None)
        elif flight.failed is not None:
            failed, flight.failed = flight.failed, None
            self._failed(flight, *failed)
        elif flight.work is not None:
            return
        elif flight.waiters or (flight.renews and not renewed) or (aged and self._go_on(flight)):
            self._compute(flight)
        else:
            self._end(flight)

    def _refuse(self, flight: Flight, *, answered: bool) -> None:
        """Tell those for whom nothing may be computed."""
        for waiter in list(flight.waiters):
            self._counts.unkept[waiter.outcome] += 1
            error = not_precomputed(too_old=waiter.outcome == TOO_OLD) if answered else store_unavailable()
            self._settle(waiter, error)
        self._end(flight)

    def _compute(self, flight: Flight, after: float = 0.0) -> None:
        """Execute the question of the first who waits. after: a deadline that was not met, to be better than."""
        now, flight.leader = self._loop.time(), next(iter(flight.waiters), None)
        if flight.aged:
            for waiter in flight.waiters:
                waiter.allow_for_stale(now)
        until = max([waiter.due for waiter in flight.waiters], default=now)
        if flight.renews:
            until = max(until, now + RENEWAL_S)
        if until <= after:
            self._fail(flight, deadline_exceeded())
            return
        sought = flight.sought if flight.leader is None else flight.leader.sought
        flight.work = work = work_of(sought.question, flight.sought.arm, until, self._loop)
        if flight.aged and all(waiter.stale_on_error(now) is not None for waiter in flight.waiters):
            work.patience_s = 0.0  # there is something else to give
        for waiter in flight.waiters:
            waiter.look_ended()
            self._watch(waiter, work)
        work.answer.add_done_callback(lambda answer: self._landed(flight, work, answer))
        self._online.submit((work,))

    def _landed(self, flight: Flight, work: Work, answer: asyncio.Future[batcher_pb2.InferResponse]) -> None:
        """Settle everybody with what an execution came to."""
        if flight.work is not work or answer.cancelled():
            return
        flight.work, error = None, answer.exception()
        if error is None:
            response = answer.result()
            if not response.code:
                self._answered(flight, response)
                return
            error = error_of(response)
        elif not isinstance(error, ServiceError):
            log.error("execution failed", exc_info=error)
            error = Internal("internal error")
        if flight.reading:
            flight.failed = work, error
        else:
            self._failed(flight, work, error)

    def _answered(self, flight: Flight, response: batcher_pb2.InferResponse) -> None:
        self._layers.keep(flight.sought, response.outputs)
        for waiter in list(flight.waiters):
            self._counts.unkept[waiter.outcome] += 1
            self._counts.shared += waiter is not flight.leader
            of = computed if waiter is flight.leader else shared
            self._settle(waiter, of(waiter.sought.arm, response, waiter.outcome))
        self._end(flight)

    def _failed(self, flight: Flight, work: Work, error: ServiceError) -> None:
        """Settle those whom an error concerns, and try for the others."""
        if error.code is Code.DEADLINE_EXCEEDED:
            self._give_up([one for one in flight.waiters if one.due <= work.deadline + TICK_S], error)
        elif error.code is Code.INVALID_ARGUMENT and flight.sought.question.table.policy.by_entity:
            # Requests for one entity may have other inputs than those that are to blame: its leader's, or, of a renewal
            # that had none, those of somebody who was given a stale answer long ago.
            self._give_up([flight.leader] if flight.leader is not None else [], error)
        else:
            self._fail(flight, error)
            return
        if flight.waiters:
            self._compute(flight, after=work.deadline if error.code is Code.DEADLINE_EXCEEDED else 0.0)
        else:
            self._fail(flight, error)

    def _fail(self, flight: Flight, error: ServiceError) -> None:
        here = self._layers.memory.get(flight.sought.key) if flight.renews else None
        if here is not None:
            here.renew_from = self._loop.time() + RENEW_AGAIN_S
        self._give_up(list(flight.waiters), error)
        self._end(flight)

    def _give_up(self, waiters: Iterable[Waiter], error: ServiceError) -> None:
        """Settle waiters with an error, or with a stale answer where the route has it so."""
        now = self._loop.time()
        for waiter in waiters:
            stale = waiter.stale_on_error(now) if stands_in(error) else None
            if stale is None:
                self._settle(waiter, copy(error))  # each who raises it adds to its traceback
            else:
                self._counts.hits[STALE, stale.layer] += 1
                self._settle(waiter, given(waiter.sought.arm, stale, stale=True, degraded_reason=error.reason))

    def _settle(self, waiter: Waiter, outcome: Found | ServiceError) -> None:
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
        if waiter in waiter.flight.waiters:
            self._give_up([waiter], deadline_exceeded())
            self._let_go(waiter.flight)

    def _leave(self, waiter: Waiter) -> None:
        if waiter in waiter.flight.waiters:
            del waiter.flight.waiters[waiter]
            if waiter.tick:
                self._deadlines.discard(waiter, waiter.tick)
            self._let_go(waiter.flight)

    def _let_go(self, flight: Flight) -> None:
        """End a flight that nobody wants any more."""
        if not flight.wanted:
            self._withdraw(flight)
            self._end(flight)

    def _take_back(self, flight: Flight) -> None:
        """Let a flight be as if batchers had not been asked at once with the store."""
        for waiter in flight.waiters:
            waiter.look_again()
        self._withdraw(flight)

    def _withdraw(self, flight: Flight) -> None:
        """Forget what batchers were asked for."""
        work, flight.work, flight.failed = flight.work, None, None
        if work is not None and not work.answer.done():
            self._online.withdraw(work)
            work.answer.cancel()  # which ends its span

    def _go_on(self, flight: Flight) -> bool:
        """Let a flight go on although nobody waits; return False when too many do."""
        if flight.renews:
            return True
        if self._renewals >= MAX_RENEWALS:
            return False
        flight.renews = True
        self._renewals += 1
        self._counts.renewals += 1
        return True

    def _end(self, flight: Flight) -> None:
        self._renewals -= flight.renews
        flight.renews, flight.leader = False, None
        if flight.key is not None and self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _is_fresh(self, sought: Sought, cached: Kept | None, precomputed: Kept | None) -> bool:
        choice = choose(sought.bound, cached, precomputed)
        return choice.kept is not None and not choice.stale
