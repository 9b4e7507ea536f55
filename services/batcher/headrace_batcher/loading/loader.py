"""The way of one version into the backend, and out of it again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

import structlog
from headrace_runtime.artifacts.cache import ArtifactError, Artifacts
from headrace_runtime.backends.backend import Backend, BackendLost, LoadError

from headrace_batcher.decisions import eviction
from headrace_batcher.decisions.version_state import Memory, Need, Phase, Wanted
from headrace_batcher.loading.held import Held
from headrace_batcher.loading.memory import Room

log = structlog.get_logger()

# Before executions of a warm-up while callers of other versions are answered: what an execution makes them wait for is
# spread over more of their requests, and there are ten at most with the usual sizes.
REST_S = 0.2
# Callers are there when one was answered no longer ago than this.
_CALLERS_S = 1.0
_MIB = 1024 * 1024
# A backend has noticed within this that what loaded a version is gone.
_END_S, _END_POLL_S = 5.0, 0.05
# How long memory is read again and again after an unloading: mostly it is there at once.
_FREED_S = 1.0


class NoRoom(LoadError):
    """A version took more memory than there is."""


class Loader:
    """Loads and unloads; who does when is decided elsewhere.

    memory: None when it is not bounded. end_model: ends at once what executes a version; None where nothing can.
    check_signature: raises LoadError for a version that may not be loaded; None where there is no signing policy.
    opened: called when a version's file is there, from when on its attempt counts. warm_for_s: how long what has
    answered is not evicted.
    """

    def __init__(
        self,
        backend: Backend,
        artifacts: Artifacts,
        memory: Room | None,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        end_model: Callable[[str], object] | None = None,
        opened: Callable[[], None] = lambda: None,
        warm_for_s: float = math.inf,
        check_signature: Callable[[Wanted], Awaitable[None]] | None = None,
    ) -> None:
        self._backend = backend
        self._artifacts = artifacts
        self._memory = memory
        self._now = now
        self._sleep = sleep
        self._end_model = end_model
        self._opened = opened
        self._check_signature = check_signature
        self._warm_for_s = warm_for_s
        # What loading a version took in memory, for the next time.
        self._costs: dict[str, int] = {}
        self.freed_at = -math.inf
        """When something was unloaded last."""

    @property
    def memory(self) -> Memory | None:
        """Return what is known of memory, None when it is not bounded."""
        return None if self._memory is None else self._memory.last

    @property
    def no_room(self) -> str:
        """Return why a version is not loaded that there is no memory for."""
        memory = self.memory
        if memory is None:
            return "there is no memory for it"
        used, limit, where = memory.used, memory.limit, ""
        if memory.gpu_limit < math.inf and not memory.main_is_short:
            used, limit, where = memory.gpu_used, memory.gpu_limit, " of GPUs"
        return f"there is no memory for it: {used // _MIB} of {limit / _MIB:.0f} MiB{where} are in use"

    def cost_bytes(self, digest: str) -> int:
        """Return the memory that a version took when it was loaded last, 0 when it never was."""
        return self._costs.get(digest, 0)

    def remember(self, digests: Collection[str]) -> None:
        """Forget the costs of all other versions."""
        self._costs = {digest: cost for digest, cost in self._costs.items() if digest in digests}

    async def load(self, held: Held, others: Collection[Held]) -> dict[str, float]:
        """Make a version ready; return the seconds of each step. A failure leaves nothing loaded. Cancellation ends the
        running step first.

        Raises LoadError (NoRoom), ArtifactError, WrongOutput, BackendLost.
        """
        if held.wanted.problem:
            raise LoadError(held.wanted.problem)
        started = self._now()
        path, beside = await self._fetch(held, gently=self._can_wait(held, others))
        fetched = held.opening_since = self._now()
        self._opened()
        await self._open(held, path, beside)
        try:
            loaded = self._now()
            await self._warm_up(held, others)
            warm = self._now()
            await self._must_fit(held, others)
        except (BackendLost, asyncio.CancelledError):
            # A backend that lives would go on with what was not answered in time, also beside the next loading.
            if self._end_model is not None:
                self._end_model(held.name)
            await self.unload(held)
            raise
        except Exception:
            await self.unload(held)
            raise
        await self._tidy((held, *others))
        return {
            "fetch_s": round(fetched - started, 3),
            "load_s": round(loaded - fetched, 3),
            "warm_up_s": round(warm - loaded, 3),
        }

    async def reload(self, held: Held, others: Collection[Held]) -> None:
        """Have the backend load a version that serves with other settings; until it has, those before count.

        Raises LoadError, ArtifactError, WrongOutput, BackendLost.
        """
        await self._backend.load(held.files(*await self._fetch(held, gently=False)))
        await self._warm_up(held, others)
        if self._memory is not None:
            await self._memory.read()

    async def _fetch(self, held: Held, *, gently: bool) -> tuple[Path, Mapping[str, Path]]:
        """Return where the file of a version's model is, and those beside it. Raises ArtifactError, LoadError."""
        if self._check_signature is not None:
            await self._check_signature(held.wanted)
        if not self._backend.load_control:
            return Path(), {}
        path = await self._artifacts.fetch(held.wanted.sha256, gently=gently)
        return path, {name: await self._artifacts.fetch(sha256, gently=gently) for name, sha256 in held.wanted.others}

    async def _open(self, held: Held, path: Path, beside: Mapping[str, Path]) -> None:
        """Have the backend load a file; when this is cancelled, end that before going on."""
        opening = asyncio.ensure_future(self._backend.load(held.files(path, beside)))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await self._end(held, opening)
            await self.unload(held)
            raise
        except LoadError:
            if self._end_model is not None:  # a backend that was not done in time would go on
                self._end_model(held.name)
            raise
        finally:
            opening.cancel()

    async def _warm_up(self, held: Held, others: Collection[Held]) -> None:
        """Run the sizes that batches will have and measure their time; only one row where times are known and requests
        wait."""
        limits, service_times = held.wanted.limits, held.batcher.service_times
        await held.probe.warm_up(
            {1} if held.on_demand else {1, *limits.preferred_rows, limits.max_rows},
            measured=lambda rows, seconds: service_times.observe(rows, seconds, self._now()),
            pause=lambda: self._rest(held, others),
        )

    async def _end(self, held: Held, opening: asyncio.Future[None]) -> None:
        """End a load. Its process may be about to start: what can be ended is until the backend has noticed."""
        give_up = self._now() + _END_S
        while self._end_model is not None and not opening.done() and self._now() < give_up:
            self._end_model(held.name)
            await asyncio.wait({opening}, timeout=_END_POLL_S)
        opening.cancel()  # it may be a process of ours, which ends by that
        await asyncio.gather(opening, return_exceptions=True)

    async def unload(self, held: Held) -> None:
        """Take a version out, if it is there."""
        try:
            await self._backend.unload(held.name)
        except BackendLost:
            pass  # what is gone needs no unloading
        except LoadError as error:
            log.warning("unloading failed", model=held.name, cause=str(error))
        self.freed_at = self._now()
        if self._memory is not None:
            await self._read_once_freed(self._memory, held.cost_bytes)

    async def _read_once_freed(self, memory: Room, cost_bytes: int) -> None:
        """Read what is in use, again until half of what a version took is given back, or for a second.

        When it is, nothing more of it need be waited for.
        """
        before, give_up = memory.last, self._now() + _FREED_S
        while True:
            after = await memory.read()
            if before is None or after is None or not cost_bytes or self._now() > give_up:
                return
            if after.used <= before.used - cost_bytes // 2:
                if after.gpu_limit == math.inf:  # what a GPU gives back is seen later
                    self.freed_at = -math.inf
                return
            await self._sleep(_END_POLL_S)

    def _can_wait(self, held: Held, others: Collection[Held]) -> bool:
        """Return whether others have callers while this version has none who wait for it."""
        since = self._now() - _CALLERS_S
        return held.need is not Need.ACTIVE and any(one.batcher.last_answer > since for one in others)

    async def _rest(self, held: Held, others: Collection[Held]) -> None:
        if self._can_wait(held, others):
            await self._sleep(REST_S)

    async def _tidy(self, all_held: Collection[Held]) -> None:
        try:
            await self._artifacts.tidy([sha256 for one in all_held for sha256 in one.wanted.all_sha256])
        except ArtifactError as error:  # the version answers all the same
            log.warning("files not tidied", cause=str(error))

    async def _must_fit(self, held: Held, others: Collection[Held]) -> None:
        """Refuse a version that nothing serves yet when it took more memory than there is. Raises NoRoom.

        Unless something is given up for it, or will be next. What was evicted has been found to fit.
        """
        if self._memory is None:
            return
        before, after = self._memory.last, await self._memory.read()
        if before is None or after is None:
            return
        if all(one.phase is not Phase.LOADING for one in others):  # else it may be the other's
            held.cost_bytes = self._costs[held.wanted.digest] = max(0, after.used - before.used)
        spare = held.on_demand or any(self._gives_way(one) for one in others)
        if after.is_short and held.need is not Need.ACTIVE and not spare:
            raise NoRoom(self.no_room)

    def _gives_way(self, held: Held) -> bool:
        if held.phase is Phase.READY:
            cold = eviction.is_cold(held.state(), self._warm_for_s, self._now())
            return held.rank is None or held.need is Need.REVERT or cold
        return held.phase in (Phase.DRAINING, Phase.EVICTING)
