"""Take batches of predictions: validate, store one object, write its row, acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import ResourceExhausted

from headrace_monitor.record.log import checks, envelopes
from headrace_monitor.record.log.batches import Batches, StoredBatch
from headrace_monitor.record.log.metrics import LogMetrics
from headrace_monitor.record.log.objects import Objects

RETRY_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of batches in progress. oldest: how old predictions may be. processes: that are remembered."""

    batches: int
    size_bytes: int
    oldest: timedelta
    processes: int


class Ingestion:
    """Takes batches. An acknowledged batch survives a crash of this process at any moment."""

    def __init__(self, objects: Objects, batches: Batches, limits: Limits, clock: Clock, metrics: LogMetrics) -> None:
        self._objects, self._batches, self._limits = objects, batches, limits
        self._clock, self._metrics = clock, metrics
        self._underway = self._underway_bytes = 0

    async def take(self, request: telemetry_pb2.ReportPredictionsRequest) -> None:
        """Return once the batch is durable, now or before.

        Raises InvalidArgument for what will never be taken, ResourceExhausted, Unavailable.
        """
        with self._room_for(request.ByteSize()):
            process = checks.check(request, self._clock.now(), self._limits.oldest)
            await self._batches.admit(process, request.data_plane, self._limits.processes)
            packed = await asyncio.to_thread(envelopes.pack, request)
            batch = StoredBatch(process, request.sequence, request.data_plane, len(packed), len(request.batch.group))
            await self._store(batch, packed)

    async def _store(self, batch: StoredBatch, packed: bytes) -> None:
        """Store the object before the row that names it: killed in between, it is adopted, or sent again."""
        key = envelopes.batch_key(batch.process, batch.sequence)
        stored = await self._objects.put_if_absent(key, packed)
        needed = await self._batches.add(batch, self._clock.now())
        if stored and not needed:
            # A late copy of what is in the log: its object was removed before this one came.
            await self._objects.remove([key])
        self._metrics.taken(batch.predictions if stored and needed else 0, batch.size_bytes)

    @contextmanager
    def _room_for(self, size_bytes: int) -> Iterator[None]:
        limits = self._limits
        if self._underway >= limits.batches or (
            self._underway and self._underway_bytes + size_bytes > limits.size_bytes
        ):
            raise ResourceExhausted(
                f"{self._underway} batches of {self._underway_bytes} bytes are being stored; send this one again",
                reason="TOO_MANY_BATCHES",
                retry_after_s=RETRY_AFTER_S,
            )
        self._underway += 1
        self._underway_bytes += size_bytes
        try:
            yield
        finally:
            self._underway -= 1
            self._underway_bytes -= size_bytes
