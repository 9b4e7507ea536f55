"""Life cycle of versions: load the wanted ones, unload the others. Wanted → loaded (`attempts.py`) → READY; unwanted →
drain → unload. When the backend comes back, everything is loaded again. Versions that memory is too short for are
unloaded until a request comes (`evictions.py`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from headrace_runtime.artifacts.cache import Artifacts
from headrace_runtime.backends.backend import Backend
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Unavailable

from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.batching.traces import BatchSpans
from headrace_batcher.batching.usage import Usage
from headrace_batcher.decisions import lifecycle
from headrace_batcher.decisions import version_state as readiness
from headrace_batcher.decisions.answers import BACKEND_LOST
from headrace_batcher.decisions.turns import USUAL, LoadBounds
from headrace_batcher.decisions.version_state import Phase, VersionStatus, Wanted
from headrace_batcher.loading.attempts import Attempts
from headrace_batcher.loading.evictions import Evicting
from headrace_batcher.loading.held import Held
from headrace_batcher.loading.holdings import Holding
from headrace_batcher.loading.loader import Loader
from headrace_batcher.loading.memory import Room
from headrace_batcher.loading.settings_change import Settling
from headrace_batcher.metrics import BatchCounters
from headrace_batcher.roster import Roster

log = structlog.get_logger()

# An announced end takes this long to reach every data plane; what they sent before is still answered.
DRAIN_S = 1.0
_DRAIN_POLL_S = 0.02
WARM_FOR_S = 60.0


class Versions:
    """All versions of this process.

    changed: called when a state changed that the control plane should know. became_ready: called each time a version is
    loaded. unload_after_s: how long a version must have been unwanted before it goes. end_model: as the loader has it.
    warm_for_s: how long a version that has answered stays in memory, however short that is.
    """

    def __init__(
        self,
        backend: Backend,
        roster: Roster,
        artifacts: Artifacts,
        *,
        unload_after_s: float,
        changed: Callable[[], None],
        became_ready: Callable[[Held], None] = lambda held: None,
        memory: Room | None = None,
        end_model: Callable[[str], object] | None = None,
        spans: BatchSpans | None = None,
        usage: Usage | None = None,
        drain_s: float = DRAIN_S,
        bounds: LoadBounds = USUAL,
        warm_for_s: float = WARM_FOR_S,
        check_signature: Callable[[Wanted], Awaitable[None]] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wakeup = Wakeup()
        self._loader = Loader(
            *(backend, artifacts, memory, now),
            end_model=end_model,
            opened=self._wakeup.wake,
            warm_for_s=warm_for_s,
            check_signature=check_signature,
        )
        self._unload_after_s = unload_after_s
        self._drain_s = drain_s
        self._bounds = bounds
        self._now = now
        self._gate = ExecutionGate()
        self._holding = Holding(
            *(backend, roster, self._gate),
            spans=spans,
            usage=usage or Usage(),
            changed=changed,
            now=now,
        )
        self._settling = Settling(
            *(self._holding, self._loader, self._gate),
            crashed=self.crashed,
            became_ready=became_ready,
            wake=self._wakeup.wake,
            attempt_s=bounds.attempt_s,
        )
        self._evicting = Evicting(
            *(self._holding, self._loader), warm_for_s=warm_for_s, wake=self._wakeup.wake, now=now
        )
        self._attempts = Attempts(
            *(self._holding, self._loader, self._gate, self._evicting),
            attempt_s=bounds.attempt_s,
            became_ready=became_ready,
            wake=self._wakeup.wake,
            now=now,
        )
        self._began = now()
        self._demand: Sequence[Wanted] = ()
        self._settled = False
        self._has_demand = False
        self._backend_up = False

    def want(self, wanted: Sequence[Wanted]) -> None:
        """Replace the demand; the most needed first."""
        self._demand, self._has_demand = tuple(wanted), True
        self._wakeup.wake()

    def backend_up(self) -> None:
        """Load everything: a backend that comes up holds nothing."""
        self._backend_up = True
        self._evicting.backend_up()
        self._wakeup.wake()

    def backend_down(self, reason: str) -> None:
        """Take every version out of service until the backend is back."""
        self._backend_up = False
        self._attempts.backend_down()
        for held in self._holding:
            held.stalled = False
            held.batcher.lose()
            if held.phase in (Phase.READY, Phase.WAITING):
                self._holding.move(held, Phase.WAITING, reason)
            self._evicting.backend_down(held)
        self._wakeup.wake()

    def stall(self, held: Held, reason: str) -> None:
        """Take a loaded version that does not answer out of service, for as long as that lasts."""
        if held.phase is Phase.READY and not held.stalled:
            log.warning("version does not answer", model=held.name, reason=reason)
            held.stalled = True
            held.batcher.refuse(BACKEND_LOST)
            self._holding.move(held, Phase.READY, reason)

    def resume(self, held: Held) -> None:
        """Put a version that answers again back into service."""
        if held.phase is Phase.READY and held.stalled:
            log.info("version answers again", model=held.name)
            held.stalled = False
            held.batcher.accept()
            self._holding.move(held, Phase.READY, "")

    def crashed(self, held: Held, reason: str) -> None:
        """Reload a version whose process is gone while the backend runs. A draining one is not reloaded."""
        if held.phase is Phase.DRAINING:
            held.batcher.lose()
        if held.phase is not Phase.READY:
            return
        held.count_crash(self._now())
        held.batcher.lose()
        self._holding.move(held, Phase.WAITING, reason)
        log.error("version crashed", model=held.name, reason=reason, crashes=held.crashes)
        self._wakeup.wake()

    def loaded(self) -> list[Held]:
        """Return the versions that are loaded, whether they answer or not."""
        return self._holding.loaded

    @property
    def wedged(self) -> bool:
        """Return whether nothing that is loaded answers."""
        return self._holding.wedged

    async def settled(self) -> None:
        """Raise Unavailable until this process can replace another one; then never again (`readiness.py`)."""
        if self._settled:
            return
        tried = {
            held.wanted.digest for held in self._holding if held.on_demand or held.phase in (Phase.READY, Phase.FAILED)
        }
        missing = readiness.lacking(self._demand if self._has_demand else None, tried, self._now() - self._began)
        if missing is not None:
            raise Unavailable(missing)
        self._settled = True

    def statuses(self) -> list[VersionStatus]:
        """Return how far this process is with every version that is wanted or still here."""
        now = self._now()
        new = [VersionStatus(one.digest, Phase.WAITING) for one in self._demand if one.digest not in self._holding]
        return [held.status(now) for held in self._holding] + new

    @property
    def busy_s(self) -> float:
        """Return for how long anything has executed since the process started."""
        return self._gate.busy_s

    def counters(self) -> dict[tuple[str, str], BatchCounters]:
        """Return the counters of every version by model and version."""
        return {(held.wanted.model, held.wanted.version): held.counters for held in self._holding}

    def reconsider(self) -> None:
        """Decide again: there is a new reading of the memory in use."""
        self._wakeup.wake()

    async def run(self) -> None:
        """Load and unload until cancelled."""
        self._gate.join(self._wakeup.wake)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wakeup.wait(self._step(tasks) - self._now())

    def _step(self, tasks: asyncio.TaskGroup) -> float:
        """Begin what is due; return when to look again."""
        self._apply_demand(tasks)
        self._settling.step(tasks)
        step = lifecycle.next_step(
            [held.state() for held in self._holding],
            backend_up=self._backend_up,
            unload_after_s=self._unload_after_s,
            now=self._now(),
            memory=self._loader.memory,
            freed_at=self._loader.freed_at,
            may_load=self._gate.open and not self._settling.reloading,
            bounds=self._bounds,
            warm_for_s=self._evicting.warm_for_s,
        )
        for digest, why in step.end:
            self._attempts.end(self._holding[digest], why)
        for digest in step.drop:
            held = self._holding[digest]
            was_loaded, given_up = held.phase is Phase.READY, held.rank is not None
            held.on_demand = False
            self._holding.move(held, Phase.DRAINING, "there is no memory for it" if given_up else "")
            tasks.create_task(self._drop(held, was_loaded, given_up), name=f"drop {held.name}")
        if step.evict is not None:
            self._evicting.begin(self._holding[step.evict], tasks)
        if step.crowded is not None:
            self._evicting.crowd_out(self._holding[step.crowded])
            self._wakeup.wake()
        if step.load is not None:
            self._attempts.begin(self._holding[step.load], tasks)
            self._wakeup.wake()
        if step.no_room is not None:
            self._attempts.fail(self._holding[step.no_room], self._loader.no_room, short=True)
            self._wakeup.wake()
        return step.until

    def _apply_demand(self, tasks: asyncio.TaskGroup) -> None:
        for held in self._holding:
            held.rank = None
        for rank, wanted in enumerate(self._demand):
            if wanted.digest not in self._holding:
                cost_bytes = self._loader.cost_bytes(wanted.digest)
                self._holding.take_up(wanted, tasks, cost_bytes=cost_bytes, crashed=self.crashed)
            self._holding[wanted.digest].want(wanted, rank, self._now())
        for held in self._holding:
            if held.rank is None and held.unwanted_since == math.inf:
                held.unwanted_since = self._now()
        self._loader.remember([one.digest for one in self._demand])

    async def _drop(self, held: Held, was_loaded: bool, given_up: bool) -> None:
        """Drain a version and unload it; one that is wanted again meanwhile stays, unless memory is short."""
        if was_loaded:
            drained_at = self._now() + self._drain_s
            # A version that is gone answers no more requests, and those that it executed are not retried here.
            while not held.batcher.gone and (self._now() < drained_at or held.batcher.rows):
                await asyncio.sleep(_DRAIN_POLL_S)
                if held.rank is not None and not given_up:
                    loaded = held.batcher.accepting
                    self._holding.move(held, Phase.READY if loaded else Phase.WAITING, "")
                    self._wakeup.wake()
                    return
        await self._holding.close(held)
        await self._loader.unload(held)
        log.info("version unloaded", model=held.name, digest=held.wanted.digest)
        # Only now: the same version, wanted again, is loaded after it was unloaded.
        self._holding.forget(held)
        self._wakeup.wake()
