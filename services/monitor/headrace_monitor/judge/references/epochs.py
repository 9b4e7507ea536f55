"""Numbers that are times: they only rise, so that every window differs from every reference."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

# From 9 September 2001 on, the ninth power of ten in seconds: counts and amounts are rarely all within a factor of two
# of each other, and from there on.
_FIRST_S, _AHEAD_S = 1e9, 366 * 86_400.0
_UNITS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}


def said_of_times(values: np.ndarray, now_s: float) -> str:
    """Return what numbers are that all are times since 1970, of 2001 to a year from now; empty for others.

    >>> said_of_times(np.array([1.7e12, 1.71e12]), 1.75e9)
    'milliseconds since 1970, from 2023-11-14 to 2024-03-09'
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ""
    low, high = float(finite.min()), float(finite.max())
    for unit, each in _UNITS.items():
        if low < high and low >= _FIRST_S * each and high <= (now_s + _AHEAD_S) * each:
            first, last = (datetime.fromtimestamp(value / each, UTC).date() for value in (low, high))
            return f"{unit} since 1970, from {first} to {last}"
    return ""
