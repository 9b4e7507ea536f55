"""Batches on their way to the monitor, at most so many bytes. Pure: what is sent when is `sending.py`.

A batch gets its number when it is first taken to be sent. So what is dropped, which is only what was never sent, leaves
no gap; and what was sent keeps its number, by which the monitor knows a repetition.
"""

from __future__ import annotations

from collections import Counter, deque

from headrace_router.data.reporting.decisions.recorder import BATCH_REFUSED, BUFFER_FULL


class SealedBatch:
    """A batch that does not grow any more. data: as `Batch.encoded`. number: from 1; 0 until it is first taken."""

    __slots__ = ("data", "number", "predictions")

    def __init__(self, data: bytes, predictions: int) -> None:
        self.data, self.predictions, self.number = data, predictions, 0


class Buffer:
    """What the monitor has not acknowledged. dropped: predictions by reason, counted up."""

    def __init__(self, max_bytes: int, dropped: Counter[str]) -> None:
        self._max_bytes, self._dropped = max_bytes, dropped
        self._waiting: deque[SealedBatch] = deque()
        self._sent: dict[int, SealedBatch] = {}
        self._last_number = 0
        self.size_bytes = self.predictions = 0
        """Of all that is not acknowledged."""

    def put(self, batch: SealedBatch) -> None:
        """Add a batch; the oldest that were never sent make room for it."""
        self._waiting.append(batch)
        self._count(batch, 1)
        while self.size_bytes > self._max_bytes and self._waiting:
            oldest = self._waiting.popleft()
            self._count(oldest, -1)
            self._dropped[BUFFER_FULL] += oldest.predictions

    def take(self) -> SealedBatch | None:
        """Return the next batch to send, numbered, or None. It stays here until it is settled."""
        if not self._waiting:
            return None
        batch = self._waiting.popleft()
        if not batch.number:
            self._last_number += 1
            batch.number = self._last_number
        self._sent[batch.number] = batch
        return batch

    def acknowledged(self, batch: SealedBatch) -> None:
        """Forget a batch that the monitor has."""
        self._count(self._sent.pop(batch.number), -1)

    def refused(self, batch: SealedBatch) -> None:
        """Forget a batch that the monitor will never take."""
        self.acknowledged(batch)
        self._dropped[BATCH_REFUSED] += batch.predictions

    def recall(self) -> None:
        """Have what was taken and not settled taken again, first and in order: it is no longer being sent.

        Nothing is put after that, which might drop what has a number.
        """
        self._waiting.extendleft(self._sent[number] for number in sorted(self._sent, reverse=True))
        self._sent.clear()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def _count(self, batch: SealedBatch, sign: int) -> None:
        self.size_bytes += sign * len(batch.data)
        self.predictions += sign * batch.predictions
