"""Averages and slopes of samples. Plain arithmetic in the order of time, so that a replay gives the same bits."""

from __future__ import annotations

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


def extrapolated(samples: Sequence[tuple[float, float]], now: float, ahead_s: float, window_s: float) -> float | None:
    """Return the value a while from now; None where it does not rise throughout the window.

    The slope is the least of the rises between the window's quarters: a step, which is flat before and after it, has
    none, and is not mistaken for the beginning of a ramp.
    """
    quarter_s = window_s / 4.0
    sums, counts, ages_s = [0.0] * 4, [0] * 4, 0.0
    for at, value in samples:
        quarter = 3 - int((now - at) / quarter_s)
        if 0 <= quarter <= 3:
            sums[quarter] += value
            counts[quarter] += 1
            ages_s += now - at if quarter == 3 else 0.0
    if not all(counts):
        return None
    means = [total / count for total, count in zip(sums, counts, strict=True)]
    rise = min(means[1] - means[0], means[2] - means[1], means[3] - means[2])
    if rise <= 0.0:
        return None
    return means[3] + rise * (ahead_s + ages_s / counts[3]) / quarter_s


def quantile(values: Sequence[float], level: float) -> float:
    """Return a quantile, linear between order statistics."""
    ordered = sorted(values)
    place = level * (len(ordered) - 1)
    below = int(place)
    if below + 1 >= len(ordered):
        return ordered[-1]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)
