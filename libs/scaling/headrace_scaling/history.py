"""The demand of a simulated pool over its last days, a peak for each half minute: the seasonal floor is taken from it.

The autoscaler asks its database for the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from headrace_scaling.decisions.observations import EarlierHour, EarlierHours

DAY_S, HOUR_S = 86_400, 3_600
# A look-ahead is a cold start, rarely less than half a minute; a day is then 2,880 numbers, 11 KB.
SLOT_S = 30


class DemandHistory:
    """Peaks of demand by time slots, for a number of days; older ones are overwritten. Bounded: 4 bytes a slot."""

    def __init__(self, days: int = 14, slot_s: int = SLOT_S) -> None:
        if HOUR_S % slot_s:
            raise ValueError("slot_s must divide an hour")
        self._days, self._slot_s, self._slots = days, slot_s, DAY_S // slot_s
        # One more day than is asked for: today's slots are written while those of the first day are read.
        self._peaks = np.full((days + 1) * self._slots, np.nan, dtype=np.float32)
        self._newest: int | None = None
        self._asked: tuple[int, int] | None = None
        self._answer: tuple[float, ...] = ()

    def record(self, now: float, demand: float) -> None:
        """Take a value at a time. One that is older than the newest slot is left out: a clock was set back."""
        if not (math.isfinite(demand) and demand >= 0.0):
            return
        slot, size = int(now // self._slot_s), len(self._peaks)
        if self._newest is None or slot > self._newest:
            passed = size if self._newest is None else min(size, slot - self._newest)
            self._peaks[np.arange(slot - passed + 1, slot + 1) % size] = np.nan
            self._newest = slot
        elif slot < self._newest:
            return
        at = slot % size
        if not demand <= self._peaks[at]:
            self._peaks[at] = demand

    def peaks(self, now: float, horizon_s: float) -> tuple[float, ...]:
        """Return the peak within the next `horizon_s` at this time of each earlier day, the oldest day first.

        NaN for a day without any value then. Peaks are those of whole slots.
        """
        first = int(now // self._slot_s)
        last = min(int((now + max(0.0, horizon_s)) // self._slot_s), first + self._slots - 1)
        if self._newest is None:
            return ()
        if self._asked == (first, last):
            return self._answer
        slots = np.arange(first, last + 1)[None, :] - self._slots * np.arange(self._days, 0, -1)[:, None]
        found = self._peaks[slots % len(self._peaks)]
        # A slot that lies ahead of the newest is one of a day before the first.
        found = np.where((slots <= self._newest) & (slots > self._newest - len(self._peaks)), found, np.nan)
        highest = np.where(np.isnan(found), -1.0, found).max(axis=1)
        self._asked = (first, last)
        self._answer = tuple(float(peak) if peak >= 0.0 else math.nan for peak in highest)
        return self._answer

    def earlier_hours(self, now: float, horizon_s: float, hours: int) -> EarlierHours:
        """Return the peak within the next `horizon_s` at this minute of each of the last hours, the oldest hour first,
        with the mean of the hour before, and how alike hours are.
        """
        first, an_hour = int(now // self._slot_s), HOUR_S // self._slot_s
        last = int((now + max(0.0, horizon_s)) // self._slot_s)
        found = []
        for ago in range(hours * an_hour, 0, -an_hour):
            peaks = self._known(first - ago, last - ago + 1)
            before = self._known(first - ago - an_hour, first - ago)
            found.append(EarlierHour(_or_nan(np.nanmax, peaks), _or_nan(np.nanmean, before)))
        latest, before = (self._known(first - ago - 2 * an_hour, first - ago) for ago in (0, an_hour))
        return EarlierHours(tuple(found), _correlation(latest, before))

    def _known(self, first: int, end: int) -> np.ndarray:
        """Return the peaks of slots, NaN where nothing is known."""
        size, newest = len(self._peaks), -1 if self._newest is None else self._newest
        slots = np.arange(first, end)
        return np.where((slots <= newest) & (slots > newest - size), self._peaks[slots % size], np.nan)


def _or_nan(of: Callable[[np.ndarray], float], values: np.ndarray) -> float:
    return math.nan if np.isnan(values).all() else float(of(values))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of pairs that are known; NaN where fewer than four in five are, or one is constant."""
    known = ~(np.isnan(one) | np.isnan(other))
    if known.sum() < 0.8 * len(one) or np.ptp(one[known]) == 0.0 or np.ptp(other[known]) == 0.0:
        return math.nan
    return float(np.corrcoef(one[known], other[known])[0, 1])
