"""Adopt batches whose monitor was killed after storing the object and before writing its row."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.record.log import envelopes
from headrace_monitor.record.log.batches import Batches, StoredBatch
from headrace_monitor.record.log.objects import Objects, StoredObject

log = structlog.get_logger()

_SQL = load_queries("headrace_monitor.record.log")


class BatchAdopter:
    """Adopts objects without a row. after: their minimum age, so that no other process is about to write the row."""

    def __init__(
        self, database: Transactions, objects: Objects, batches: Batches, clock: Clock, after: timedelta
    ) -> None:
        self._database, self._objects, self._batches = database, objects, batches
        self._clock, self._after = clock, after

    async def adopt(self) -> int:
        """Adopt or remove objects without a row; return how many batches were adopted."""
        taken = 0
        async for page in self._objects.pages(envelopes.BATCH_PREFIX):
            old = [one for one in page if self._clock.now() - one.modify_time >= self._after]
            for stored in await self._unnamed(old):
                taken += await self._adopt(stored)
        return taken

    async def _unnamed(self, page: Sequence[StoredObject]) -> list[StoredObject]:
        named = {batch: one for one in page if (batch := envelopes.batch_of(one.key)) is not None}
        if not named:
            return []
        asked = [list(column) for column in zip(*named, strict=True)]
        known = await self._database.repeatable(lambda connection: connection.fetch(_SQL["known_batches"], *asked))
        for row in known:
            named.pop((row["process"], row["sequence"]))
        return list(named.values())

    async def _adopt(self, stored: StoredObject) -> bool:
        process, sequence = envelopes.batch_of(stored.key) or (None, 0)
        assert process is not None
        try:
            request = await asyncio.to_thread(envelopes.unpack, await self._objects.get(stored.key))
        except LookupError:  # another process was faster
            return False
        except envelopes.DamagedError as error:
            # It was never acknowledged, so its data plane still has it.
            log.warning("object removed that is no batch", key=stored.key, reason=str(error))
            await self._objects.remove([stored.key])
            return False
        batch = StoredBatch(process, sequence, request.data_plane, stored.size_bytes, len(request.batch.group))
        needed = await self._batches.add(batch, self._clock.now())
        if not needed:
            await self._objects.remove([stored.key])
        log.info("batch adopted" if needed else "batch removed that the log has", key=stored.key)
        return needed
