"""How long executions of so many rows take, and how much that varies, learnt from those that were."""

from __future__ import annotations

import math


class ServiceTimes:
    """Service time by rows, learnt from executions; it may only be too low, never too high for long.

    Refusals rest on it, and what is refused is not measured: so one slow execution counts little, a fast one much, and
    an estimate that nothing confirms fades.
    """

    RISE, FALL, MAX_RISE = 0.2, 0.5, 1.5
    HALF_LIFE_S = 30.0
    # Of the spread: how much one execution counts, and at most for how much.
    SPREAD_WEIGHT, MOST_SPREAD = 0.1, 0.5
    # Of the variation: an average over the last hundred executions or so.
    VARIATION_WEIGHT = 0.01

    def __init__(self) -> None:
        # By size class as below, the mean; over all of them, the mean square of the deviation as a share of that.
        self._means: dict[int, float] = {}
        self._variance = 0.0
        self.spread = 0.0
        """How far executions are from the estimate on average, as a share of it."""
        # By ceil(log2(rows)): 1, 2, 3–4, 5–8, … rows.
        self._known: dict[int, tuple[float, float]] = {}
        # By rows, as of one moment: the requests of a frame all come at the same time, and ask the same.
        self._estimates: dict[int, float] = {}
        self._estimated_at = 0.0

    def observe(self, rows: int, seconds: float, now: float) -> None:
        """Learn from one execution."""
        self._estimates.clear()
        bucket = (rows - 1).bit_length()
        known = self._known.get(bucket)
        if known is None:
            self._known[bucket], self._means[bucket] = (seconds, now), seconds
            return
        mean = self._means[bucket]
        deviation = (seconds - mean) / max(mean, 1e-6)
        self._means[bucket] = mean + self.VARIATION_WEIGHT * (seconds - mean)
        self._variance += self.VARIATION_WEIGHT * (deviation * deviation - self._variance)
        old = known[0]
        off = min(abs(seconds - old) / max(old, 1e-4), self.MOST_SPREAD)
        self.spread += self.SPREAD_WEIGHT * (off - self.spread)
        weight = self.FALL if seconds < old else self.RISE
        self._known[bucket] = (min(old + weight * (seconds - old), max(old, 1e-4) * self.MAX_RISE), now)

    def estimate(self, rows: int, now: float) -> float:
        """Return about the least that an execution of `rows` rows takes; 0 when nothing is known."""
        if now != self._estimated_at:
            self._estimates.clear()
            self._estimated_at = now
        found = self._estimates.get(rows)
        if found is None:
            seconds, seen = self._nearest(rows)
            # Who asks may have come before it was seen: nothing fades backwards, which would be beyond every number.
            found = self._estimates[rows] = seconds * 0.5 ** (max(0.0, now - seen) / self.HALF_LIFE_S)
        return found

    @property
    def variation(self) -> float:
        """The coefficient of variation of executions of the same size: standard deviation over mean; 0 until known."""
        return math.sqrt(self._variance)

    def learnt(self, rows: int) -> float:
        """Return what an execution of `rows` rows took when there last was one, to compare sizes; 0 when unknown."""
        return self._nearest(rows)[0]

    def _nearest(self, rows: int) -> tuple[float, float]:
        """Return what is known of a size, and since when.

        From its own size class, else from the next larger one, else from the next smaller one.
        """
        bucket = (rows - 1).bit_length()
        known = self._known.get(bucket)
        if known is None:
            if not self._known:
                return 0.0, 0.0
            nearest = min((at for at in self._known if at > bucket), default=None)
            known = self._known[max(self._known) if nearest is None else nearest]
        return known
