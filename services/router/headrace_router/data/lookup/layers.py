"""The two layers that keep answers, memory and the store, behind one door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from headrace_router import stored_answers
from headrace_router.data.lookup import freshness
from headrace_router.data.lookup.counts import CACHE, MEMORY, PRECOMPUTED, VALKEY, Counts
from headrace_router.data.lookup.freshness import Kept
from headrace_router.data.lookup.memory import Memory
from headrace_router.data.lookup.sought import Sought
from headrace_router.data.lookup.store import Store, Values
from headrace_router.data.outputs import checked, selected

log = structlog.get_logger()

Pair = tuple[Kept | None, Kept | None]
"""A cached and a precomputed answer."""


class Layers:
    """Reads and writes kept answers. store: None for memory alone. max_entry_bytes: of the outputs of one answer."""

    def __init__(
        self, memory: Memory, store: Store | None, counts: Counts, *, max_entry_bytes: int, now: Callable[[], float]
    ) -> None:
        self.memory, self._store, self._counts = memory, store, counts
        self._max_entry_bytes, self.now = max_entry_bytes, now

    def now_ms(self) -> float:
        """Return the Unix time by which ages are told; 0 without a store, where nothing is precomputed."""
        return 0.0 if self._store is None else self._store.now_ms()

    def remembered(self, sought: Sought) -> Pair:
        """Return what memory has, and cannot be bettered by the store as far as was known."""
        now, cached, precomputed = self.now(), None, None
        if sought.key is not None:
            found = self.memory.get(sought.key)
            # One that was never compared with this generation may be older than its answer.
            if found is not None and (sought.precomputed is None or found.generation == sought.generation):
                cached = Kept(found.outputs, now - found.computed_at, False, MEMORY)
        if sought.precomputed is not None:
            found = self.memory.get(sought.place)
            if found is not None:
                precomputed = Kept(found.outputs, now - found.computed_at, True, MEMORY)
        return cached, precomputed

    def read(self, sought: Sought, told: Callable[[Pair | None], object]) -> None:
        """Call `told` with what the store has, or with None when it does not answer."""
        keys = tuple(key for key in (sought.key, sought.precomputed) if key is not None)
        if self._store is None:  # what was computed beforehand is somewhere else
            told(None if sought.precomputed is not None else (None, None))
        elif not keys:
            told((None, None))
        else:
            self._store.get(keys, lambda values: told(self._taken(sought, values)), patient=not sought.computes)

    async def find(self, sought: Sought) -> Pair:
        """Return what memory has, and what it does not have from the store."""
        remembered = self.remembered(sought)
        if (sought.key is None or remembered[0]) and (sought.precomputed is None or remembered[1]):
            return remembered
        answer: asyncio.Future[Pair | None] = asyncio.get_running_loop().create_future()
        self.read(sought, lambda pair: answer.done() or answer.set_result(pair))
        stored = await answer or (None, None)
        return (_younger(remembered[0], stored[0]), _younger(remembered[1], stored[1]))

    def keep(self, sought: Sought, outputs: bytes) -> None:
        """Keep an answer that was computed just now."""
        key = sought.key
        if key is None or not outputs:
            return
        self._remember(key, outputs, self.now(), sought.generation)
        if self._store is not None and len(outputs) <= self._max_entry_bytes:
            entry = stored_answers.Entry(int(self._store.now_ms()), outputs)
            keep_s = freshness.keep_s(sought.question.table.policy, sought.ttl_s)
            self._store.put(key, stored_answers.encode(key, entry), max(1, int(keep_s * 1000)))

    def _taken(self, sought: Sought, values: Values | None) -> Pair | None:
        """Return what the store's values are, and remember them."""
        if values is None:
            return None
        at, cached, precomputed = 0, None, None
        try:
            if sought.key is not None:
                cached = self._cached(sought, sought.key, values[0])
                at = 1
            if sought.precomputed is not None:
                precomputed = self._precomputed(sought, sought.precomputed, values[at])
        except Exception:  # whatever lies in the store, requests are answered
            log.exception("kept answers not read")
            return None
        return cached, precomputed

    def _cached(self, sought: Sought, key: bytes, value: bytes | None) -> Kept | None:
        entry = self._decoded(key, value)
        if entry is None:
            return None
        age_s = freshness.age_s(self.now_ms(), entry.computed_at_ms)
        if age_s is None:
            return None
        question = sought.question
        if checked(sought.arm.served.contract, question.outputs, question.layout.rows, entry.outputs) is None:
            self._counts.poisoned += 1
            return None
        here = self.memory.get(key)
        computed_at = self.now() - age_s
        if here is not None and here.computed_at >= computed_at:
            here.generation = sought.generation
            return Kept(here.outputs, self.now() - here.computed_at, False, MEMORY)
        self._remember(key, entry.outputs, computed_at, sought.generation)
        return Kept(entry.outputs, age_s, False, VALKEY)

    def _precomputed(self, sought: Sought, key: bytes, value: bytes | None) -> Kept | None:
        entry = self._decoded(key, value)
        if entry is None:
            return None
        wanted, outputs = sought.question.outputs, entry.outputs
        message = checked(sought.arm.served.contract, (), 1, outputs)
        if message is None:
            self._counts.poisoned += 1
            return None
        if wanted:
            outputs = selected(message, wanted)
        # Its publisher's clock may be ahead; the generation, not the age, says that it counts.
        age_s = max(0.0, (self.now_ms() - entry.computed_at_ms) / 1000)
        self.memory.put(sought.place, outputs, self.now() - age_s, sought.generation, key_bytes=len(key))
        return Kept(outputs, age_s, True, VALKEY)

    def _decoded(self, key: bytes, value: bytes | None) -> stored_answers.Entry | None:
        if value is None:
            return None
        entry = stored_answers.decode(key, value)
        if entry is None:
            self._counts.poisoned += 1
        return entry

    def _remember(self, key: bytes, outputs: bytes, computed_at: float, generation: int) -> None:
        self.memory.put(key, outputs, computed_at, generation, key_bytes=len(key))


def source_of(answer: Kept) -> str:
    """Return what a kept answer is called in metrics."""
    return PRECOMPUTED if answer.precomputed else CACHE


def _younger(one: Kept | None, other: Kept | None) -> Kept | None:
    if one is None or other is None:
        return one or other
    return one if one.age_s <= other.age_s else other
