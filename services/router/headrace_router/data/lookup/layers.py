"""What keeps answers: memory and the store behind one door, and in memory also what steps of pipelines gave."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import structlog

from headrace_router import stored_answers
from headrace_router.data.batchers.work import PipelineWork
from headrace_router.data.lookup.cache_lookup import (
    LARGE_INPUTS_BYTES,
    CacheLookup,
    StoredAnswer,
    age_of,
    by_inputs,
    kept_for_s,
)
from headrace_router.data.lookup.metrics import CACHE, MEMORY, PRECOMPUTED, VALKEY, Counts
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.decisions.lookup_policy import Mode
from headrace_router.data.tables.served import PlannedStep, checked, selected

log = structlog.get_logger()


Pair = tuple[StoredAnswer | None, StoredAnswer | None]
"""A cached and a precomputed answer."""


Values = Sequence[bytes | None]
OnValues = Callable[[Values | None], object]


class Store(Protocol):
    """Stored answers outside this process. Nothing here waits or raises."""

    def get(self, keys: tuple[bytes, ...], on_values: OnValues, *, patient: bool = False) -> None:
        """Call `on_values` with the value of each key, within a few milliseconds; with None without an answer.

        It may be called before `get` returns. patient: whether to wait longer, until the store counts as gone, because
        nothing else can answer.
        """
        ...

    def put(self, key: bytes, value: bytes, keep_ms: int) -> None:
        """Keep a value for so long, if the store can."""
        ...

    def now_ms(self) -> float:
        """Return the Unix time of the clock by which ages are measured, in milliseconds."""
        ...


class Layers:
    """Reads and writes stored answers. store: None for memory alone. max_entry_bytes: of the outputs of one answer."""

    def __init__(
        self, memory: Memory, store: Store | None, counts: Counts, *, max_entry_bytes: int, now: Callable[[], float]
    ) -> None:
        self.memory, self._store, self._counts = memory, store, counts
        self._max_entry_bytes, self.now = max_entry_bytes, now

    def now_ms(self) -> float:
        """Return the Unix time by which ages are measured; 0 without a store, where nothing is precomputed."""
        return 0.0 if self._store is None else self._store.now_ms()

    def remembered(self, cache_lookup: CacheLookup) -> Pair:
        """Return what memory has, and cannot be bettered by the store as far as was known."""
        now, cached, precomputed = self.now(), None, None
        if cache_lookup.key is not None:
            found = self.memory.get(cache_lookup.key)
            # One that was never compared with this generation may be older than its answer.
            if found is not None and (cache_lookup.precomputed is None or found.generation == cache_lookup.generation):
                cached = StoredAnswer(found.outputs, now - found.computed_at, False, MEMORY)
        if cache_lookup.precomputed is not None:
            found = self.memory.get(cache_lookup.place)
            if found is not None:
                precomputed = StoredAnswer(found.outputs, now - found.computed_at, True, MEMORY)
        return cached, precomputed

    def read(self, cache_lookup: CacheLookup, on_pair: Callable[[Pair | None], object]) -> None:
        """Call `on_pair` with what the store has, or with None when it does not answer."""
        keys = tuple(key for key in (cache_lookup.key, cache_lookup.precomputed) if key is not None)
        if self._store is None:  # what was computed beforehand is somewhere else
            on_pair(None if cache_lookup.precomputed is not None else (None, None))
        elif not keys:
            on_pair((None, None))
        else:
            self._store.get(
                keys, lambda values: on_pair(self._taken(cache_lookup, values)), patient=not cache_lookup.computes
            )

    async def find(self, cache_lookup: CacheLookup) -> Pair:
        """Return what memory has, and what it does not have from the store."""
        remembered = self.remembered(cache_lookup)
        if (cache_lookup.key is None or remembered[0]) and (cache_lookup.precomputed is None or remembered[1]):
            return remembered
        answer: asyncio.Future[Pair | None] = asyncio.get_running_loop().create_future()
        self.read(cache_lookup, lambda pair: answer.done() or answer.set_result(pair))
        stored = await answer or (None, None)
        return (_younger(remembered[0], stored[0]), _younger(remembered[1], stored[1]))

    def keep(self, cache_lookup: CacheLookup, outputs: bytes) -> None:
        """Keep an answer that was computed just now."""
        key = cache_lookup.key
        if key is None or not outputs:
            return
        self._remember(key, outputs, self.now(), cache_lookup.generation)
        if self._store is not None and len(outputs) <= self._max_entry_bytes:
            entry = stored_answers.Entry(int(self._store.now_ms()), outputs)
            keep_s = kept_for_s(cache_lookup.resolved.table.policy, cache_lookup.ttl_s)
            self._store.put(key, stored_answers.encode(key, entry), max(1, int(keep_s * 1000)))

    def _taken(self, cache_lookup: CacheLookup, values: Values | None) -> Pair | None:
        """Return what the store's values are, and remember them."""
        if values is None:
            return None
        at, cached, precomputed = 0, None, None
        try:
            if cache_lookup.key is not None:
                cached = self._cached(cache_lookup, cache_lookup.key, values[0])
                at = 1
            if cache_lookup.precomputed is not None:
                precomputed = self._precomputed(cache_lookup, cache_lookup.precomputed, values[at])
        except Exception:  # whatever lies in the store, requests are answered
            log.exception("stored answers not read")
            return None
        return cached, precomputed

    def _cached(self, cache_lookup: CacheLookup, key: bytes, value: bytes | None) -> StoredAnswer | None:
        entry = self._decoded(key, value)
        if entry is None:
            return None
        age_s = age_of(self.now_ms(), entry.computed_at_ms)
        if age_s is None:
            return None
        resolved = cache_lookup.resolved
        if checked(cache_lookup.variant.served.contract, resolved.outputs, resolved.layout.rows, entry.outputs) is None:
            self._counts.poisoned += 1
            return None
        here = self.memory.get(key)
        computed_at = self.now() - age_s
        if here is not None and here.computed_at >= computed_at:
            here.generation = cache_lookup.generation
            return StoredAnswer(here.outputs, self.now() - here.computed_at, False, MEMORY)
        self._remember(key, entry.outputs, computed_at, cache_lookup.generation)
        return StoredAnswer(entry.outputs, age_s, False, VALKEY)

    def _precomputed(self, cache_lookup: CacheLookup, key: bytes, value: bytes | None) -> StoredAnswer | None:
        entry = self._decoded(key, value)
        if entry is None:
            return None
        wanted, outputs = cache_lookup.resolved.outputs, entry.outputs
        message = checked(cache_lookup.variant.served.contract, (), 1, outputs)
        if message is None:
            self._counts.poisoned += 1
            return None
        if wanted:
            outputs = selected(message, wanted)
        # Its publisher's clock may be ahead; the generation, not the age, says that it counts.
        age_s = max(0.0, (self.now_ms() - entry.computed_at_ms) / 1000)
        self.memory.put(cache_lookup.place, outputs, self.now() - age_s, cache_lookup.generation, key_bytes=len(key))
        return StoredAnswer(outputs, age_s, True, VALKEY)

    def _decoded(self, key: bytes, value: bytes | None) -> stored_answers.Entry | None:
        if value is None:
            return None
        entry = stored_answers.decode(key, value)
        if entry is None:
            self._counts.poisoned += 1
        return entry

    def _remember(self, key: bytes, outputs: bytes, computed_at: float, generation: int) -> None:
        self.memory.put(key, outputs, computed_at, generation, key_bytes=len(key))


