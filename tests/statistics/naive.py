"""What is usually written first, from its formulas: the yardstick that every figure stands beside."""

import numpy as np
from scipy import stats


def psi(reference: np.ndarray, window: np.ndarray, buckets: int = 10) -> float:
    """PSI on equal widths between the extremes of both sides, one added to every count."""
    low, high = min(reference.min(), window.min()), max(reference.max(), window.max())
    edges = np.linspace(low, high, buckets + 1)
    p, q = (np.histogram(values, bins=edges)[0] + 1.0 for values in (reference, window))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def psi_alarms(reference: np.ndarray, window: np.ndarray) -> bool:
    return psi(reference, window) >= 0.1


def ks_alarms(reference: np.ndarray, window: np.ndarray, level: float = 0.05) -> bool:
    return float(stats.ks_2samp(reference, window)[1]) < level  # pyright: ignore[reportArgumentType]


def rate_alarms_at(errors: np.ndarray, allowed: float, window: int = 1_000) -> int | None:
    """The label at which the error rate of the last `window` labels first exceeds what is allowed."""
    sums = np.cumsum(np.concatenate([[0], errors]))
    rates = (sums[window:] - sums[:-window]) / window
    above = np.flatnonzero(rates > allowed)
    return int(above[0]) + window if above.size else None
