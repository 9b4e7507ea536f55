"""Maintain the log: find gaps, adopt batches of killed processes, merge small files, expire old ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import structlog
from headrace_servicekit.clock import Clock

from headrace_monitor.record.log.adoption import BatchAdopter
from headrace_monitor.record.log.batches import Batches, LostBatches
from headrace_monitor.record.log.merger import FileMerger
from headrace_monitor.record.log.metrics import LogMetrics
from headrace_monitor.record.log.orphans import OrphanSweeper
from headrace_monitor.record.log.writer import Files

log = structlog.get_logger()

SWEEP_EVERY_S = 60.0
# The whole log is listed for it.
ORPHANS_EVERY_S = 86_400.0
# Batches that are older than what the log keeps are refused, so what is known of their processes can go a little later.
EXPIRE_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class UpkeepPolicy:
    """lost_after: how long a number may be missing after a later one came. keep: retention of records."""

    lost_after: timedelta
    keep: timedelta


class Upkeep:
    """Maintains the log in steps, which may be repeated, and interrupted anywhere."""

    def __init__(
        self,
        batches: Batches,
        files: Files,
        merging: FileMerger,
        sweep: BatchAdopter,
        orphans: OrphanSweeper,
        *,
        patience: UpkeepPolicy,
        clock: Clock,
        metrics: LogMetrics,
    ) -> None:
        self._batches, self._files, self._merging = batches, files, merging
        self._sweep, self._orphans = sweep, orphans
        self._patience, self._clock, self._metrics = patience, clock, metrics
        self._next_sweep = self._next_orphans = 0.0

    async def step(self) -> bool:
        """Do one round of what is due; return whether there is more to merge or to remove."""
        now = self._clock.now()
        self._note(await self._batches.find_gaps(now, self._patience.lost_after))
        if self._clock.monotonic() >= self._next_sweep:
            await self._sweep.adopt()
            await self._batches.expire(now - self._patience.keep - EXPIRE_AFTER, now)
            self._next_sweep = self._clock.monotonic() + SWEEP_EVERY_S
        if self._clock.monotonic() >= self._next_orphans:
            await self._orphans.sweep()
            self._next_orphans = self._clock.monotonic() + ORPHANS_EVERY_S
        more = await self._files.remove_leftovers()
        more = await self._merging.drop() or more
        return await self._merging.merge() or more

    def _note(self, found: list[LostBatches]) -> None:
        for lost in found:
            first, last = lost.range
            log.warning("batches of predictions are lost", data_plane=lost.data_plane, first=first, last=last)
            self._metrics.lost(lost.range.batches)
