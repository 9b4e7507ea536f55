"""Where an answer is looked for: memory, then Valkey, and what of it may be given; else it is computed, once for all
who ask for it at the same time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

from headrace_servicekit.errors import ServiceError

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.answer.refusals import entity_missing, error_of, not_precomputed
from headrace_router.data.batchers.parts import IN_PARTS, AnswersInParts
from headrace_router.data.batchers.work import (
    Online,
    computed,
    flagged,
    missing_in,
    work_of,
)
from headrace_router.data.lookup.cache_lookup import (
    CacheLookup,
    StoredAnswer,
    cache_key_of,
    cache_lookup_of,
    choose,
    own_ttl_s,
    parts_s,
)
from headrace_router.data.lookup.execution import given
from headrace_router.data.lookup.layers import Layers, source_of
from headrace_router.data.lookup.metrics import (
    CACHE,
    FIRST_REQUEST,
    MEMORY,
    MODE_ONLINE,
    PRECOMPUTED,
    STALE,
    TOO_OLD,
    Counts,
)
from headrace_router.data.lookup.single_flight import SingleFlight
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.decisions.lookup_policy import Mode
from headrace_router.data.tables.decisions.repetition import RecentKeys
from headrace_router.data.tables.table import Table, Variant

_CACHED_HERE = (CACHE, MEMORY)
RECENT_KEYS = 32_768
"""Remembered at least, and twice as many at most, which takes 6 MB."""


class Lookup:
    """Finds answers to requests.

    online, pipelines: compute those of batchers and those of pipelines. parts: begins those of versions that answer in
    parts. default_ttl_s: of routes that say nothing.
    """

    def __init__(
        self,
        online: Online,
        pipelines: Online,
        layers: Layers,
        counts: Counts,
        parts: AnswersInParts,
        *,
        default_ttl_s: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._online, self._pipelines, self._layers, self._counts, self._loop = online, pipelines, layers, counts, loop
        self._parts, self._default_ttl_s, self._recent_keys = parts, default_ttl_s, RecentKeys(RECENT_KEYS)
        self.single_flight = SingleFlight(online, pipelines, layers, counts, loop)

    def stage(self, table: Table) -> Callable[[ResolvedRequest], Awaitable[Answer]]:
        """Return what finds the answers of the requests of a route, by the variant and the deadline of each."""
        if any(served.decoupled for served in table.served_versions()):
            return lambda resolved: self.find(resolved, resolved.variant, resolved.call.deadline)
        if table.policy.mode is Mode.ONLINE:
            return self._computed
        return self._looked_up_again if _keeps_fresh_answers_alone(table) else self._found

    def find(self, resolved: ResolvedRequest, variant: Variant, deadline: float) -> Awaitable[Answer]:
        """Return the stored or computed answer of a variant, by a deadline on the loop's clock. Raises ServiceError.

        An answer past its time is given in place of an error where the route allows it (`stale_on_error`). A variant
        that is not the request's own computes, whatever the mode of the route.
        """
        if variant.served.decoupled:
            return self._begin(resolved, variant, deadline)
        if resolved.table.policy.mode is Mode.ONLINE:
            return self._compute(resolved, variant, deadline, MODE_ONLINE, None)
        return self._find(resolved, variant, deadline)

    def _computed(self, resolved: ResolvedRequest) -> Awaitable[Answer]:
        return self._compute(resolved, resolved.variant, resolved.call.deadline, MODE_ONLINE, None)

    def _found(self, resolved: ResolvedRequest) -> Awaitable[Answer]:
        return self._find(resolved, resolved.variant, resolved.call.deadline)

    def _looked_up_again(self, resolved: ResolvedRequest) -> Awaitable[Answer]:
        return self._find(resolved, resolved.variant, resolved.call.deadline, skips=True)

    async def _find(
        self, resolved: ResolvedRequest, variant: Variant, deadline: float, *, skips: bool = False
    ) -> Answer:
        """skips: whether a key's first request may be computed without a look-up."""
        key, unkeyed, ttl_s = cache_key_of(resolved, variant, self._default_ttl_s)
        if key is not None and resolved.request.max_age_s is None:
            found = self._at_hand(resolved, variant, key, ttl_s)
            if found is not None:
                return found
            if skips and variant.served.repetition.skips_lookup(key) and self._recent_keys.first(key):
                return await self._compute(resolved, variant, deadline, FIRST_REQUEST, None)
        cache_lookup = cache_lookup_of(resolved, variant, key, unkeyed, ttl_s, self._layers.now_ms)
        if (cache_lookup.key is None and cache_lookup.precomputed is None) or resolved.request.max_age_s == 0:
            if not cache_lookup.computes:
                raise _not_precomputed(cache_lookup)
            return await self._compute(resolved, variant, deadline, cache_lookup.unkeyed or TOO_OLD, cache_lookup)
        cached, precomputed = self._layers.remembered(cache_lookup)
        choice = choose(cache_lookup.bound, cached, precomputed)
        if choice.kept is None:
            return await self.single_flight.wait(cache_lookup, deadline, cached)
        if choice.stale:
            self.single_flight.renew(cache_lookup, choice.kept)
        self._counts.hits[STALE if choice.stale else source_of(choice.kept), MEMORY] += 1
        return given(variant, choice.kept, stale=choice.stale)

    def fresh(self, resolved: ResolvedRequest, found: Answer) -> tuple[float, float]:
        """Return when an answer that memory has was computed, and until when it may be given, on the loop's clock.

        Both are 0.0 for one that memory no longer has.
        """
        variant = resolved.variant
        cache_lookup = self._cache_lookup(resolved, variant)
        cached, precomputed = self._layers.remembered(cache_lookup)
        bound, now = cache_lookup.bound, self._layers.now()
        if found.served_from is ServedFrom.CACHE:
            stored, oldest_s, ends = cached, bound.cached, math.inf
        else:
            stored, oldest_s, ends = precomputed, bound.precomputed, math.inf
            expire_ms = resolved.table.kept[variant.served.digest].expire_ms
            if expire_ms:
                ends = now + (expire_ms - self._layers.now_ms()) / 1000
        if stored is None:
            return 0.0, 0.0
        return now - stored.age_s, min(now - stored.age_s + oldest_s, ends)

    def note_repeated(self, found: Answer) -> None:
        """Count an answer from memory that was given again elsewhere."""
        self._counts.hits[CACHE if found.served_from is ServedFrom.CACHE else PRECOMPUTED, MEMORY] += 1

    async def kept(self, resolved: ResolvedRequest, variant: Variant) -> Answer | None:
        """Return the stored answer that is as good as a computed one, or None. Never raises, computes nothing.

        Takes a few milliseconds at most, like `kept_stale` and `precomputed`.
        """
        cache_lookup = self._cache_lookup(resolved, variant)
        choice = choose(cache_lookup.bound, *await self._layers.find(cache_lookup))
        return None if choice.kept is None or choice.stale else given(variant, choice.kept)

    async def kept_stale(self, resolved: ResolvedRequest, variant: Variant, max_age_s: float) -> Answer | None:
        """Return the cached answer of a variant, at most this old, or None. It is STALE unless it is within its time.

        The caller's own bound (`max_age`) holds as well. Never raises.
        """
        cache_lookup = self._cache_lookup(resolved, variant)
        cached, _ = await self._layers.find(replace(cache_lookup, precomputed=None))
        if cached is None or cached.age_s > max_age_s or _too_old(resolved, cached, parts_s(resolved, variant)):
            return None
        return given(variant, cached, stale=cached.age_s > cache_lookup.bound.cached)

    async def stale_on_error(self, resolved: ResolvedRequest, variant: Variant) -> Answer | None:
        """Return the cached answer that the route allows in place of an error, STALE, or None. Never raises."""
        cache_lookup = self._cache_lookup(resolved, variant)
        cached, _ = await self._layers.find(replace(cache_lookup, precomputed=None))
        return (
            None if cached is None or cached.age_s > cache_lookup.bound.on_error else given(variant, cached, stale=True)
        )

    async def precomputed(self, resolved: ResolvedRequest, variant: Variant) -> Answer | None:
        """Return the precomputed answer of the request's entity, of any age that the caller accepts, or None.

        Never raises.
        """
        cache_lookup = self._cache_lookup(resolved, variant)
        _, precomputed = await self._layers.find(replace(cache_lookup, key=None))
        return None if precomputed is None or _too_old(resolved, precomputed) else given(variant, precomputed)

    def lacking(self, resolved: ResolvedRequest, variant: Variant) -> CacheLookup | None:
        """Return where an answer of a variant would be kept, unless it is not cached, or there is one in memory."""
        cache_lookup = self._cache_lookup(resolved, variant)
        if cache_lookup.key is None:
            return None
        choice = choose(cache_lookup.bound, *self._layers.remembered(cache_lookup))
        return cache_lookup if choice.kept is None or choice.stale else None

    def keep(self, cache_lookup: CacheLookup, outputs: bytes) -> None:
        """Keep an answer that was computed just now."""
        self._layers.keep(cache_lookup, outputs)

    async def _begin(self, resolved: ResolvedRequest, variant: Variant, deadline: float) -> Answer:
        """Return the first part of an answer in parts, which is never kept."""
        if resolved.table.policy.mode is Mode.BATCH and variant is resolved.variant:
            raise _not_precomputed(self._cache_lookup(resolved, variant))
        found = await self._parts.begin(resolved, variant, deadline)
        self._counts.misses[IN_PARTS] += 1
        return found

    def _cache_lookup(self, resolved: ResolvedRequest, variant: Variant) -> CacheLookup:
        key, unkeyed, ttl_s = cache_key_of(resolved, variant, self._default_ttl_s)
        return cache_lookup_of(resolved, variant, key, unkeyed, ttl_s, self._layers.now_ms)

    def _at_hand(self, resolved: ResolvedRequest, variant: Variant, key: bytes, ttl_s: float) -> Answer | None:
        """Return the fresh answer that memory has, where nothing else need be weighed; None leaves it to the rest.

        Most answers are found here, and the rest of this file would find them too, in 2 µs more.
        """
        if resolved.table.kept[variant.served.digest].generation and resolved.request.entity_id:
            return None
        here = self._layers.memory.get(key)
        if here is None:
            return None
        age_s = self._layers.now() - here.computed_at
        if age_s > own_ttl_s(ttl_s, key):
            return None
        if not here.reused:
            here.reused = True
            variant.served.repetition.observe_key(key, returned=True)
        self._counts.hits[_CACHED_HERE] += 1
        return Answer(here.outputs, ServedFrom.CACHE, variant.served, int(age_s * 1000), MEMORY)

    async def _compute(
        self,
        resolved: ResolvedRequest,
        variant: Variant,
        deadline: float,
        outcome: str,
        cache_lookup: CacheLookup | None,
    ) -> Answer:
        """Return the answer of a request that is computed alone. cache_lookup: where to keep it for others."""
        if resolved.call.marks is not None:
            resolved.call.marks.end_lookup()
        work = work_of(resolved, variant, deadline, self._loop)
        online = self._online if work.pipeline is None else self._pipelines
        online.submit((work,))
        try:
            response = await work.answer
        except asyncio.CancelledError:
            online.withdraw(work)
            raise
        except ServiceError:
            del work  # holds the error, whose traceback holds this frame: all would wait for the garbage collector
            raise
        if response.code:
            raise error_of(response)
        self._counts.misses[outcome] += 1
        missing = missing_in(work)
        if cache_lookup is not None and not missing:
            self._layers.keep(cache_lookup, response.outputs)
        return flagged(computed(variant, response, outcome), missing)


def _keeps_fresh_answers_alone(table: Table) -> bool:
    """Return whether stored answers of a route are cached ones within their time, and nothing else."""
    policy = table.policy
    past_their_time = policy.stale_while_revalidate_s or policy.stale_on_error_s or policy.longest_stale_s
    precomputed = any(kept.generation for kept in table.kept.values())
    return policy.mode is Mode.HYBRID and not past_their_time and not precomputed


def _not_precomputed(cache_lookup: CacheLookup) -> ServiceError:
    """Return the error for a request that a route which computes nothing has nothing for."""
    if not cache_lookup.resolved.request.entity_id:
        return entity_missing()
    return not_precomputed(too_old=cache_lookup.precomputed is not None, rows=cache_lookup.resolved.layout.rows)


def _too_old(resolved: ResolvedRequest, answer: StoredAnswer, parts_s: float = 0.0) -> bool:
    """Return whether the caller does not accept an answer of this age, made of parts that were so old then."""
    oldest_s = resolved.request.max_age_s
    return oldest_s is not None and (oldest_s <= 0 or answer.age_s + parts_s > oldest_s)
