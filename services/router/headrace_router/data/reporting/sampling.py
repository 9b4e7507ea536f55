"""Which predictions are recorded when there are more than the budget of bytes allows. Pure.

All are, until the bytes of a second are used up; then half of the units, a quarter, and so on. A unit is in or out as a
whole: who is among a quarter was among the half. The probability is recorded with each prediction, so that sums over
the log can be weighted.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from headrace_router.data.reporting.recording import Record, Row
from headrace_router.data.splitting import unit_of

# The same for all data planes, so that they agree on who is in; another one than routes assign by, so that those who
# are in are in all variants alike.
_KEY = b"headrace prediction log"
LEAST = 2.0**-20
# More are recorded again when so long twice as many would have been within the budget, with some room.
CALM_S = 10.0
ROOM = 0.8


class Sampling:
    """The probability with which a unit is recorded, as of the last `spent`."""

    def __init__(self, bytes_per_s: float, now: float) -> None:
        self.probability = 1.0
        self._bytes_per_s, self._saved, self._spent_at = bytes_per_s, bytes_per_s, now
        self._calm_since, self._calm_bytes = now, 0

    def spent(self, size_bytes: int, now: float) -> None:
        """Account for what was recorded since the last time, and decide on the probability from now on."""
        passed_s, self._spent_at = max(now - self._spent_at, 0.0), now
        budget = self._bytes_per_s
        self._saved = min(self._saved + passed_s * budget, budget) - size_bytes
        self._calm_bytes += size_bytes
        if self._saved < 0:
            rate = size_bytes / max(passed_s, 1e-3)
            while rate > budget and self.probability > LEAST:
                self.probability, rate = self.probability / 2, rate / 2
            # One second's worth of debt at most: it is for the future to be within the budget.
            self._saved = max(self._saved, -budget)
            self._calm_since, self._calm_bytes = now, 0
        elif now - self._calm_since >= CALM_S:
            if self.probability < 1 and 2 * self._calm_bytes <= ROOM * budget * (now - self._calm_since):
                self.probability *= 2
            self._calm_since, self._calm_bytes = now, 0


def sampled(records: Sequence[Row], probability: float) -> Sequence[Row]:
    """Return the predictions of those units that are recorded with a probability."""
    if probability >= 1:
        return records
    below = int(probability * 2**64)
    return [record for record in records if point_of(sampling_unit(Record._make(record))) < below]


def point_of(unit: str) -> int:
    """Return a unit's place among 2^64, the same on every data plane."""
    return int.from_bytes(blake2b(unit.encode(), digest_size=8, key=_KEY).digest(), "big")


def sampling_unit(record: Record) -> str:
    """Return what is in or out as a whole: the unit that the variant is chosen for, also where none was chosen."""
    return unit_of(
        record.table.unit,
        user_id=record.user_id,
        entity_id=record.entity_id,
        request_id=record.answer.request_id,
    )
