"""Orphans: files of the log that PostgreSQL does not list, written after a backup that was restored since.

Readers go by the list and so ignore an orphan, whose records may be in listed files as well. It is removed when its
hour is beyond the log's retention, like any other file, and not before: the list may be what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.record.log.files import PREFIX, hour_of
from headrace_monitor.record.log.objects import Objects
from headrace_monitor.storage.schema import passed

log = structlog.get_logger()

_SQL = load_queries("headrace_monitor.record.log")


class OrphanSweeper:
    """Removes orphaned files. keep: how long files are kept, from their hour on."""

    def __init__(self, database: Transactions, objects: Objects, clock: Clock, keep: timedelta) -> None:
        self._database, self._objects, self._clock, self._keep = database, objects, clock, keep

    async def sweep(self) -> int:
        """Remove orphaned files that are too old; return how many there were. Raises Unavailable."""
        found = 0
        before = await passed(self._database, self._clock.now()) - self._keep
        async for page in self._objects.pages(PREFIX):
            old = [one.key for one in page if (hour := hour_of(one.key)) is not None and hour < before]
            found += await self._remove(old)
        if found:
            log.info("files of the log that nothing lists are removed", files=found)
        return found

    async def _remove(self, keys: Sequence[str]) -> int:
        if not keys:
            return 0
        async with self._database.transaction() as connection:
            removed = await connection.execute(_SQL["remove_unlisted"], keys, self._clock.now())
        return int(removed.rpartition(" ")[2])
