"""Averages and slopes of samples. Plain arithmetic in the order of time, so that a replay gives the same bits."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean(samples: Sequence[tuple[float, float]], now: float, window_s: float) -> float:
    """Return the mean of the samples that are younger than a window; the newest alone where the window is empty."""
    total, count, oldest = 0.0, 0, now - window_s
    for at, value in reversed(samples):
        if at <= oldest and count:
            break
        total += value
        count += 1
    return total / count


def extrapolated(
    samples: Sequence[tuple[float, float]], now: float, ahead_s: float, *, window_s: float, certainty: float
) -> float | None:
    """Return the value a while from now, on the line of least squares; None where it does not clearly rise.

    The slope must be `certainty` times its standard error.
    """
    recent = [(at - now, value) for at, value in samples if at > now - window_s]
    count = len(recent)
    if count < 6:
        return None
    mean_at = math.fsum(at for at, _ in recent) / count
    mean_value = math.fsum(value for _, value in recent) / count
    spread = math.fsum((at - mean_at) ** 2 for at, _ in recent)
    if spread <= 0.0:
        return None
    slope = math.fsum((at - mean_at) * (value - mean_value) for at, value in recent) / spread
    if slope <= 0.0:
        return None
    error = math.fsum((value - mean_value - slope * (at - mean_at)) ** 2 for at, value in recent) / (count - 2)
    if slope < certainty * math.sqrt(error / spread):
        return None
    return mean_value + slope * (ahead_s - mean_at)


def quantile(values: Sequence[float], level: float) -> float:
    """Return a quantile, linear between order statistics."""
    ordered = sorted(values)
    place = level * (len(ordered) - 1)
    below = int(place)
    if below + 1 >= len(ordered):
        return ordered[-1]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)
