"""From recorded predictions to batches: the loop that encodes, so that no request has to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import structlog
from headrace_servicekit.coordination.wakeup import Wakeup

from headrace_router.data.reporting.decisions.batches import Batch, chunks, rows_of, size_of
from headrace_router.data.reporting.decisions.buffer import SealedBatch
from headrace_router.data.reporting.decisions.recorder import (
    NOT_ENCODED,
    TOO_LARGE,
    RecordedPredictions,
    Recorder,
    Row,
    predictions_of,
)
from headrace_router.data.reporting.decisions.sampling import Sampling

log = structlog.get_logger()

# Often enough that little waits, seldom enough that an idle process stays idle.
TICK_S = 0.1
# A batch is sent when it has so many bytes, or is as old as the setting says.
BATCH_BYTES = 1024 * 1024
# Of one prediction: with a batch that is not full yet before it, half of what the monitor takes as one message.
MAX_RECORD_BYTES = 6 * 1024 * 1024
# Half of what the monitor takes: it makes a record of each, also where nothing of a row may be reported.
BATCH_ROWS = 128 * 1024


class Encoder:
    """Encodes what a recorder has, and hands batches on.

    full: woken by the recorder when it does not want to wait for the next tick. put: takes a batch. unix_s: gives the
    Unix time at 0 of the clock that arrivals are measured by. recorded: predictions so far.
    """

    def __init__(
        self,
        recorder: Recorder,
        full: Wakeup,
        sampling: Sampling,
        dropped: Counter[str],
        put: Callable[[SealedBatch], object],
        *,
        unix_s: Callable[[], float],
        now: Callable[[], float],
        flush_s: float,
    ) -> None:
        self._recorder, self._full, self.sampling, self._dropped, self._put = recorder, full, sampling, dropped, put
        self._unix_s, self._now, self._flush_s = unix_s, now, flush_s
        self._batch, self._began = Batch(), 0.0
        self._taken: tuple[RecordedPredictions, Iterator[Sequence[Row]]] | None = None
        """What is being encoded, and its chunks that are not yet."""
        self.recorded = 0

    async def run(self) -> NoReturn:
        """Encode for ever."""
        while True:
            await self._full.wait(TICK_S)
            await self.encode()
            if self._batch.count and self._now() - self._began >= self._flush_s:
                self._seal()

    async def finish(self) -> None:
        """Hand on everything that there is, also what `run` had begun with when it was stopped."""
        if self._taken is not None:
            await self._encode(*self._taken)
        await self.encode()
        if self._batch.count:
            self._seal()

    async def encode(self) -> None:
        """Encode what was recorded; requests are answered in between."""
        taken = self._recorder.take(self.sampling.probability)
        self._taken = taken, chunks(taken.records, taken.values_bytes)
        await self._encode(*self._taken)

    async def _encode(self, taken: RecordedPredictions, left: Iterator[Sequence[Row]]) -> None:
        spent_bytes = 0
        for chunk in left:
            kept = self._of_fitting_size(chunk) if taken.values_bytes > MAX_RECORD_BYTES else chunk
            if kept:
                spent_bytes += self._add(kept, taken.probability)
            await asyncio.sleep(0)
        self._taken = None
        self.sampling.spent(spent_bytes, taken.probability, self._now())

    def _of_fitting_size(self, records: Sequence[Row]) -> Sequence[Row]:
        fitting = [record for record in records if size_of(record) <= MAX_RECORD_BYTES]
        self._dropped[TOO_LARGE] += predictions_of(records) - predictions_of(fitting)
        return fitting

    def _add(self, records: Sequence[Row], probability: float) -> int:
        """Add to the batch; return the bytes that it grew by."""
        rows = rows_of(records)
        if rows > BATCH_ROWS and len(records) > 1:
            half = len(records) // 2
            return self._add(records[:half], probability) + self._add(records[half:], probability)
        if self._batch.count and self._batch.rows + rows > BATCH_ROWS:
            self._seal()
        batch = self._batch
        if not batch.count:
            self._began = self._now()
        before = batch.size_bytes
        try:
            batch.add(records, probability, self._unix_s())
        except Exception:  # a fault here must not end the data plane, which this loop would do
            if not self._dropped[NOT_ENCODED]:  # the counter tells of the rest
                log.exception("predictions not encoded")
            self._dropped[NOT_ENCODED] += batch.predictions + predictions_of(records)
            self._batch = Batch()
            return 0
        self.recorded += predictions_of(records)
        if batch.size_bytes >= BATCH_BYTES:
            self._seal()
        return batch.size_bytes - before

    def _seal(self) -> None:
        self._put(SealedBatch(self._batch.encoded(), self._batch.predictions))
        self._batch = Batch()