def source_of(answer: StoredAnswer) -> str:
    """Return what a stored answer is called in metrics."""
    return PRECOMPUTED if answer.precomputed else CACHE


def _younger(one: StoredAnswer | None, other: StoredAnswer | None) -> StoredAnswer | None:
    if one is None or other is None:
        return one or other
    return one if one.age_s <= other.age_s else other


# What an entry takes besides its outputs and key: objects, and its place in the dictionary. Measured: 270.
OVERHEAD_BYTES = 300


class Remembered:
    """An answer. computed_at: on the loop's clock. generation: the precomputed one that it was compared with, or is of.

    renew_from: when its next renewal may begin, on the loop's clock. reused: whether a later request was given it.
    """

    __slots__ = ("computed_at", "generation", "outputs", "renew_from", "reused", "size_bytes")

    def __init__(self, outputs: bytes, computed_at: float, generation: int, size_bytes: int) -> None:
        self.outputs, self.computed_at, self.generation, self.size_bytes = outputs, computed_at, generation, size_bytes
        self.renew_from, self.reused = 0.0, False


class Memory:
    """A bounded dictionary of answers.

    max_bytes: of all; 0 remembers nothing. max_entry_bytes: of the outputs of one. evicted: entries that went early.
    """

    def __init__(self, max_bytes: int, max_entry_bytes: int) -> None:
        self._max_bytes, self._max_entry_bytes = max_bytes, max_entry_bytes
        self._entries: OrderedDict[Hashable, Remembered] = OrderedDict()
        self.size_bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Remembered | None:
        """Return the answer under a key, which counts as used, or None."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: Hashable, outputs: bytes, computed_at: float, generation: int, *, key_bytes: int) -> None:
        """Remember an answer, unless it is too large."""
        size = len(outputs) + key_bytes + OVERHEAD_BYTES
        self.forget(key)
        if len(outputs) > self._max_entry_bytes or size > self._max_bytes:
            return
        self._entries[key] = Remembered(outputs, computed_at, generation, size)
        self.size_bytes += size
        while self.size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= oldest.size_bytes
            self.evicted += 1

    def forget(self, key: Hashable) -> None:
        """Remove the answer under a key, if there is one."""
        found = self._entries.pop(key, None)
        if found is not None:
            self.size_bytes -= found.size_bytes


class StepCache:
    """memory: shared with all stored answers of this process. now: the loop's clock."""

    def __init__(self, memory: Memory, now: Callable[[], float]) -> None:
        self._memory, self._now = memory, now

    def key(self, step: PlannedStep, work: PipelineWork, layout: Layout, inputs: Sequence[bytes]) -> bytes | None:
        """Return under what the outputs of a step are kept for a request; None where they are not."""
        if work.asked is None:
            return None
        table = work.asked.table
        policy, kept = table.policy, table.kept.get(work.served.digest)
        if not step.cache_s or kept is None or policy.mode is Mode.ONLINE:
            return None
        if not policy.cache_large_inputs and sum(map(len, inputs)) > LARGE_INPUTS_BYTES:
            return None
        return by_inputs(kept.cache, f"step|{step.served.digest}", layout, inputs, step.gives, "")

    def get(self, key: bytes, step: PlannedStep, work: PipelineWork) -> bytes | None:
        """Return outputs that are young enough, encoded as a batcher does."""
        found = self._memory.get(key)
        oldest = None if work.asked is None else work.asked.request.max_age_s
        until_s = step.cache_s if oldest is None else min(step.cache_s, oldest)
        return found.outputs if found is not None and self._now() - found.computed_at < until_s else None

    def keep(self, key: bytes, outputs: bytes) -> None:
        """Keep what was computed just now."""
        self._memory.put(key, outputs, self._now(), 0, key_bytes=len(key))
