"""How long answers take, as measured lately: a few additions per answer, no sketch. Pure: times in, numbers out."""

from __future__ import annotations

# Share that a new measurement has in mean and deviation: about the last twenty count.
WEIGHT = 0.05
# Mean and this many mean deviations are near the 95th percentile, for latencies between even and exponential.
DEVIATIONS = 2.5
QUANTILE = 0.95
# One step of the quantile, as a share of it: up for what was later, a nineteenth of it down for what was not.
STEP_UP = 0.05
STEP_DOWN = STEP_UP * (1 - QUANTILE) / QUANTILE
# An estimate that keeps requests away is tried anew by one of them when nothing was measured for so long.
RENEW_S = 5.0
MAX_LATENCIES = 4096


class Latency:
    """What is known of the answers of one version in one pool. Seconds throughout.

    mean_s, deviation_s: from being sent to the answer, without the wait in the queue. late_s: the 95th percentile, with
    it. measured_at: on the loop's clock. known: whether mean and deviation go on from what they are.
    """

    __slots__ = ("deviation_s", "known", "late_s", "mean_s", "measured_at")

    def __init__(self) -> None:
        self.mean_s = 0.0
        self.deviation_s = 0.0
        self.late_s = 0.0
        self.measured_at = 0.0
        self.known = False

    def add(self, took_s: float, queue_s: float, now: float) -> None:
        """Take one answer into account: how long it took in all, and how much of that it waited in the queue."""
        own_s = took_s - queue_s if took_s > queue_s else 0.0
        if not self.known:
            self.mean_s, self.deviation_s, self.known = own_s, own_s / 2, True
            self.late_s = self.late_s or took_s * 1.5
        off_s = own_s - self.mean_s
        self.mean_s += WEIGHT * off_s
        self.deviation_s += WEIGHT * ((off_s if off_s > 0.0 else -off_s) - self.deviation_s)
        self.late_s *= 1 + STEP_UP if took_s > self.late_s else 1 - STEP_DOWN
        self.measured_at = now

    def add_late(self, waited_s: float, now: float) -> None:
        """Take one into account that was given up unanswered: it would have taken at least so long."""
        if waited_s > self.needs_s():
            self.add(waited_s, 0.0, now)

    def needs_s(self) -> float:
        """Return the time that an answer takes nineteen times out of twenty, once it is not queued any more."""
        return self.mean_s + DEVIATIONS * self.deviation_s

    def renews(self, now: float) -> bool:
        """Return whether one request may try what the estimate advises against; for others it counts as measured.

        What it finds takes the place of mean and deviation: one measurement in so long would take minutes to outweigh
        what a slow spell has left there.
        """
        if now - self.measured_at < RENEW_S:
            return False
        self.measured_at, self.known = now, False
        return True


class Estimates:
    """Latencies by version digest and pool; the oldest go first when there are too many."""

    def __init__(self) -> None:
        self._latencies: dict[tuple[str, str], Latency] = {}

    def of(self, digest: str, pool: str) -> Latency:
        """Return what is known of a version in a pool; nothing at first."""
        key = (digest, pool)
        found = self._latencies.get(key)
        if found is None:
            if len(self._latencies) >= MAX_LATENCIES:
                del self._latencies[next(iter(self._latencies))]
            found = self._latencies[key] = Latency()
        return found
