"""Which predictions are recorded when there are more than the budget of bytes allows. Pure.

All are, until the bytes of ten seconds are used up; then half of the units, a quarter, and so on. A unit is in or out
as a whole: who is among a quarter was among the half. The probability is recorded with each prediction, so that sums
over the log can be weighted.
"""

from __future__ import annotations

from headrace_router.data.tables.table import POINTS

LEAST = 2.0**-20
# A peak is recorded whole when nothing was for so long before.
SAVED_S = 10.0
# More are recorded again when so long twice as many would have been within the budget, with some room.
CALM_S = 10.0
ROOM = 0.8


class Sampling:
    """The probability with which units are to be recorded, as of the last `spent`."""

    def __init__(self, bytes_per_s: float, now: float) -> None:
        self.probability = 1.0
        self._bytes_per_s, self._saved, self._spent_at = bytes_per_s, SAVED_S * bytes_per_s, now
        self._calm_since, self._calm_bytes = now, 0

    def spent(self, size_bytes: int, recorded: float, now: float) -> None:
        """Account for what was recorded since the last time, and decide on the probability from now on.

        recorded: the probability with which it was, which may still be the one before.
        """
        passed_s, self._spent_at = max(now - self._spent_at, 0.0), now
        budget = self._bytes_per_s
        self._saved = min(self._saved + passed_s * budget, SAVED_S * budget) - size_bytes
        self._calm_bytes += size_bytes
        if self._saved < 0:
            rate = size_bytes / max(passed_s, 1e-3) * self.probability / recorded
            while rate > budget and self.probability > LEAST:
                self.probability, rate = self.probability / 2, rate / 2
            # One second's worth of debt at most: it is for the future to be within the budget.
            self._saved = max(self._saved, -budget)
            self._calm_since, self._calm_bytes = now, 0
        elif now - self._calm_since >= CALM_S:
            if self.probability < 1 and 2 * self._calm_bytes <= ROOM * budget * (now - self._calm_since):
                self.probability *= 2
            self._calm_since, self._calm_bytes = now, 0


def bound_of(probability: float) -> int:
    """Return what the points of the units that are recorded lie below."""
    return int(probability * POINTS)
