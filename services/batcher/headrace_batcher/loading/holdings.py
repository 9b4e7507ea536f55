"""Versions of this process: their construction, their removal, and the streams that announce their state."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator

from headrace_runtime.backends.backend import Backend
from headrace_runtime.formats import Format
from headrace_runtime.probe import Probe

from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.batching.traces import BatchSpans, Traces
from headrace_batcher.batching.usage import Usage
from headrace_batcher.decisions.answers import NOT_LOADED
from headrace_batcher.decisions.version_state import Phase, Wanted
from headrace_batcher.loading.held import Held
from headrace_batcher.roster import Roster


class Holding:
    """The versions that are wanted or still here, by digest.

    gate: shared by all of one backend. usage: of all versions. changed: called when a phase changed that the control
    plane should know.
    """

    def __init__(
        self,
        backend: Backend,
        roster: Roster,
        gate: ExecutionGate,
        *,
        spans: BatchSpans | None,
        usage: Usage,
        changed: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._backend, self._roster, self._gate = backend, roster, gate
        self._spans, self._usage, self._changed, self._now = spans, usage, changed, now
        self._held: dict[str, Held] = {}

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def __contains__(self, digest: str) -> bool:
        return digest in self._held

    def __getitem__(self, digest: str) -> Held:
        return self._held[digest]

    @property
    def loaded(self) -> list[Held]:
        """Return the versions that are loaded, whether they answer or not."""
        return [held for held in self if held.phase is Phase.READY]

    @property
    def wedged(self) -> bool:
        """Return whether nothing that is loaded answers."""
        loaded = self.loaded
        return bool(loaded) and all(held.stalled for held in loaded)

    def take_up(
        self, wanted: Wanted, tasks: asyncio.TaskGroup, *, cost_bytes: int, crashed: Callable[[Held, str], None]
    ) -> None:
        """Add a version, which refuses requests until it is loaded. crashed: called when the process that runs it is
        gone."""
        batcher = self._batcher(wanted, crashed)
        batcher.refuse(NOT_LOADED)
        handle = self._roster.add(wanted.digest, batcher)
        serving = tasks.create_task(batcher.serve_forever(), name=f"serve {wanted.name}")
        probe = Probe(self._backend, wanted.name, wanted.contract, self._now)
        held = Held(wanted, batcher, probe, handle, serving, batcher.counters, math.inf, cost_bytes=cost_bytes)
        held.wanted_since = self._now()
        self._held[wanted.digest] = held
        self._changed()

    def replace_batcher(
        self, held: Held, tasks: asyncio.TaskGroup, *, crashed: Callable[[Held, str], None]
    ) -> tuple[Batcher, asyncio.Task[None]]:
        """Form a serving version's batches by its present limits; return the former batcher, which answers its queue,
        and its loop."""
        before = held.batcher, held.serving
        held.answered_at = max(held.answered_at, held.batcher.last_answer)
        held.batcher.retire()
        held.batcher = self._batcher(held.wanted, crashed, held.batcher)
        held.serving = tasks.create_task(held.batcher.serve_forever(), name=f"serve {held.name}")
        self._roster.replace(held.handle, held.batcher)
        return before

    def _batcher(self, wanted: Wanted, crashed: Callable[[Held, str], None], before: Batcher | None = None) -> Batcher:
        return Batcher(
            wanted.name,
            wanted.contract,
            wanted.limits,
            self._backend,
            counters=None if before is None else before.counters,
            service_times=None if before is None else before.service_times,
            gate=self._gate,
            traces=Traces(wanted.name, self._spans),
            usage=self._usage.of(wanted.model, wanted.version),
            ours=self._backend.load_control and wanted.kept_as is not Format.OIP,
            padding=wanted.padding,
            crashed=lambda reason: crashed(self._held[wanted.digest], reason),
            way=lambda: None if (choice := self._held[wanted.digest].compute) is None else choice.way,
            now=self._now,
        )

    async def close(self, held: Held) -> None:
        """Stop routing requests to a version and refuse those that wait. It stays in the table until `forget`."""
        self._roster.remove(held.handle)
        held.serving.cancel()
        await asyncio.gather(held.serving, return_exceptions=True)

    def forget(self, held: Held) -> None:
        """Remove a version that was closed."""
        del self._held[held.wanted.digest]

    def move(self, held: Held, phase: Phase, reason: str) -> None:
        """Move a version to a phase, and tell data planes and the control plane."""
        held.phase, held.reason = phase, reason
        self._roster.wedged = self.wedged
        self._roster.set_ready(held.handle, held.serves)
        self._changed()
