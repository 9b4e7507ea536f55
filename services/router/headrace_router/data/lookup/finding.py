"""Where an answer is looked for: memory, then Valkey, and what of it may be given; else it is computed, once for all
who ask for it at the same time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from headrace_servicekit.errors import ServiceError

from headrace_router.data.batchers.errors import error_of
from headrace_router.data.batchers.work import Online
from headrace_router.data.lookup.answers import given
from headrace_router.data.lookup.computed import computed, work_of
from headrace_router.data.lookup.counts import CACHE, MEMORY, MODE_ONLINE, STALE, TOO_OLD, Counts
from headrace_router.data.lookup.flights import Flights
from headrace_router.data.lookup.freshness import Kept, choose, own_ttl_s
from headrace_router.data.lookup.layers import Layers, source_of
from headrace_router.data.lookup.policy import Mode
from headrace_router.data.lookup.sought import Sought, name_of, seek
from headrace_router.data.messages import ServedFrom
from headrace_router.data.question import Found, Question
from headrace_router.data.refusals import entity_missing, not_precomputed
from headrace_router.data.routes.table import Arm

_CACHED_HERE = (CACHE, MEMORY)


class Lookup:
    """Finds answers to questions. default_ttl_s: of routes that say nothing."""

    def __init__(
        self, online: Online, layers: Layers, counts: Counts, *, default_ttl_s: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._online, self._layers, self._counts, self._loop = online, layers, counts, loop
        self._default_ttl_s = default_ttl_s
        self.flights = Flights(online, layers, counts, loop)

    async def find(self, question: Question, arm: Arm, deadline: float) -> Found:
        """Return the answer of an arm, kept or computed, by a deadline on the loop's clock. Raises ServiceError.

        An answer past its time is given in place of an error where the route allows it (`stale_on_error`). An arm that
        is not the question's own computes, whatever the mode of the route.
        """
        if question.table.policy.mode is Mode.ONLINE:
            return await self._compute(question, arm, deadline, MODE_ONLINE, None)
        name = name_of(question, arm, self._default_ttl_s)
        if name.key is not None and question.request.max_age_s is None:
            found = self._at_hand(question, arm, name.key, name.ttl_s)
            if found is not None:
                return found
        sought = seek(question, arm, name, self._layers.now_ms)
        if (sought.key is None and sought.precomputed is None) or question.request.max_age_s == 0:
            if not sought.computes:
                raise _not_precomputed(sought)
            return await self._compute(question, arm, deadline, sought.unkeyed or TOO_OLD, sought)
        cached, precomputed = self._layers.remembered(sought)
        choice = choose(sought.bound, cached, precomputed)
        if choice.kept is None:
            return await self.flights.wait(sought, deadline, cached)
        if choice.stale:
            self.flights.renew(sought, choice.kept)
        self._counts.hits[STALE if choice.stale else source_of(choice.kept), MEMORY] += 1
        return given(arm, choice.kept, stale=choice.stale)

    async def kept(self, question: Question, arm: Arm) -> Found | None:
        """Return the answer that is kept and as good as a computed one, or None. Never raises, computes nothing.

        Takes a few milliseconds at most, like `kept_stale` and `precomputed`.
        """
        sought = self._seek(question, arm)
        choice = choose(sought.bound, *await self._layers.find(sought))
        return None if choice.kept is None or choice.stale else given(arm, choice.kept)

    async def kept_stale(self, question: Question, arm: Arm, max_age_s: float) -> Found | None:
        """Return the cached answer of an arm, at most this old, or None. It is STALE unless it is within its time.

        The caller's own bound (`max_age`) holds as well. Never raises.
        """
        sought = self._seek(question, arm)
        cached, _ = await self._layers.find(replace(sought, precomputed=None))
        if cached is None or cached.age_s > max_age_s or _too_old(question, cached):
            return None
        return given(arm, cached, stale=cached.age_s > sought.bound.cached)

    async def stale_on_error(self, question: Question, arm: Arm) -> Found | None:
        """Return the cached answer that the route allows in place of an error, STALE, or None. Never raises."""
        sought = self._seek(question, arm)
        cached, _ = await self._layers.find(replace(sought, precomputed=None))
        return None if cached is None or cached.age_s > sought.bound.on_error else given(arm, cached, stale=True)

    async def precomputed(self, question: Question, arm: Arm) -> Found | None:
        """Return the precomputed answer of the request's entity, of any age that the caller accepts, or None.

        Never raises.
        """
        sought = self._seek(question, arm)
        _, precomputed = await self._layers.find(replace(sought, key=None))
        return None if precomputed is None or _too_old(question, precomputed) else given(arm, precomputed)

    def _seek(self, question: Question, arm: Arm) -> Sought:
        return seek(question, arm, name_of(question, arm, self._default_ttl_s), self._layers.now_ms)

    def _at_hand(self, question: Question, arm: Arm, key: bytes, ttl_s: float) -> Found | None:
        """Return the fresh answer that memory has, where nothing else need be weighed; None leaves it to the rest.

        Most answers are found here, and the rest of this file would find them too, in 2 µs more.
        """
        if question.table.kept[arm.served.digest].generation and question.request.entity_id:
            return None
        here = self._layers.memory.get(key)
        if here is None:
            return None
        age_s = self._layers.now() - here.computed_at
        if age_s > own_ttl_s(ttl_s, key):
            return None
        self._counts.hits[_CACHED_HERE] += 1
        return Found(here.outputs, ServedFrom.CACHE, arm.served, int(age_s * 1000), MEMORY)

    async def _compute(
        self, question: Question, arm: Arm, deadline: float, outcome: str, sought: Sought | None
    ) -> Found:
        """Return the answer of a request that shares with nobody. sought: where to keep it for others."""
        if question.call.marks is not None:
            question.call.marks.look_ended()
        work = work_of(question, arm, deadline, self._loop)
        self._online.submit((work,))
        try:
            response = await work.answer
        except asyncio.CancelledError:
            self._online.withdraw(work)
            raise
        if response.code:
            raise error_of(response)
        self._counts.unkept[outcome] += 1
        if sought is not None:
            self._layers.keep(sought, response.outputs)
        return computed(arm, response, outcome)


def _not_precomputed(sought: Sought) -> ServiceError:
    """Return the error for a request that a route which computes nothing has nothing for."""
    if not sought.question.request.entity_id:
        return entity_missing()
    return not_precomputed(too_old=sought.precomputed is not None, rows=sought.question.layout.rows)


def _too_old(question: Question, answer: Kept) -> bool:
    """Return whether the caller does not accept an answer of this age."""
    oldest_s = question.request.max_age_s
    return oldest_s is not None and (oldest_s <= 0 or answer.age_s > oldest_s)
