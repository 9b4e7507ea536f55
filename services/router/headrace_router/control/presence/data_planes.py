"""Who is there: what batchers report, which data planes watch here, and how far each of them is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import PreconditionFailed, Unavailable

from headrace_router.control.decisions.readiness import NOTHING_MORE, Held, Occupancy, Report
from headrace_router.control.state.view import View
from headrace_router.control.storage.store import Conflict, Store

log = structlog.get_logger()

# A store that answers does so in milliseconds.
_WELCOME_WITHIN_S = 1.0
# How long a lease that is not renewed is remembered.
_KEEP_REPORTS = timedelta(minutes=1)
_KEEP_REQUESTS = timedelta(hours=48)
_KEEP_DATA_PLANES = timedelta(days=1)


class DataPlanes:
    """Notes at once in memory; `save` and `keep` run beside it, so that a slow store delays no data plane.

    wake: called when changes may depend on what is new.
    """

    def __init__(self, view: View, store: Store, clock: Clock, wake: Callable[[], None]) -> None:
        self._view, self._store, self._clock, self._wake = view, store, clock, wake
        self._unsaved = Wakeup()
        self._unsaved_reports: dict[str, Report] = {}

    def report(
        self, pool: str, process: str, address: str, held: Mapping[str, Held], occupancy: Occupancy = NOTHING_MORE
    ) -> datetime:
        """Note what a batcher says; return when that is forgotten."""
        expires_at = self._clock.now() + self._view.timing.lease
        report = Report(pool, process, address, expires_at, held, occupancy)
        if self._view.mirror.note_report(report):
            self._wake()
        self._unsaved_reports[process] = report
        self._unsaved.wake()
        return expires_at

    def greet(self, data_plane: str) -> None:
        """Note that a data plane watches here."""
        if data_plane not in self._view.mirror.planes:
            self._view.mirror.note_acknowledged(data_plane, 0, self._clock.now())
        self._unsaved.wake()

    async def welcome(self, data_plane: str) -> None:
        """Note that a data plane is about to watch here, everywhere, and then learn what is in force by now.

        A write at another control plane either waits for it or is in its snapshot. Without the store there are no
        writes, and with one that hangs it watches what is known.
        """
        self.greet(data_plane)
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_WELCOME_WITHIN_S):
                await self._store.touch([data_plane])
                await self._view.read()

    async def acknowledge(self, data_plane: str, generation: int) -> None:
        """Note how far a data plane is.

        Raises Unavailable: the data plane is to repeat it; PreconditionFailed, reason INCARNATION_MISMATCH, when
        another store has taken over.
        """
        mirror = self._view.mirror
        try:
            await self._store.acknowledge(mirror.incarnation, data_plane, generation)
        except Conflict:
            self._wake()
            raise incarnation_mismatch(mirror.incarnation) from None
        # Of the store that was asked: another one may have taken over meanwhile.
        mirror.note_acknowledged(data_plane, generation, self._clock.now())
        self._view.demand.refresh()
        self._view.changed.wake()

    async def save(self) -> None:
        """Save for ever what other control planes should know soon."""
        while True:
            await self._unsaved.wait()
            try:
                await self.flush()
            except Unavailable as error:
                # Batchers repeat their reports, and `keep` repeats the rest.
                log.debug("not saved", reason=error.public_message)

    async def flush(self) -> None:
        """Save once. Raises Unavailable."""
        while self._unsaved_reports:
            _, report = self._unsaved_reports.popitem()
            await self._store.put_report(report, self._view.timing.lease)
        await self._store.touch(self._view.tables.watching)

    async def keep(self) -> None:
        """Note that the data planes watching here live."""
        if self._view.mirror.loaded:
            await self._store.touch(self._view.tables.watching)

    async def sweep(self) -> None:
        """Forget what is no longer asked for."""
        if self._view.mirror.loaded:
            await self._store.sweep(_KEEP_REPORTS, _KEEP_REQUESTS, _KEEP_DATA_PLANES)


def incarnation_mismatch(incarnation: str) -> PreconditionFailed:
    """Return the error for a generation that another store has numbered. incarnation: of the store that is followed."""
    return PreconditionFailed(
        "the generation belongs to another store: start the watch again",
        reason="INCARNATION_MISMATCH",
        metadata={"incarnation": incarnation},
    )
