"""Replicas in simulated time: started, loading, ready, failed, drained, by whole seconds."""

from __future__ import annotations

import bisect

import numpy as np

from headrace_scaling.decisions.observations import Replicas
from headrace_scaling.simulation.setup import Setup

_RETRY_S = 10


class Fleet:
    """The replicas of a pool. The actuator acknowledges at once; what fails is started again, as elsewhere."""

    def __init__(self, setup: Setup) -> None:
        self.ready = self.asked_for = setup.initial_replicas
        self.load_time_s: float | None = None
        self.starts = 0
        self._setup = setup
        self._rng = np.random.default_rng([setup.seed, 3])
        # (second at which it is over, whether it is ready then, how long it took), ascending.
        self._loading: list[tuple[int, bool, float]] = []
        self._draining: list[int] = []
        self._failed_until: list[int] = []

    @property
    def next_event(self) -> int:
        """Return the second at which the fleet next changes by itself."""
        first = self._loading[0][0] if self._loading else 1 << 60
        if self._draining:
            first = min(first, self._draining[0])
        return min(first, self._failed_until[0]) if self._failed_until else first

    @property
    def paid_for(self) -> int:
        """Return how many hold an accelerator."""
        return self.ready + len(self._loading) + len(self._draining)

    def seen(self) -> Replicas:
        """Return what an observer counts."""
        return Replicas(
            self.ready, len(self._loading), len(self._failed_until), len(self._draining), requested=self.asked_for
        )

    def scale(self, second: int, count: int) -> None:
        """Start or drain. Replicas that still load are stopped first: nothing is lost with them."""
        self.asked_for = count
        excess = self.ready + len(self._loading) - count
        while excess > 0 and self._loading:
            self._loading.pop()
            excess -= 1
        drained = max(0, min(excess, self.ready))
        self.ready -= drained
        if drained and self._setup.drain_s >= 1.0:
            self._draining.extend([second + round(self._setup.drain_s)] * drained)
        self._start_missing(second)

    def advance(self, second: int) -> None:
        """Bring the fleet to a second: loads end, drained replicas go."""
        while self._loading and self._loading[0][0] <= second:
            _, is_ready, took_s = self._loading.pop(0)
            if is_ready:
                self.ready += 1
                self.load_time_s = took_s
            else:
                self._failed_until.append(second + _RETRY_S)
        while self._draining and self._draining[0] <= second:
            self._draining.pop(0)
        while self._failed_until and self._failed_until[0] <= second:
            self._failed_until.pop(0)
        self._start_missing(second)

    def fail_some(self, second: int, seconds: int) -> None:
        """Let ready replicas fail as often as they do."""
        hours = self._setup.hours_between_failures
        if hours is None or not self.ready:
            return
        lost = min(self.ready, int(self._rng.poisson(self.ready * seconds / 3600.0 / hours)))
        if lost:
            self.ready -= lost
            self._failed_until.extend([second + _RETRY_S] * lost)

    def _start_missing(self, second: int) -> None:
        missing = self.asked_for - self.ready - len(self._loading) - len(self._failed_until)
        for _ in range(missing):
            took_s = float(self._rng.choice(self._setup.load_times_s))
            is_ready = self._rng.random() >= self._setup.start_failure
            bisect.insort(self._loading, (second + max(1, round(took_s)), is_ready, took_s))
            self.starts += 1
