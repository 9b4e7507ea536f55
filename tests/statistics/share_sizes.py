"""How often a rise of a share is found when it is exactly what is tolerated: not simulated, but added up over all pairs
of counts.
"""

from collections.abc import Sequence

import numpy as np
from headrace_statistics.proportions import Proportion, ProportionChange, rise
from scipy import stats

from tests.statistics.figures import NOTHING, Figure, Table

LEVELS = (0.05, 0.001)
# Reference, window, share of the reference, tolerance, and the size that is to be reached at a level of .05.
CASES = (
    (50, 50, 0.05, 0.0, 0.02),
    (50, 50, 0.3, 0.0, 0.04),
    (50, 50, 0.1, 0.05, 0.02),
    (200, 50, 0.1, 0.0, 0.035),
    (200, 50, 0.1, 0.05, 0.035),
    (20, 200, 0.3, 0.0, 0.04),
    (200, 200, 0.05, 0.0, 0.035),
    (200, 200, 0.05, 0.01, 0.035),
    (1_000, 200, 0.02, 0.01, 0.03),
    (200, 1_000, 0.02, 0.01, 0.01),
)
_LEAST = 1e-9


def share_sizes(_rng: np.random.Generator, cases: Sequence[tuple[int, int, float, float, float]] = CASES) -> Table:
    """Summed over all outcomes of two binomials. Naive: the two-sided z test of two proportions, where nothing is
    tolerated.
    """
    figures = []
    for n, m, share, tolerance, reached in cases:
        sizes, plain = _sizes(n, m, share, tolerance)
        held = reached <= sizes[0] <= LEVELS[0] and sizes[1] <= LEVELS[1]
        figures.append(
            Figure(
                f"share {share:.0%}, tolerated {tolerance:.0%}, n = {n:,}, m = {m:,}",
                f"{100 * sizes[0]:.2f} %; {100 * sizes[1]:.3f} %",
                f"{100 * reached:g} to 5 %; ≤ 0.1 %",
                held,
                NOTHING if tolerance else f"{100 * plain:.2f} %",
            )
        )
    return Table(
        "Shares at the edge of what is tolerated: alarms at levels of 5 % and of 0.1 %, exactly", tuple(figures)
    )


def _sizes(n: int, m: int, share: float, tolerance: float) -> tuple[list[float], float]:
    before, now = stats.binom.pmf(np.arange(n + 1), n, share), stats.binom.pmf(np.arange(m + 1), m, share + tolerance)
    found, plain = np.zeros(len(LEVELS)), 0.0
    for x in np.flatnonzero(before > _LEAST):
        alarmed = np.zeros(len(LEVELS), dtype=bool)
        for y in np.flatnonzero(now > _LEAST):
            mass = before[x] * now[y]
            if not alarmed.all() and y * n > x * m:  # a larger share alarms wherever a smaller one does
                change = rise(Proportion(int(x), n), Proportion(int(y), m), tolerance=tolerance)
                assert isinstance(change, ProportionChange)
                alarmed = np.array([change.p <= level for level in LEVELS])
            found += mass * alarmed
            pooled = (x + y) / (n + m)
            error = (pooled * (1 - pooled) * (1 / n + 1 / m)) ** 0.5
            plain += mass * bool(error > 0 and (y / m - x / n) / error >= stats.norm.isf(LEVELS[0]))
    return found.tolist(), plain
