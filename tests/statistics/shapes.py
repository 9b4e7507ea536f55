"""Changes of a distribution whose size is known exactly: shares on bins of a reference with equal shares."""

from collections.abc import Callable

import numpy as np
from scipy import optimize, special


def shifted(bins: int, sigmas: float) -> np.ndarray:
    """A normal that moved by so many standard deviations."""
    return np.diff(special.ndtr(_edges(bins) - sigmas), prepend=0.0, append=1.0)


def stretched(bins: int, factor: float) -> np.ndarray:
    """A normal whose spread changed by a factor."""
    return np.diff(special.ndtr(_edges(bins) / factor), prepend=0.0, append=1.0)


def lumped(bins: int, share: float) -> np.ndarray:
    """One bin has this share, the others have the rest evenly."""
    return np.r_[share, np.full(bins - 1, (1 - share) / (bins - 1))]


def psi(q: np.ndarray) -> float:
    p = 1 / q.size
    with np.errstate(divide="ignore"):
        return float(np.sum((p - q) * np.log(p / q)))


def ks(q: np.ndarray) -> float:
    return float(np.max(np.abs(np.cumsum(q) - np.arange(1, q.size + 1) / q.size)))


def at_the_edge(
    bins: int, size: Callable[[np.ndarray], float], tolerance: float, *, down: bool = True
) -> dict[str, np.ndarray]:
    """Return changes of several shapes whose `size` is exactly the tolerance."""

    def solve(shape: Callable[[int, float], np.ndarray], start: float, end: float) -> np.ndarray:
        root = optimize.brentq(lambda x: size(shape(bins, x)) - tolerance, start, end, xtol=1e-14)
        return shape(bins, float(root))  # pyright: ignore[reportArgumentType]

    return {
        "shift": solve(shifted, 0.0, 5.0),
        "wider": solve(stretched, 1.0, 50.0),
        "narrower": solve(stretched, 0.02, 1.0),
        "one bin up": solve(lumped, 1 / bins, 0.999),
    } | ({"one bin down": solve(lumped, 1e-12, 1 / bins)} if down else {})


def _edges(bins: int) -> np.ndarray:
    return special.ndtri(np.arange(1, bins) / bins)
