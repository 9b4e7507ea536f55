"""What members computed, kept in the memory of stored answers for steps that declare it, by member and inputs.

A purge of the pipeline's cache is one of its steps' too, and a caller's `max_age` counts for each step. Nothing goes to
Valkey: a step is looked up where the request is, and must cost less than asking a batcher.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace_router.data.batchers.work import PipelineWork
from headrace_router.data.lookup.decisions import keys
from headrace_router.data.lookup.memory import Memory
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.decisions.lookup_policy import Mode
from headrace_router.data.tables.plan import PlannedStep


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
        if not policy.cache_large_inputs and sum(map(len, inputs)) > keys.LARGE_INPUTS_BYTES:
            return None
        return keys.by_inputs(kept.cache, f"step|{step.served.digest}", layout, inputs, step.gives, "")

    def get(self, key: bytes, step: PlannedStep, work: PipelineWork) -> bytes | None:
        """Return outputs that are young enough, encoded as a batcher does."""
        found = self._memory.get(key)
        oldest = None if work.asked is None else work.asked.request.max_age_s
        until_s = step.cache_s if oldest is None else min(step.cache_s, oldest)
        return found.outputs if found is not None and self._now() - found.computed_at < until_s else None

    def keep(self, key: bytes, outputs: bytes) -> None:
        """Keep what was computed just now."""
        self._memory.put(key, outputs, self._now(), 0, key_bytes=len(key))
