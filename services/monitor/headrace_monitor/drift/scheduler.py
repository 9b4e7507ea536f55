"""The scheduled looks: each window of each version once, whoever of several replicas makes it."""

from __future__ import annotations

import structlog
from headrace_servicekit.clock import Clock

from headrace_monitor.drift.looking import CATCH_UP, Schedule, is_due
from headrace_monitor.drift.looks import Looker
from headrace_monitor.drift.metrics import Metrics
from headrace_monitor.drift.store import DueWindow, Looks
from headrace_monitor.references.store import References
from headrace_monitor.windows.store import Windows

log = structlog.get_logger()

AT_ONCE = 100


class Scheduler:
    """Makes the looks that are due. Two replicas may make the same; the one that is kept first counts."""

    def __init__(
        self,
        looker: Looker,
        looks: Looks,
        windows: Windows,
        references: References,
        schedule: Schedule,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._looker, self._looks, self._windows, self._references = looker, looks, windows, references
        self._schedule, self._clock, self._metrics = schedule, clock, metrics

    async def step(self) -> None:
        """Make the looks that are due now, in the order of their windows' ends. Raises Unavailable."""
        now = self._clock.now()
        ended_by, ended_after = now - self._schedule.settle, now - CATCH_UP
        for due in await self._looks.due(self._schedule.seconds, ended_by, ended_after, limit=AT_ONCE):
            if await self._is_due(due):
                await self._look(due)

    async def _is_due(self, due: DueWindow) -> bool:
        waiting = await self._windows.waiting(due.reference, due.model, due.version, due.start, due.end)
        return is_due(due.end, self._clock.now(), waiting=waiting, schedule=self._schedule)

    async def _look(self, due: DueWindow) -> None:
        kept = await self._references.get(due.reference)
        assert kept is not None  # it has windows
        look = await self._looker.look(kept, due.start, due.end, self._schedule.level)
        if not await self._looks.add(look):
            return
        self._metrics.looked(look.severity)
        if look.alarms:
            worst = look.alarms[0]
            log.warning(
                "drift found",
                model=look.model,
                version=look.version,
                column=worst.column,
                test=worst.test.value,
                severity=look.severity.name,
                alarms=len(look.alarms),
            )
