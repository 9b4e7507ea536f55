"""How long a batch takes by its rows, as a batcher measures it, and what a replica can then serve in time."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceCurve:
    """Seconds of one execution by rows, with straight lines between what was measured."""

    points: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        rows = [rows for rows, _ in self.points]
        if not rows or rows != sorted(set(rows)) or rows[0] < 1 or any(seconds <= 0 for _, seconds in self.points):
            raise ValueError("a service curve has rows from 1 up, each once, with a positive time")

    @classmethod
    def of(cls, points: Sequence[tuple[int, float]]) -> ServiceCurve:
        """Return the curve through measured points, in any order."""
        return cls(tuple(sorted(points)))

    @classmethod
    def of_throughput(cls, requests_per_s: float, batch_s: float = 0.02) -> ServiceCurve:
        """Return a curve of which only the throughput is known. Raises ValueError for one that is none."""
        if not 0.0 < requests_per_s < math.inf:
            raise ValueError("requests/s must be a positive number")
        rows = max(1, round(requests_per_s * batch_s))
        return cls(((rows, rows / requests_per_s),))

    def seconds(self, rows: int) -> float:
        """Return how long an execution takes. Beyond the last point, each row takes as long as there."""
        points = self.points
        at = bisect_left(points, (rows, 0.0))
        if at == 0:
            return points[0][1]
        if at == len(points):
            most, seconds = points[-1]
            return seconds * rows / most
        (below, fast), (above, slow) = points[at - 1], points[at]
        return fast + (slow - fast) * (rows - below) / (above - below)

    def best(self, within_s: float) -> tuple[int, float]:
        """Return the batch that serves most within a time, and what a replica then serves in a second.

        A request waits for the batch before its own: it is done within twice a batch's time. Where no batch is that
        fast, the smallest is taken.
        """
        fitting = [(rows, seconds) for rows, seconds in self._candidates() if 2.0 * seconds <= within_s]
        rows, seconds = max(fitting or [self.points[0]], key=lambda point: (point[0] / point[1], -point[0]))
        return rows, rows / seconds

    def _candidates(self) -> list[tuple[int, float]]:
        most = self.points[-1][0]
        sizes = sorted({*range(1, min(most, 64) + 1), *(rows for rows, _ in self.points), *range(64, most + 1, 16)})
        least = self.points[0][0]
        return [(rows, self.seconds(rows)) for rows in sizes if rows >= least]
