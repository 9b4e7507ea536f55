"""Versions that are unloaded for want of memory, and announced all the same: who asks for one has it loaded again."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

import structlog

from headrace_batcher.decisions import eviction
from headrace_batcher.decisions.answers import BACKEND_LOST, MODEL_CROWDED_OUT, NOT_LOADED
from headrace_batcher.decisions.version_state import Phase
from headrace_batcher.loading.held import Held
from headrace_batcher.loading.holdings import Holding
from headrace_batcher.loading.loader import Loader

log = structlog.get_logger()

_NOT_IN_MEMORY = "not in memory: it is loaded when it is asked for"


class Evicting:
    """Unloads what `decisions/eviction.py` has chosen. wake: called to decide again.

    warm_for_s: for how long a version that has answered is not evicted.
    """

    def __init__(
        self,
        holding: Holding,
        loader: Loader,
        *,
        warm_for_s: float,
        wake: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._holding, self._loader = holding, loader
        self._wake, self._now = wake, now
        self.warm_for_s = warm_for_s
        self._backend_up = True

    def begin(self, held: Held, tasks: asyncio.TaskGroup) -> None:
        """Unload a version without recent requests; requests from now on wait for it."""
        held.stalled = False
        self._sleep(held)
        self._holding.move(held, Phase.EVICTING, _NOT_IN_MEMORY)
        tasks.create_task(self._unload(held), name=f"evict {held.name}")

    def crowd_out(self, held: Held) -> None:
        """Tell who waits for a version when to come back: all that is loaded is warm."""
        states = [one.state() for one in self._holding]
        retry_s = eviction.retry_after_s(states, self.warm_for_s, self._now())
        held.batcher.send_away(dataclasses.replace(MODEL_CROWDED_OUT, retry_after_s=retry_s))

    def became_ready(self, held: Held, open_s: float) -> None:
        """Note that a version is in memory. open_s: what the backend took to load it."""
        held.open_s, held.loaded_at = open_s, self._now()
        if held.on_demand:
            held.on_demand = False
            held.counters.loaded_on_demand += 1
            suits = held.opened is None or held.opened.suits(held.wanted)
            if not (suits and held.forms_as_wanted):
                held.serving_revision = 0  # they changed meanwhile: put into force like any change

    def failed(self, held: Held) -> None:
        """Announce that a version is gone: it could not be loaded when it was asked for."""
        if held.on_demand:
            held.on_demand = False
            held.batcher.refuse(NOT_LOADED)

    def backend_down(self, held: Held) -> None:
        """Announce that an evicted version cannot be loaded, after its batcher has failed its requests."""
        self._backend_up = False
        if held.on_demand:
            held.on_demand = False
            self._holding.move(held, held.phase, held.reason)

    def backend_up(self) -> None:
        """Announce again what is loaded when it is asked for."""
        self._backend_up = True
        for held in self._holding:
            if held.phase is Phase.EVICTED:
                self._sleep(held)
                self._holding.move(held, Phase.EVICTED, _NOT_IN_MEMORY)

    async def _unload(self, held: Held) -> None:
        await self._loader.unload(held)
        held.counters.evicted += 1
        if not self._backend_up:
            held.on_demand = False
            held.batcher.refuse(BACKEND_LOST)
        elif not held.on_demand:  # it went and came back meanwhile
            self._sleep(held)
        self._holding.move(held, Phase.EVICTED, _NOT_IN_MEMORY)
        log.info("version evicted", model=held.name)
        self._wake()

    def _sleep(self, held: Held) -> None:
        held.on_demand = True
        held.batcher.sleep(held.open_s, self._wake)
